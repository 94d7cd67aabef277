/**
 * The thread of a node without events. It lives until each requested day, and then reports its
 * state.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { parseConfig } from '../../../config/config.ts';
import { openChance } from '../faults/chance.ts';
import { checkEvent, openCallObserver } from '../check.ts';
import type { Conditions } from '../effects.ts';
import { boot } from '../world/machine-life.ts';
import { openNode, type Node } from '../world/node.ts';
import { openDisk } from '../world/disk.ts';
import { openRegion, type Region } from '../world/region.ts';
import { drawScenario, type Scenario } from '../scenario.ts';

/** The messages to this thread: first its seed, then the day until which it must live. */
export interface IdleOptions {
  seed: number;
  /**
   * The polling rate: often enough to show a leak within days, or so seldom that a year ends in
   * minutes.
   */
  rate: 'often' | 'seldom';
}

/** The state of the node. */
export interface IdleSample {
  fault: string | undefined;
  timers: number;
  handles: number;
  lines: number;
  calls: number;
  /** The bytes that the node keeps on the machine's disk. */
  diskBytes: number;
}

const dayMs = 86_400_000;

/** Short sleeps take a minute, or ten: the same loops with fewer turns. */
const slowness = { often: 30, seldom: 300 };

const always = {
  cluster: 'demo',
  registrar: 'opsworks',
  opsworks: { stack: 'demo', layer: 'ecs' },
  spot: { pollSeconds: 60 },
  autoScaling: { pollSeconds: 60, launchHook: 'ecs-node-launch', terminateHook: 'ecs-node-terminate' },
};

/** A year of the seldom rate has as many checks as a month with the default settings. */
const settings = {
  often: {
    ...always,
    rebalance: { pollSeconds: 60 },
    ecsAgent: { pollSeconds: 60 },
    metrics: { enabled: true, everySeconds: 900 },
  },
  seldom: {
    ...always,
    rebalance: { pollSeconds: 300 },
    ecsAgent: { pollSeconds: 600 },
    disk: { checkSeconds: 600 },
    maintenance: { pollSeconds: 600 },
    metrics: { enabled: true, everySeconds: 3600 },
  },
};

/** Uses Node's own AbortSignal, because its listeners leak most easily. */
function begin({ seed, rate }: IdleOptions): { region: Region; node: Node } {
  const chance = openChance(seed);
  const region = openRegion(boring(drawScenario(chance), rate), chance, undefined, 10);
  const { clock, faults } = region;
  const calm = { inconsistency: undefined, lies: undefined, replicas: undefined };
  const conditions: Conditions = {
    clock,
    chance,
    faults,
    ...calm,
    observer: openCallObserver(region),
    slowness: slowness[rate],
  };
  const node = openNode(region, 1);
  region.nodes.push(node);
  openDisk(region, node);
  node.group?.begin('launch');
  region.calm = true;
  boot(region, conditions, node);
  return { region, node };
}

/** Configures one healthy node with everything that a node does by itself. */
function boring(scenario: Scenario, pace: IdleOptions['rate']): Scenario {
  Object.assign(scenario.opsworks, { registersAs: 'registered', registersAfterMs: 30_000 });
  Object.assign(scenario.opsworks, { setupEndsAs: 'online', setupTakesMs: 30_000 });
  return {
    ...scenario,
    config: parseConfig(settings[pace]),
    planted: undefined,
    denied: [],
    daily: 0,
    pingAfterMs: 10_000,
    nodes: 1,
    // A spot node polls two sources more than an on-demand node.
    spot: true,
    hasGroup: true,
    launchHook: true,
    terminateHook: true,
    warmPool: undefined,
    accidentEveryMs: Infinity,
  };
}

async function liveUntil(region: Region, node: Node, day: number): Promise<void> {
  await region.clock.settle();
  while (region.violation === undefined && (await region.clock.step(day * dayMs))) {
    checkEvent(region);
    // The model's own notes about the node would grow for ever.
    node.machine.notified.length = 0;
    node.machine.console.length = 0;
  }
}

function moodOf(region: Region, node: Node): IdleSample {
  const dead = node.agent?.alive === true ? undefined : 'the agent does not run';
  return {
    fault: region.violation?.what ?? dead,
    timers: region.clock.sleeping(),
    handles: process.getActiveResourcesInfo().length,
    lines: node.logLines,
    calls: region.stats.calls,
    diskBytes: [...node.machine.files.values()].reduce((sum, text) => sum + String(text).length, 0),
  };
}

/**
 * Collects all garbage, so that only held objects remain. V8 frees weak references to signals in a
 * later turn.
 */
async function collect(gc: () => void): Promise<void> {
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

setFlagsFromString('--expose-gc');
// Made once, because each new context is a heap of objects itself.
const gc = runInNewContext('gc') as () => void;
const { region, node } = begin(workerData as IdleOptions);
parentPort!.on('message', (day: number) => {
  void liveUntil(region, node, day)
    .then(() => collect(gc))
    .then(() => parentPort!.postMessage(moodOf(region, node)));
});
