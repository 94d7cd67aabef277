/** Real time, behind the Clock interface. */

import process from 'node:process';
import type { Clock } from '../core/retry.ts';

/** setTimeout fires at once beyond 2^31 - 1 ms (24.8 days), so longer waits are split. */
const longestTimerMs = 2 ** 31 - 1;

/** A sleep that may end a little earlier, and the time from which it may. */
interface FlexibleSleeper {
  from: number;
  wake(): void;
}

export function openClock(): Clock {
  const drowsy = new Set<FlexibleSleeper>();
  return {
    now: () => Date.now(),
    uptime,
    schedule,
    // Unlike timers/promises, it rejects with the signal's own reason. It leaves no listener on a
    // signal that lives for years.
    async sleep(ms, signal, slackMs = 0) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const wake = () => {
          forget();
          drowsy.delete(self);
          signal.removeEventListener('abort', wake);
          if (signal.aborted) reject(signal.reason as Error);
          else resolve();
        };
        const self: FlexibleSleeper = { from: uptime() + ms - slackMs, wake };
        const forget = schedule(ms, () => {
          wake();
          const now = uptime();
          for (const each of drowsy) if (each.from <= now) each.wake();
        });
        if (slackMs > 0) drowsy.add(self);
        signal.addEventListener('abort', wake);
      });
    },
  };
}

/**
 * Monotonic milliseconds. Node.js's `performance` would load eight modules for the same value, a
 * hundredth of a bootstrap's CPU time.
 */
export function uptime(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}

function schedule(ms: number, act: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (rest: number) => {
    const go = () => (rest <= longestTimerMs ? act() : wait(rest - longestTimerMs));
    timer = setTimeout(go, Math.min(rest, longestTimerMs));
  };
  wait(ms);
  return () => clearTimeout(timer);
}
