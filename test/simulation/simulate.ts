/** Simulates one seed, from its first launch to its last calm minute. */

import { reasons } from './faults/causes.ts';
import { parseState, paths, type DepartureState } from '../../core/state/state.ts';
import { isDepartureState } from '../../core/state/state-shape.ts';
import { openChance, type Chance } from './faults/chance.ts';
import { checkEnd, checkEvent, countChecks, isInOrder, openCallObserver } from './check.ts';
import { beginChores, withChores } from './world/chores.ts';
import { changeConfigurations, mend } from './world/configuration.ts';
import { setUsed } from './world/disk.ts';
import { openChanges } from './changes.ts';
import type { Conditions } from './effects.ts';
import { beginEvents } from './events.ts';
import { lightenAborts } from './light-abort.ts';
import { obeySystemd, shutDown } from './world/machine-life.ts';
import type { Node } from './world/node.ts';
import { note, openRegion, violate, type Region, type Stats, type Violation } from './world/region.ts';
import { addKnowledge, denyMore, drawScenario, type Scenario } from './scenario.ts';

import { heal } from './world/tasks.ts';
import { openInconsistency } from './faults/inconsistency.ts';
import { openLies } from './faults/lies.ts';
import { giveFalseOrders } from './faults/false-orders.ts';
import { endLie } from './faults/lying.ts';
import { withdrawPermissions } from './faults/permissions.ts';
import { askForAnother } from './world/node.ts';

export interface Life {
  seed: number;
  scenario: Scenario;
  /** The number of launched nodes. */
  nodes: number;
  /** The simulated time. */
  ms: number;
  stats: Stats;
  violation: Violation | undefined;
  /** The last events, as lines. */
  trace: string[];
  /** A digest of all events; equal for the same seed. */
  hash: number;
}

/** Changes a life beyond its seed. */
export interface Direction {
  scenario(drawn: Scenario): Scenario;
  /** Schedules further events. */
  begin(region: Region): void;
}

/** `lines`: the number of kept trace lines. */
export async function simulate(seed: number, lines = 40, direction?: Direction): Promise<Life> {
  const chance = openChance(seed);
  const restore = takeOver(chance);
  try {
    return await live(seed, chance, lines, direction);
  } finally {
    restore();
  }
}

/** Replaces the global functions of Node.js that the product uses. */
function takeOver(chance: Chance): () => void {
  const { random } = Math;
  const { stackTraceLimit } = Error;
  const makeHeavy = lightenAborts();
  // The seed also decides the product's own jitter.
  Math.random = () => chance.next();
  // Each deadline creates an error that is seldom thrown; the stack traces would cost more than
  // everything else.
  Error.stackTraceLimit = 0;
  return () => {
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
    makeHeavy();
  };
}

async function live(seed: number, chance: Chance, lines: number, direction?: Direction): Promise<Life> {
  const drawn = addKnowledge(drawScenario(chance), seed);
  const scenario = direction?.scenario(drawn) ?? drawn;
  const inconsistency = openInconsistency(seed);
  const changes = openChanges(seed);
  if (inconsistency !== undefined) denyMore(scenario, inconsistency);
  if (changes.chores !== undefined)
    Object.assign(scenario, { chores: true, config: withChores(scenario.config, changes.chores) });
  if (changes.configuration !== undefined) scenario.reloads = true;
  const region = openRegion(scenario, chance, inconsistency, lines);
  region.lies = openLies(seed, region.clock, (call) => askForAnother(region, call));
  const { clock: time, faults, replicas } = region;
  const { slowness } = scenario;
  const conditions: Conditions = {
    clock: time,
    chance,
    faults,
    inconsistency,
    lies: region.lies,
    replicas,
    observer: openCallObserver(region),
    slowness,
  };
  const unhandled = (error: unknown) =>
    violate(region, 'nothing unhandled', undefined, `an unhandled rejection: ${String(error)}`);
  process.on('unhandledRejection', unhandled);
  try {
    beginEvents(region, conditions);
    giveFalseOrders(region, conditions, seed);
    withdrawPermissions(region, changes.permissions);
    beginChores(region, changes.chores);
    changeConfigurations(region, conditions, changes.configuration);
    direction?.begin(region);
    await play(region, scenario.stormyMs);
    calmDown(region, conditions);
    await playToTheEnd(region, scenario.stormyMs + calmMs(scenario));
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  countChecks(region);
  const { stats, violation, trace, clock } = region;
  return {
    seed,
    scenario,
    nodes: region.launched,
    ms: clock.uptime(),
    stats,
    violation,
    trace: trace.last(),
    hash: trace.hash(),
  };
}

/**
 * Covers two whole bootstraps, the longest wait of the storm guard, and a departure with retries.
 */
function calmMs({ config }: Scenario): number {
  const { bootstrap, stormGuard, leave, join } = config;
  const seconds = 2 * bootstrap.timeoutSeconds + stormGuard.maxWaitSeconds + leave.drainSeconds + join.timeoutSeconds;
  return seconds * 1000 + 60 * 60_000;
}

function calmDown(region: Region, conditions: Conditions): void {
  region.calm = true;
  region.calmSince = region.clock.uptime();
  region.faults.clear();
  region.inconsistency?.clear();
  region.lies?.clear();
  endLie(region);
  for (const node of region.nodes) {
    setUsed(region, node, 40);
    heal(region, node);
    mend(region, conditions, node);
  }
  for (const node of region.nodes) {
    for (const process of [node.bootstrap, node.agent]) if (process !== undefined) process.crash = undefined;
  }
  note(region, undefined, 'calm from here on');
}

/**
 * Often every node reaches its end state long before the bound. The state must still hold some
 * minutes later.
 */
async function playToTheEnd(region: Region, end: number): Promise<void> {
  for (let quiet = 0; region.violation === undefined && quiet < 2;) {
    await play(region, Math.min(end, region.clock.uptime() + lookEveryMs));
    if (region.violation !== undefined) return;
    const inOrder = isInOrder(region);
    if (region.clock.uptime() >= end) return void checkEnd(region);
    quiet = inOrder ? quiet + 1 : 0;
  }
  if (region.violation === undefined) checkEnd(region);
}

const lookEveryMs = 120_000;

async function play(region: Region, end: number): Promise<void> {
  while (region.violation === undefined && (await region.clock.step(end))) {
    region.stats.events += 1;
    for (const node of region.nodes) {
      if (node.phase === 'gone' || node.phase === 'stopping') continue;
      if (node.machine.power === 'off') shutDown(region, node, 'power-off');
      else if (node.instance.state === 'shutting-down') shutDown(region, node, whyEnded(region, node));
      else obeySystemd(region, node);
    }
    checkEvent(region);
    region.replicas?.record();
  }
}

/** The node's own reason, or the first true cause. */
function whyEnded({ clock }: Region, node: Node): string {
  const [why = 'another party'] = reasons(node, clock.uptime(), 3_600_000);
  const text = node.machine.files.get(paths.departure);
  const said = parseState<DepartureState>(
    typeof text === 'string' ? text : undefined,
    node.id,
    isDepartureState,
  )?.cause;
  return node.truth.ended === undefined ? why : `itself: ${said}`;
}
