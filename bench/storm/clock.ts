/**
 * Virtual time for thousands of nodes: timers that are due in the same hundredth of a second fire
 * together.
 */

import type { SimulatedClock } from '../../test/simulation/clock.ts';
import { pop, push } from '../../test/simulation/idle/heap.ts';

/**
 * Far less than the time of any call. Between two ticks Node.js runs its event loop once, which is
 * the main cost.
 */
const tickMs = 10;

interface Timer {
  act: (() => void) | undefined;
}

export interface StormClock extends SimulatedClock {
  /** Rejects as soon as the signal aborts; never settles if the sleeper is gone. */
  sleepWhile(isThere: () => boolean, ms: number, signal: AbortSignal): Promise<void>;
}

export function openStormClock(startsAt: number): StormClock {
  let uptime = 1_000;
  const due = new Map<number, Timer[]>();
  const ticks: number[] = [];
  const add = (ms: number, act: () => void): Timer => {
    const tick = Math.ceil((uptime + Math.max(0, ms)) / tickMs);
    const timer: Timer = { act };
    const others = due.get(tick);
    if (others !== undefined) others.push(timer);
    else {
      due.set(tick, [timer]);
      push(ticks, tick, sooner);
    }
    return timer;
  };
  // Simulated effects only use promises, so one turn of the event loop drains them all.
  const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const sleepWhile: StormClock['sleepWhile'] = (isThere, ms, signal) =>
    new Promise<void>((resolve, reject) => {
      if (signal.aborted) return isThere() ? void reject(signal.reason as Error) : undefined;
      const timer = add(ms, () => {
        signal.removeEventListener('abort', stop);
        if (isThere()) resolve();
      });
      const stop = () => {
        timer.act = undefined;
        if (isThere()) reject(signal.reason as Error);
      };
      signal.addEventListener('abort', stop, { once: true });
    });
  return {
    now: () => startsAt + uptime,
    uptime: () => uptime,
    schedule(ms, act) {
      const timer = add(ms, act);
      return () => void (timer.act = undefined);
    },
    settle: nextTurn,
    sleeping: () => [...due.values()].flat().filter(({ act }) => act !== undefined).length,
    sleepWhile,
    sleep: (ms, signal) => sleepWhile(always, ms, signal),
    async step(end) {
      const tick = ticks[0];
      if (tick === undefined || tick * tickMs > end) {
        uptime = Math.max(uptime, end);
        return false;
      }
      pop(ticks, sooner);
      uptime = Math.max(uptime, tick * tickMs);
      const timers = due.get(tick)!;
      due.delete(tick);
      for (const timer of timers) timer.act?.();
      await nextTurn();
      return true;
    },
  };
}

const always = () => true;

const sooner = (one: number, other: number) => one < other;
