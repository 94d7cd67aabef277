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
  /** When each came into service, in order; milliseconds since the launch. */
  inServiceMs: number[];
  tookMs: number;
  traffic: Traffic;
  deaths: number;
  wrongly: number;
  violations: string[];
  /** With nobody in the way, and as many calls as one node needs from each bucket. */
  idealMs: (nodes: number) => number;
  /** What it took to simulate. */
  cpuMs: number;
}

/** A day: who is not in service by then never will be. */
const longestMs = 24 * 3_600_000;

export interface LaunchScenario {
  label: string;
  registrar: Registrar;
  more?: Record<string, unknown>;
  /** The bash script instead of ecs-node. */
  script?: true;
  limitMs?: number;
}

/** With the world as it is then, to go on from there. */
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

/** Nobody waits for a name: where EC2 has no time for it a node goes on. */
const unawaited = 'ec2:CreateTags';

/** How long the busiest bucket needs for what so many nodes need of it: calls ÷ rate. */
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
