/**
 * What is being done about each watcher's finding just now, so that a person who takes everything
 * back does not race with it.
 */

import type { Watcher } from './watcher.ts';

export interface RunningActions {
  /** One deed of a watcher at a time; its signal aborts when `stop` is called. */
  run(name: Watcher['name'], action: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Returns when nothing of that watcher is under way any more. */
  stop(name: Watcher['name']): Promise<void>;
}

export function openRunningActions(): RunningActions {
  const all = new Map<Watcher['name'], { controller: AbortController; done: Promise<void> }>();
  return {
    async run(name, action, signal) {
      const controller = new AbortController();
      const running = action(AbortSignal.any([signal, controller.signal]));
      all.set(name, { controller, done: running.catch(() => {}) });
      try {
        await running;
      } finally {
        all.delete(name);
      }
    },
    async stop(name) {
      const found = all.get(name);
      found?.controller.abort(new Error('called off'));
      await found?.done;
    },
  };
}
