/** Act 1: all nodes of a group boot at once. */

import { openChance } from '../../../test/simulation/faults/chance.ts';
import { admitAll, limitOf, type Limit } from '../limits.ts';
import { launch } from '../life.ts';
import { cpuMsSince, runUntil, underControl } from '../run.ts';
import { bootByScript } from '../script.ts';
import { stormConfig, type Registrar } from '../settings.ts';
import { accepted, copyTraffic, type Traffic } from '../traffic.ts';
import { openWorld, since, type World } from '../world.ts';

export interface Launch {
  label: string;
  nodes: number;
  /** The time of each node's entry into service, in order; milliseconds since the launch. */
  inServiceMs: number[];
  tookMs: number;
  traffic: Traffic;
  deaths: number;
  wrongly: number;
  violations: string[];
  /** The time without contention, with as many calls as one node needs from each bucket. */
  idealMs: (nodes: number) => number;
  /** The CPU time of the simulation. */
  cpuMs: number;
}

/** A day: a node that is not in service by then never will be. */
const longestMs = 24 * 3_600_000;

export interface LaunchScenario {
  label: string;
  registrar: Registrar;
  more?: Record<string, unknown>;
  /** Runs the bash script instead of ecs-node. */
  script?: true;
  limitMs?: number;
}

/** Returns the world too, so that the next act can continue from it. */
export async function launchAtOnce(
  nodes: number,
  seed: number,
  scenario: LaunchScenario,
): Promise<Launch & { world: World }> {
  const began = process.cpuUsage();
  const alone = await bootAll(1, seed, scenario, true);
  const world = await bootAll(nodes, seed, scenario, false);
  const inServiceMs = world.inService.toSorted((a, b) => a - b);
  return {
    label: scenario.label,
    nodes,
    inServiceMs,
    tookMs: since(world),
    traffic: copyTraffic(world.traffic),
    deaths: world.deaths.length,
    wrongly: world.deaths.filter(({ wrongly }) => wrongly).length,
    violations: world.violations,
    idealMs: (count) => alone.inService[0]! + queueMs(alone.traffic, count),
    cpuMs: cpuMsSince(began),
    world,
  };
}

async function bootAll(nodes: number, seed: number, scenario: LaunchScenario, undisturbed: boolean): Promise<World> {
  const chance = openChance(seed);
  return underControl(chance, async () => {
    const config = stormConfig(scenario.registrar, scenario.more);
    const world = openWorld(config, chance, 'none', undisturbed ? admitAll : undefined);
    for (let i = 0; i < nodes; i++) {
      if (scenario.script) bootByScript(world, `i-${i.toString(16).padStart(17, '0')}`);
      else launch(world);
    }
    await runUntil(world, scenario.limitMs ?? longestMs, () => world.inService.length === nodes);
    return world;
  });
}

/** No node waits for its name: if EC2 throttles the tag, the node continues without it. */
const unawaited = 'ec2:CreateTags';

/** The time that the busiest bucket needs for the calls of all nodes: calls ÷ rate. */
function queueMs(ofOne: Traffic, nodes: number): number {
  const perLimit = new Map<Limit, number>();
  for (const [action, times] of accepted(ofOne)) {
    if (action === unawaited) continue;
    const limit = limitOf(action);
    perLimit.set(limit, (perLimit.get(limit) ?? 0) + times);
  }
  const waits = [...perLimit].map(([{ burst, perSecond }, times]) => ((times * nodes - burst) / perSecond) * 1000);
  return Math.max(0, ...waits);
}
