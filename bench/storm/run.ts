/**
 * Runs a storm from one seed: replaces the product's clock and randomness from Node.js, and moves
 * the virtual clock.
 */

import { lightenAborts } from '../../test/simulation/light-abort.ts';
import type { Chance } from '../../test/simulation/faults/chance.ts';
import type { World } from './world.ts';

/**
 * The seed also decides the product's own jitter. Abort signals go without stack traces, because no
 * one reads them here.
 */
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

/** Runs until `isOver`, or for `ms` of virtual time. Returns true if `isOver` held. */
export async function runUntil(world: World, ms: number, isOver: () => boolean): Promise<boolean> {
  const end = world.clock.uptime() + ms;
  await world.clock.settle();
  while (!isOver()) if (!(await world.clock.step(end))) return isOver();
  return true;
}

/** The CPU time of this process, which only simulates. */
export function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
