/** A clock that stands still until a test moves it. */

import type { Clock } from '../../core/retry.ts';

export interface FakeClock extends Clock {
  /** Calls `act` when the clock reaches that time. The returned function cancels it. */
  schedule(ms: number, act: () => void): () => void;
  /** Runs everything that needs no time. */
  settle(): Promise<void>;
  /** Moves the clock by `ms`, and wakes sleepers in their order. */
  run(ms: number): Promise<void>;
  /**
   * Moves the clock from sleeper to sleeper until `work` settles. Fails if `work` waits for
   * something that cannot come.
   */
  finish<T>(work: Promise<T>, limitMs?: number): Promise<T>;
  /** Time passes in which nothing runs, as on a paused machine. Sleepers then wake late. */
  standStill(ms: number): void;
  /** Makes the wall clock jump, as NTP does; durations stay the same. */
  jump(ms: number): void;
  /** Returns the number of sleepers. */
  sleeping(): number;
}

interface Timer {
  at: number;
  order: number;
  act: () => void;
}

/** A week: work that is not done by then never ends. */
const week = 7 * 24 * 3_600_000;

/** Makes a sleep from a clock's schedule. It obeys its signal and leaves no timer behind. */
export function sleepBy(schedule: FakeClock['schedule']): Clock['sleep'] {
  return (ms, signal) =>
    new Promise<void>((resolve, reject) => {
      if (signal.aborted) return void reject(signal.reason as Error);
      const stop = () => {
        forget();
        reject(signal.reason as Error);
      };
      const forget = schedule(ms, () => {
        signal.removeEventListener('abort', stop);
        resolve();
      });
      signal.addEventListener('abort', stop, { once: true });
    });
}

export function openFakeClock(startsAt = Date.UTC(2030, 0, 1)): FakeClock {
  let uptime = 1_000;
  let offset = startsAt - uptime;
  let order = 0;
  const timers = new Set<Timer>();

  const next = (): Timer | undefined => [...timers].toSorted((a, b) => a.at - b.at || a.order - b.order)[0];
  const fire = (timer: Timer) => {
    timers.delete(timer);
    uptime = Math.max(uptime, timer.at);
    timer.act();
  };
  const schedule = (ms: number, act: () => void) => {
    const timer = { at: uptime + Math.max(0, ms), order: order++, act };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  // Fakes only use promises, so one turn of the event loop drains them. A few more turns let
  // dynamic imports end.
  const settle = async () => {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  return {
    now: () => uptime + offset,
    uptime: () => uptime,
    sleep: sleepBy(schedule),
    schedule,
    settle,
    async run(ms) {
      const end = uptime + ms;
      await settle();
      for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) {
        fire(timer);
        await settle();
      }
      uptime = Math.max(uptime, end);
    },
    async finish(work, limitMs = week) {
      let settled = false;
      void Promise.allSettled([work]).then(() => (settled = true));
      const end = uptime + limitMs;
      for (let idle = 0; ;) {
        await settle();
        if (settled) return work;
        const timer = next();
        if (timer !== undefined && timer.at <= end) fire(timer);
        else if (++idle > 50) {
          throw new Error(
            timer === undefined ? 'stuck: it waits for something that will never come' : 'stuck: time is up',
          );
        }
      }
    },
    standStill: (ms) => void (uptime += ms),
    jump: (ms) => void (offset += ms),
    sleeping: () => timers.size,
  };
}
