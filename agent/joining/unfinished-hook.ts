/**
 * A launch hook that a node in service could not complete: tried again until its group waits no
 * more, shown in the status meanwhile.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import type { KnownFacts } from '../known-facts.ts';
import type { StatusBook } from '../status.ts';
import { finishJoining, type Joined } from './join.ts';

/** Soon enough for a short hook. A role that may not ask is refused a few times an hour. */
const firstPauseMs = 30_000;
const longestPauseMs = 900_000;

/** No lifecycle action lasts longer, whatever its heartbeats (GlobalTimeout). */
const longestHookMs = 172_800_000;

/** Some calls in bad times. */
const roundMs = 60_000;

export interface UnfinishedHooks {
  /** Takes note of what joining came to. */
  note(joined: Joined): void;
  /** Tries again, when it is time to. */
  tryAgain(signal: AbortSignal): Promise<void>;
}

/** Goes on with what the last agent of this boot has left in the status. */
export function openUnfinishedHooks(
  host: Host,
  config: Config,
  book: StatusBook,
  knownFacts: KnownFacts,
): UnfinishedHooks {
  let pauseMs = firstPauseMs;
  let dueAt = host.clock.uptime();
  const note = (joined: Joined) => {
    dueAt = host.clock.uptime() + jitter(pauseMs);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    book.change(({ launchHook: before, ...status }) => {
      if (joined === 'joined') return status;
      const { unfinished: why } = joined;
      if (before?.why !== why) host.log.warn('launch hook not completed', { error: why });
      return { ...status, launchHook: { why, since: before?.since ?? host.clock.now() } };
    });
  };
  return {
    note,
    async tryAgain(signal) {
      const { launchHook } = book.read();
      if (launchHook === undefined || host.clock.uptime() < dueAt) return;
      if (host.clock.now() - launchHook.since > longestHookMs) return note('joined');
      try {
        note(await finishJoining(host, config, knownFacts, roundMs, signal));
      } catch (error) {
        signal.throwIfAborted();
        note({ unfinished: messageOf(error) });
      }
    },
  };
}
