/**
 * The action under way for each watcher, so that a person's `ecs-node stay` does not race with it.
 */

import type { Watcher } from './watcher.ts';

export interface RunningActions {
  /** Runs one action of a watcher at a time. Its signal aborts when `stop` is called. */
  run(name: Watcher['name'], action: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Aborts the watcher's action and returns when it has ended. */
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
