/** Real time, behind the Clock that everything else is given. */

import type { Clock } from '../core/patience.ts';

/** setTimeout fires at once beyond 2^31 - 1 ms (24.8 days), so longer sleeps go in pieces. */
const longestTimerMs = 2 ** 31 - 1;

export function openClock(): Clock {
  return {
    now: () => Date.now(),
    uptime: () => performance.now(),
    async sleep(ms, signal) {
      for (let rest = ms; ; rest -= longestTimerMs) {
        await sleepOnce(Math.min(rest, longestTimerMs), signal);
        if (rest <= longestTimerMs) return;
      }
    },
  };
}

/** Unlike timers/promises it rejects with the signal's own reason, and leaves nothing behind on a signal that lives for years. */
async function sleepOnce(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener('abort', wake);
  });
}
