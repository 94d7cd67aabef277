/** Virtual time for a whole fleet: a heap of timers, moved from one to the next. */

import { sleepBy, type FakeClock } from '../fakes/clock.ts';
import { pop, push } from './idle/heap.ts';

export interface SimulatedClock extends Pick<FakeClock, 'now' | 'uptime' | 'schedule' | 'sleep' | 'sleeping'> {
  /**
   * Fires the next timer that is due before `end` and lets everything that follows from it happen.
   * False: there was none.
   */
  step(end: number): Promise<boolean>;
  /** Lets everything that needs no time happen. */
  settle(): Promise<void>;
}

export interface ForeseeingClock extends SimulatedClock {
  /** When the next timer is due; Infinity: none is. */
  next(): number;
}

interface Timer {
  at: number;
  order: number;
  act: (() => void) | undefined;
}

export function openSimulatedClock(startsAt: number): ForeseeingClock {
  let uptime = 1_000;
  let order = 0;
  const heap: Timer[] = [];
  const schedule = (ms: number, act: () => void) => {
    const timer: Timer = { at: uptime + Math.max(0, ms), order: order++, act };
    push(heap, timer, before);
    return () => void (timer.act = undefined);
  };
  const settle = openTurns();
  return {
    now: () => startsAt + uptime,
    uptime: () => uptime,
    schedule,
    settle,
    sleeping: () => heap.filter(({ act }) => act !== undefined).length,
    sleep: sleepBy(schedule),
    next: () => first(heap)?.at ?? Infinity,
    async step(end) {
      const timer = first(heap);
      if (timer === undefined || timer.at > end) {
        uptime = Math.max(uptime, end);
        return false;
      }
      pop(heap, before);
      uptime = timer.at;
      timer.act?.();
      await settle();
      return true;
    },
  };
}

/** So many in one round of the event loop, each of which asks the kernel for what is new. */
const turnsAtOnce = 100;

/**
 * Simulated effects are promises only: one turn drains them all. After each Node tells of promises
 * that were rejected and that nobody has handled, as it would in a program that really waits; which
 * is why a mere tick is not enough.
 */
function openTurns(): () => Promise<void> {
  let left = 0;
  let wake: (() => void) | undefined;
  const turn = () => {
    left -= 1;
    wake?.();
    wake = undefined;
  };
  return () => {
    if (left === 0) for (; left < turnsAtOnce; left++) setImmediate(turn);
    return new Promise((resolve) => (wake = resolve));
  };
}

/** Without those that somebody has forgotten. */
function first(heap: Timer[]): Timer | undefined {
  while (heap[0] !== undefined && heap[0].act === undefined) pop(heap, before);
  return heap[0];
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
