/**
 * Runs a storm from one seed: takes over what the product takes from Node, and moves the virtual
 * clock.
 */

import { lightenAborts } from '../../test/simulation/light-abort.ts';
import type { Chance } from '../../test/simulation/faults/chance.ts';
import type { World } from './world.ts';

/** The product's own jitter is part of the seed, and nobody reads its signals' stack traces. */
export async function underControl<T>(chance: Chance, work: () => Promise<T>): Promise<T> {
  const { random } = Math;
  const { stackTraceLimit } = Error;
  const makeHeavy = lightenAborts();
  Math.random = () => chance.next();
  Error.stackTraceLimit = 0;
  try {
    return await work();
  } finally {
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
    makeHeavy();
  }
}

/** Until `isOver`, or for `ms` of virtual time. True when it was over. */
export async function runUntil(world: World, ms: number, isOver: () => boolean): Promise<boolean> {
  const end = world.clock.uptime() + ms;
  await world.clock.settle();
  while (!isOver()) if (!(await world.clock.step(end))) return isOver();
  return true;
}

/** Of this process, which simulates and does nothing else. */
export function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
