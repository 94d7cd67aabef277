/** What is being done about each watcher's finding just now, so that a person who takes everything back does not race with it. */

import type { Watcher } from './watcher.ts';

export interface UnderWay {
  /** One deed of a watcher at a time; its signal aborts when `stop` is called. */
  run(name: Watcher['name'], deed: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Returns when nothing of that watcher is under way any more. */
  stop(name: Watcher['name']): Promise<void>;
}

export function openUnderWay(): UnderWay {
  const all = new Map<Watcher['name'], { controller: AbortController; done: Promise<void> }>();
  return {
    async run(name, deed, signal) {
      const controller = new AbortController();
      const running = deed(AbortSignal.any([signal, controller.signal]));
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
