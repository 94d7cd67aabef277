/** Real time, behind the Clock that everything else is given. */

import process from 'node:process';
import type { Clock } from '../core/retry.ts';

/** setTimeout fires at once beyond 2^31 - 1 ms (24.8 days), so longer waits go in pieces. */
const longestTimerMs = 2 ** 31 - 1;

/** Who may be woken a little earlier, and from when on. */
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
    // Unlike timers/promises it rejects with the signal's own reason, and leaves nothing behind on
    // a signal that lives for years.
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
 * Monotonic milliseconds. Node's `performance` would load eight modules, a hundredth of a
 * bootstrap's CPU time, to say the same.
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
