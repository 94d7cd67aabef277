/**
 * Retries a launch hook that a node in service could not complete, until its group no longer waits.
 * The status shows it meanwhile.
 */

import type { Config } from '../../config/config.ts';
import { messageOf, unlessRefused } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openGrowingPause } from '../../core/interval.ts';
import { jitter } from '../../core/retry.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { readGroup, type KnownFacts } from '../known-facts.ts';
import type { StatusBook } from '../status.ts';
import { refusedHookPauses } from './complete-hook.ts';
import { sendHeartbeat } from './heartbeats.ts';
import { finishJoining, type Joined } from './join.ts';

/** No lifecycle action lasts longer than 48 h, whatever its heartbeats (GlobalTimeout). */
const longestHookMs = 172_800_000;

/**
 * One answer that no hook waits may be stale or wrong, and the hook would time out and end the
 * node. The node asks again: once the answer has lasted for a minute, and without a heartbeat also
 * later, but before a hook of half an hour times out (the stack's own).
 */
const askAgainMs = [60_000, 240_000, 720_000] as const;

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
  // The join, or this agent's start.
  let begunAt = host.clock.uptime();
  let looks = 0;
  const note = (joined: Joined) => {
    if (typeof joined === 'object') pause.begin();
    book.change(({ launchHook: before, askHookAgainUptime: _asked, ...status }) => {
      if (joined === 'told') return { ...status, askHookAgainUptime: host.clock.uptime() + pauseAfter(looks) };
      if (joined === 'joined') return status;
      const { unfinished: why } = joined;
      if (before?.why !== why) host.log.warn('launch hook not completed', { error: why });
      const { now, uptime } = host.clock;
      const begun = before ?? { since: now(), sinceUptime: uptime() };
      return { ...status, launchHook: { ...begun, why } };
    });
  };
  const finish = (signal: AbortSignal): Promise<Joined> =>
    finishJoining(host, config, knownFacts, roundMs, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      return { unfinished: messageOf(error) };
    });
  const lookAgain = async (signal: AbortSignal) => {
    const isLast = ++looks >= askAgainMs.length;
    const answer = await askAgain(host, config, knownFacts, signal).catch(() => 'silent' as const);
    signal.throwIfAborted();
    if (answer === 'waits') return note(await finish(signal));
    const isOver = answer === 'over' || (answer === 'past' && isLast);
    // Where nothing waits as far as is known, a failed question is no trouble yet.
    note(isOver ? 'joined' : 'told');
  };
  return {
    note(joined) {
      looks = 0;
      begunAt = host.clock.uptime();
      note(joined);
    },
    async tryAgain(signal) {
      const { launchHook, askHookAgainUptime = Infinity } = book.read();
      if (launchHook === undefined ? host.clock.uptime() < askHookAgainUptime : !pause.isOver()) return;
      // A status that an older version wrote has no uptime.
      const { sinceUptime = begunAt } = launchHook ?? {};
      if (host.clock.uptime() - sinceUptime > longestHookMs) return note('joined');
      if (launchHook === undefined) return lookAgain(signal);
      note(await finish(signal));
    },
  };
}

/**
 * Up to half as long again: thousands of nodes that joined together must not ask together. `looks`:
 * those before, also without an answer.
 */
function pauseAfter(looks: number): number {
  const leastMs = askAgainMs[Math.min(looks, askAgainMs.length - 1)]!;
  return leastMs / 2 + jitter(leastMs);
}

/**
 * Asks Auto Scaling with one call whether the hook waits. It is a heartbeat, which also keeps the
 * hook alive. Without permission for it, the state in the group is left: `past`.
 */
async function askAgain(
  host: Host,
  config: Config,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<'waits' | 'over' | 'past'> {
  const { launchHook: hook } = config.autoScaling;
  if (hook === undefined) return 'over';
  const group = await readGroup(host, knownFacts, signal);
  if (group === undefined) return 'past';
  const answer = await sendHeartbeat(host, group, hook, knownFacts, signal).catch(unlessRefused);
  if (answer !== undefined) return answer.active ? 'waits' : 'over';
  const membership = await callOnce(host, signal, (callSignal) => readMembership(host, callSignal));
  return membership?.lifecycleState === 'Pending:Wait' ? 'waits' : 'past';
}
