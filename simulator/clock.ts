/** Time, injected: every delay of the simulated world goes through here. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs once after so many ms; returns what cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The machine's time. Timers do not keep a process alive: its servers do. */
export function openRealClock(): Clock & { stop(): void } {
  const timers = new Set<NodeJS.Timeout>();
  return {
    now: Date.now,
    after(ms, run) {
      // Longer waits (a hook's global timeout of 48 h) fit; what lies beyond 24 days would fire at
      // once.
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
