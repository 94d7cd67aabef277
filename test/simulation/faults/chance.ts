/** Draws every choice of a simulation from one seed. */

import { seeded } from '../../fakes/random.ts';

export interface Chance {
  /** Returns a number from 0 to 1, without 1. */
  next(): number;
  happens(probability: number): boolean;
  between(min: number, max: number): number;
  whole(min: number, max: number): number;
  pick<T>(list: readonly T[]): T;
  /**
   * Returns a value that is often near `typical` and seldom many times as long, like the durations
   * of networks and tasks.
   */
  around(typical: number): number;
}

export function openChance(seed: number): Chance {
  // With mulberry32, neighbouring seeds begin alike; spread seeds do not.
  const next = seeded(Math.imul(seed + 1, 0x9e3779b1) ^ (seed >>> 16));
  const between = (min: number, max: number) => min + (max - min) * next();
  const whole = (min: number, max: number) => Math.floor(between(min, max + 1));
  return {
    next,
    between,
    whole,
    happens: (probability) => next() < probability,
    pick: (list) => list[whole(0, list.length - 1)]!,
    around: (typical) => -Math.log(1 - next()) * typical * 0.7 + typical * 0.3,
  };
}
