/** The thread in which nothing happens to a node: lives until it is told to stop, and says at each stop how it is. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { parseConfig } from '../../core/config.ts';
import { openChance } from './chance.ts';
import { checkEvent, openWitness } from './check.ts';
import type { Sky } from './effects.ts';
import { boot } from './machine-life.ts';
import { openNode, type Node } from './node.ts';
import { openDisk } from './disk.ts';
import { openRegion, type Region } from './region.ts';
import { drawScenario, type Scenario } from './scenario.ts';

/** What is asked of this thread: its seed as it starts, then the day to live until. */
export interface Bored {
  seed: number;
}

/** How the node is. */
export interface Mood {
  fault: string | undefined;
  timers: number;
  handles: number;
  lines: number;
  calls: number;
  /** What the machine keeps of it. */
  diskBytes: number;
}

const dayMs = 86_400_000;

/** Short sleeps take up to a minute: the same loops, a thirtieth of the turns. */
const slowness = 30;

/** The seldom questions, so that a year ends: what leaks, leaks at each of them. */
const settings = {
  cluster: 'demo',
  registrar: 'opsworks',
  opsworks: { stack: 'demo', layer: 'ecs' },
  spot: { pollSeconds: 60 },
  rebalance: { pollSeconds: 60 },
  autoScaling: { pollSeconds: 60, launchHook: 'ecs-node-launch', terminateHook: 'ecs-node-terminate' },
  ecsAgent: { pollSeconds: 60 },
  metrics: { enabled: true, everySeconds: 900 },
};

/** With Node's own AbortSignal, whose listeners are what leaks most easily. */
function begin(seed: number): { region: Region; node: Node } {
  const chance = openChance(seed);
  const region = openRegion(boring(drawScenario(chance)), chance, 10);
  const sky: Sky = { clock: region.clock, chance, weather: region.weather, witness: openWitness(region), slowness };
  const node = openNode(region, 1);
  region.nodes.push(node);
  openDisk(region, node);
  node.group?.begin('launch');
  region.calm = true;
  boot(region, sky, node);
  return { region, node };
}

/** One healthy node with everything that a node does by itself. */
function boring(scenario: Scenario): Scenario {
  Object.assign(scenario.opsworks, { registersAs: 'registered', registersAfterMs: 30_000 });
  Object.assign(scenario.opsworks, { setupEndsAs: 'online', setupTakesMs: 30_000 });
  return {
    ...scenario,
    config: parseConfig(settings),
    planted: undefined,
    denied: [],
    daily: 0,
    pingAfterMs: 10_000,
    nodes: 1,
    spot: false,
    hasGroup: true,
    launchHook: true,
    terminateHook: true,
    accidentEveryMs: Infinity,
  };
}

async function liveUntil(region: Region, node: Node, day: number): Promise<void> {
  await region.clock.settle();
  while (region.violation === undefined && (await region.clock.step(day * dayMs))) {
    checkEvent(region);
    // What the model notes of a node would grow for ever.
    node.machine.notified.length = 0;
    node.machine.console.length = 0;
  }
}

function moodOf(region: Region, node: Node): Mood {
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

/** What is left afterwards is really held. Weak references to signals are let go in a later turn. */
async function collect(gc: () => void): Promise<void> {
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const { seed } = workerData as Bored;
setFlagsFromString('--expose-gc');
// Made once: each new context is a heap of things itself.
const gc = runInNewContext('gc') as () => void;
const { region, node } = begin(seed);
parentPort!.on('message', (day: number) => {
  void liveUntil(region, node, day)
    .then(() => collect(gc))
    .then(() => parentPort!.postMessage(moodOf(region, node)));
});
