/**
 * The only watching loop: checks each watcher at its interval, passes the finding to the judge, and
 * has the decision carried out.
 */

import { messageOf } from '../../core/errors.ts';
import { everyInterval, type StartWindow } from '../../core/interval.ts';
import { longestGapMs } from '../../core/lasting.ts';
import { withTimeout } from '../../core/retry.ts';
import { afterGap, judge, type Memory } from './judge.ts';
import { isHeldBy } from '../held.ts';
import type { StatusBook, WatcherStatus } from '../status.ts';
import { resumePast } from './resume.ts';
import { carryOut, listenForDenials, type AgentContext } from './carry-out.ts';
import type { Finding, Watcher } from './watcher.ts';

/**
 * Watchers with long intervals run first within this time, so that the status is complete soon
 * after the start.
 */
const firstWithinMs = 10_000;

/**
 * Checks with at most this interval ask only the machine itself, and share a common tick, so that
 * one wake-up serves them all. For a process that nearly always sleeps, waking costs more than the
 * checks (docs/decisions/0012).
 */
const sharedTickMs = 10_000;

/**
 * A check on the shared tick may run this much early, together with others, and counts as on time.
 */
const sharedTickSlackShare = 0.02;

/** Another check waits at least this share of its interval before it joins a shared tick. */
const leastIntervalShare = 0.7;

/**
 * A watcher with a long interval has longer gaps. One failed treatment of a full disk makes one of
 * ten minutes.
 */
const longestGapIntervals = 4;

export interface WatchContext {
  context: AgentContext;
  book: StatusBook;
  joined(): boolean;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/**
 * Runs each watcher in its own loop, so that a slow one delays no other. Runs until the signal
 * aborts.
 */
export async function watch(watching: WatchContext, signal: AbortSignal): Promise<never> {
  const { context } = watching;
  listenForDenials(context, signal);
  await resumePast(context, signal);
  const beganAt = context.host.clock.uptime();
  await Promise.all(context.watchers.map((watcher) => checkRepeatedly(watching, watcher, beganAt, signal)));
  throw new TypeError('there is nothing to watch');
}

async function checkRepeatedly(
  watching: WatchContext,
  watcher: Watcher,
  beganAt: number,
  signal: AbortSignal,
): Promise<never> {
  const { context, joined, random = Math.random } = watching;
  const { everyMs } = watcher;
  // Urgent watchers start at once, the others spread over some seconds.
  const timing =
    everyMs <= sharedTickMs
      ? { next: (checkedAt: number) => nextSharedTick(watcher, checkedAt, beganAt) }
      : { firstWithinMs, next: (checkedAt: number) => nextSpreadCheck(watcher, checkedAt, random) };
  return everyInterval(context.host.clock, { everyMs, random, ...timing }, signal, async () => {
    if (watcher.afterJoin !== true || joined()) await checkOnce(watching, watcher, signal);
  });
}

/** The next shared tick, never later than the watcher's interval. */
function nextSharedTick({ everyMs }: Watcher, checkedAt: number, beganAt: number): StartWindow {
  const slackMs = everyMs * sharedTickSlackShare;
  const ticks = Math.floor((checkedAt + slackMs - beganAt) / everyMs) + 1;
  const latestAt = beganAt + ticks * everyMs;
  return { latestAt, earliestAt: latestAt - slackMs };
}

/**
 * Spread at random, because some of these checks call AWS, but joined with other checks when
 * possible.
 */
function nextSpreadCheck({ everyMs }: Watcher, checkedAt: number, random: () => number): StartWindow {
  return {
    latestAt: checkedAt + everyMs * (0.8 + 0.2 * random()),
    earliestAt: checkedAt + everyMs * leastIntervalShare,
  };
}

async function checkOnce(watching: WatchContext, watcher: Watcher, signal: AbortSignal): Promise<void> {
  const { host, memories } = watching.context;
  let finding: Finding | undefined;
  let failure: unknown;
  try {
    finding = await withTimeout(
      watcher.deadlineMs,
      (callSignal) => watcher.check(host, callSignal),
      host.clock,
      signal,
    );
  } catch (error) {
    signal.throwIfAborted();
    failure = error;
  }
  const before = memories.recall(watcher.name);
  const now = host.clock.uptime();
  const known = afterGap(before, now, Math.max(longestGapMs, longestGapIntervals * watcher.everyMs));
  const open = watcher.hasMissed?.() === true ? { ...known, settled: false } : known;
  const [memory, verdict] = judge(open, finding, now);
  memories.note(watcher.name, memory);
  try {
    await carryOut(watching.context, watcher, verdict, signal);
  } catch (error) {
    signal.throwIfAborted();
    failure ??= error;
  }
  const { denied } = memories.recall(watcher.name);
  // A hold is no error. The status names it beside the trouble.
  const isHeld = isHeldBy(denied);
  if (denied !== undefined && !isHeld) failure ??= `the node stays, and asks again later: ${denied}`;
  record(watching, watcher.name, isHeld ? withHold(finding, denied) : finding, failure, isSameMemory(before, memory));
}

function withHold(finding: Finding | undefined, hold: string | undefined): Finding | undefined {
  const isTrouble = finding?.kind === 'ailing' || finding?.kind === 'doomed';
  return isTrouble ? { ...finding, reason: `${finding.reason}; ${hold}` } : finding;
}

/** Equal except for the streak, which the next process does not use. */
function isSameMemory(one: Memory, other: Memory): boolean {
  return (
    one.settled === other.settled &&
    one.begun === other.begun &&
    one.excused === other.excused &&
    one.denied === other.denied &&
    one.deniedKeys === other.deniedKeys &&
    one.wish === other.wish &&
    one.handled === other.handled &&
    one.replaced === other.replaced &&
    one.attempts === other.attempts &&
    one.checks === other.checks
  );
}

/** Equal except for the times. */
function isSameAnswer(one: WatcherStatus, other: WatcherStatus): boolean {
  return (
    one.finding === other.finding &&
    one.reason === other.reason &&
    one.needsPerson === other.needsPerson &&
    one.facts === other.facts &&
    one.error === other.error
  );
}

/**
 * Facts are measured at each check and rarely change. Reusing the old object makes the comparison
 * cheaper than comparing the whole status.
 */
function sameFacts(before: Finding['facts'], now: Finding['facts']): Finding['facts'] {
  return now === undefined || JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

function record(
  { context, book }: WatchContext,
  name: string,
  finding: Finding | undefined,
  failure: unknown,
  isRememberedAlready: boolean,
): void {
  const { clock, log } = context.host;
  const before = book.read().watchers[name];
  const kind = finding?.kind ?? 'unknown';
  const error = failure === undefined ? undefined : messageOf(failure);
  // Only a new error is logged: the same one every two seconds would fill the journal.
  if (error !== undefined && error !== before?.error) {
    log.warn(finding === undefined ? 'could not tell' : 'verdict not carried out', { watcher: name, error });
    book.error(name, failure);
  }
  const reason = finding !== undefined && 'reason' in finding ? finding.reason : undefined;
  const facts = sameFacts(before?.facts, finding?.facts);
  const now = clock.now();
  const next: WatcherStatus = {
    finding: kind,
    at: now,
    since: before?.finding === kind ? before.since : now,
    ...(reason !== undefined && { reason }),
    ...(finding?.kind === 'notable' && finding.needsPerson && { needsPerson: true }),
    ...(facts !== undefined && { facts }),
    ...(error !== undefined && { error }),
  };
  // The most frequent case, several times a second.
  if (isRememberedAlready && before !== undefined && isSameAnswer(before, next)) return book.touch(name, next);
  const memories = context.memories.all();
  book.change((status) => ({ ...status, memories, watchers: { ...status.watchers, [name]: next } }));
}
