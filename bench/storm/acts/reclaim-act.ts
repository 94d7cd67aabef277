/** Act 2: EC2 reclaims a tenth of the fleet at the same moment, with two minutes' notice. */

import { shutDown } from '../life.ts';
import { whenSet, type StormNode } from '../node.ts';
import { cpuMsSince, runUntil, underControl } from '../run.ts';
import { copyTraffic, total, trafficSince, type Traffic } from '../traffic.ts';
import { since, type World } from '../world.ts';

export interface Reclaim {
  reclaimed: number;
  /** From the notice to DRAINING, in order. */
  drainingMs: number[];
  /** The nodes that were never DRAINING while they lived. */
  never: number;
  traffic: Traffic;
  wrongly: number;
  /** The CPU time of the simulation, without the launch. */
  cpuMs: number;
}

const share = 0.1;
const noticeMs = 120_000;

/** EC2 is not punctual to the second. A later action of the node counts for nothing. */
const takenMs = noticeMs + 1_000;

/** The interval between two checks whether the calls after a launch have ended. */
const lookMs = 60_000;
const longestQuietMs = 2 * 3_600_000;

/** Continues with a world in which all nodes are in service. */
export async function reclaimTenth(world: World): Promise<Reclaim> {
  const cpuBefore = process.cpuUsage();
  return underControl(world.chance, async () => {
    await becomeQuiet(world);
    const { clock, chance, cluster } = world;
    // From here on the watchers poll as often as on a real node; watchers in a long sleep wake
    // first.
    world.slowness = 1;
    await runUntil(world, lookMs, () => false);
    for (const node of world.nodes) node.tasks.push(cluster.addTask(node.containerInstance!.arn));
    const chosen = pickTenth(world.nodes, chance.next);
    const before = copyTraffic(world.traffic);
    const deaths = world.deaths.length;
    const beganAt = since(world);
    const drainingMs: number[] = [];
    for (const node of chosen) {
      whenSet(node.containerInstance!, 'status', 'DRAINING', () => void drainingMs.push(since(world) - beganAt));
      node.doomed = true;
      node.metadata.spotNotice = { action: 'terminate', at: clock.now() + noticeMs };
      clock.schedule(takenMs, () => shutDown(world, node));
    }
    await runUntil(world, takenMs + lookMs, () => false);
    return {
      reclaimed: chosen.length,
      drainingMs: drainingMs.toSorted((a, b) => a - b),
      never: chosen.length - drainingMs.length,
      traffic: trafficSince(before, world.traffic),
      wrongly: world.deaths.slice(deaths).filter(({ wrongly }) => wrongly).length,
      cpuMs: cpuMsSince(cpuBefore),
    };
  });
}

/** Waits until a minute has passed without a throttled call. */
async function becomeQuiet(world: World): Promise<void> {
  const end = world.clock.uptime() + longestQuietMs;
  for (let before = -1; before !== total(world.traffic.throttled) && world.clock.uptime() < end;) {
    before = total(world.traffic.throttled);
    await runUntil(world, lookMs, () => false);
  }
}

/** Picks nodes from the whole fleet. */
function pickTenth(nodes: readonly StormNode[], random: () => number): StormNode[] {
  const mixed = nodes.map((node) => ({ node, at: random() })).toSorted((a, b) => a.at - b.at);
  return mixed.slice(0, Math.ceil(nodes.length * share)).map(({ node }) => node);
}
