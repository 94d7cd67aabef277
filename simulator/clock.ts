/** Injected time: every delay of the simulated world goes through this clock. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs the function once after `ms` milliseconds; returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The machine's clock. Its timers do not keep the process alive; the servers do. */
export function openRealClock(): Clock & { stop(): void } {
  const timers = new Set<NodeJS.Timeout>();
  return {
    now: Date.now,
    after(ms, run) {
      // The longest wait, a hook's global timeout of 48 h, fits. Node.js would fire a timer beyond
      // 24 days at once.
      const timer = setTimeout(
        () => {
          timers.delete(timer);
          run();
        },
        Math.min(ms, 2 ** 31 - 1),
      ).unref();
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
