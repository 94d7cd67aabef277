/**
 * Retries a launch hook that a node in service could not complete, until its group no longer waits.
 * The status shows it meanwhile.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openGrowingPause } from '../../core/interval.ts';
import { jitter } from '../../core/retry.ts';
import type { KnownFacts } from '../known-facts.ts';
import type { StatusBook } from '../status.ts';
import { refusedHookPauses } from './complete-hook.ts';
import { finishJoining, type Joined } from './join.ts';

/** No lifecycle action lasts longer than 48 h, whatever its heartbeats (GlobalTimeout). */
const longestHookMs = 172_800_000;

/**
 * One answer that no hook waits may be stale or wrong, and the hook would time out and end the
 * node. The node asks once more: longer after the answer than a source is wrong, and before a hook
 * of half an hour times out (the stack's own).
 */
const askAgainMs = 1_200_000;

/** Time for a few calls under throttling. */
const roundMs = 60_000;

export interface UnfinishedHooks {
  /** Records the result of joining. */
  note(joined: Joined): void;
  /** Tries again if the pause is over. */
  tryAgain(signal: AbortSignal): Promise<void>;
}

/** Continues with the hook or the question that this boot's last agent left in the status. */
export function openUnfinishedHooks(
  host: Host,
  config: Config,
  book: StatusBook,
  knownFacts: KnownFacts,
): UnfinishedHooks {
  const pause = openGrowingPause(host.clock, refusedHookPauses);
  const openedAt = host.clock.uptime();
  const note = (joined: Joined) => {
    pause.begin();
    book.change(({ launchHook: before, askHookAgainUptime: _asked, ...status }) => {
      if (joined === 'told') return { ...status, askHookAgainUptime: host.clock.uptime() + jitter(askAgainMs) };
      if (joined === 'joined') return status;
      const { unfinished: why } = joined;
      if (before?.why !== why) host.log.warn('launch hook not completed', { error: why });
      const { now, uptime } = host.clock;
      const begun = before ?? { since: now(), sinceUptime: uptime() };
      return { ...status, launchHook: { ...begun, why } };
    });
  };
  return {
    note,
    async tryAgain(signal) {
      const { launchHook, askHookAgainUptime = Infinity } = book.read();
      if (launchHook === undefined ? host.clock.uptime() < askHookAgainUptime : !pause.isOver()) return;
      // A status that an older version wrote has no uptime. The time since this start then counts.
      const { sinceUptime = openedAt } = launchHook ?? {};
      if (host.clock.uptime() - sinceUptime > longestHookMs) return note('joined');
      const joined = await finishJoining(host, config, knownFacts, roundMs, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        return { unfinished: messageOf(error) };
      });
      // Where nothing waits as far as is known, a failed question is no trouble yet.
      note(launchHook === undefined && joined !== 'joined' ? 'told' : joined);
    },
  };
}
