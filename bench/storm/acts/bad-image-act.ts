/**
 * Act 3: the nodes of an image can never register, and their group replaces each node that
 * terminates.
 */

import { openChance } from '../../../test/simulation/faults/chance.ts';
import { launch } from '../life.ts';
import { cpuMsSince, runUntil, underControl } from '../run.ts';
import { stormConfig } from '../settings.ts';
import { copyTraffic, type Traffic } from '../traffic.ts';
import { openWorld, since, type World } from '../world.ts';

export interface NodeCounts {
  ms: number;
  alive: number;
  waiting: number;
  dead: number;
}

export interface BadImage {
  nodes: number;
  hours: number;
  counts: NodeCounts[];
  launched: number;
  traffic: Traffic;
  /** The CPU time of the simulation. */
  cpuMs: number;
}

const minute = 60_000;

export async function launchBadImage(nodes: number, seed: number, hours: number): Promise<BadImage> {
  const began = process.cpuUsage();
  const chance = openChance(seed);
  return underControl(chance, async () => {
    const world = openWorld(stormConfig('none'), chance, 'other cluster');
    world.replaces = true;
    for (let i = 0; i < nodes; i++) launch(world);
    const counts: NodeCounts[] = [];
    for (let at = 0; at < hours * 60; at++) {
      counts.push(countNodes(world));
      await runUntil(world, minute, () => false);
    }
    counts.push(countNodes(world));
    const cpuMs = cpuMsSince(began);
    return { nodes, hours, counts, launched: world.nodes.length, traffic: copyTraffic(world.traffic), cpuMs };
  });
}

function countNodes(world: World): NodeCounts {
  const alive = new Set(world.nodes.filter(({ phase }) => phase === 'booting' || phase === 'up').map(({ id }) => id));
  const waiting = new Set(world.held.filter(({ id }) => alive.has(id)).map(({ id }) => id)).size;
  return { ms: since(world), alive: alive.size, waiting, dead: world.deaths.length };
}
