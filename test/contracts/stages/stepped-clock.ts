/**
 * Lets time pass in the simulated world only when a test says so. On a loaded machine a second
 * passes between two calls of a test, and a task that has just been told to stop is gone by then.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../../simulator/clock.ts';

export interface SteppedClock extends Clock {
  /** Lets `ms` pass. */
  pass(ms: number): void;
  /** Lets time pass until `work` has settled. */
  passDuring<T>(work: Promise<T>): Promise<T>;
}

interface Timer {
  at: number;
  run: () => void;
}

/** While a test waits for a real answer, time passes ten times as fast as real time. */
const stepMs = 50;
const realMs = 5;

export function openSteppedClock(): SteppedClock {
  const timers = new Set<Timer>();
  let passedMs = 0;
  const nextUntil = (end: number): Timer | undefined =>
    [...timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
  const pass = (ms: number) => {
    const end = passedMs + ms;
    for (let timer = nextUntil(end); timer !== undefined; timer = nextUntil(end)) {
      timers.delete(timer);
      passedMs = timer.at;
      timer.run();
    }
    passedMs = end;
  };
  return {
    // Signatures and credentials are checked by the wall clock.
    now: Date.now,
    after(ms, run) {
      const timer = { at: passedMs + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass,
    async passDuring(work) {
      let isSettled = false;
      const settle = () => void (isSettled = true);
      work.then(settle, settle);
      while (!isSettled) {
        pass(stepMs);
        await pause(realMs);
      }
      return work;
    },
  };
}
