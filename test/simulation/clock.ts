/** Virtual time for a whole fleet: a heap of timers; the clock advances from one to the next. */

import { sleepBy, type FakeClock } from '../fakes/clock.ts';
import { pop, push } from './idle/heap.ts';

export interface SimulatedClock extends Pick<FakeClock, 'now' | 'uptime' | 'schedule' | 'sleep' | 'sleeping'> {
  /**
   * Fires the next timer that is due before `end`, and runs everything that follows from it.
   * Returns false if there was none.
   */
  step(end: number): Promise<boolean>;
  /** Runs everything that needs no time. */
  settle(): Promise<void>;
}

export interface ForeseeingClock extends SimulatedClock {
  /** Returns the time of the next timer; Infinity if there is none. */
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

/**
 * Turns in one round of the event loop; each round also polls the kernel for events, which costs
 * time.
 */
const turnsAtOnce = 100;

/**
 * Simulated effects only use promises, so one turn drains them all. After each turn Node.js reports
 * unhandled rejections, as in a program that really waits. A microtask would skip these reports.
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

/** Returns the first timer that is not cancelled. */
function first(heap: Timer[]): Timer | undefined {
  while (heap[0] !== undefined && heap[0].act === undefined) pop(heap, before);
  return heap[0];
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
