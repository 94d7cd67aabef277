/**
 * The only loop: asks each watcher on its interval, feeds the judge, has its verdicts carried out.
 */

import { messageOf } from '../../core/errors.ts';
import { withTimeout } from '../../core/retry.ts';
import { judge, type Memory } from './judge.ts';
import type { StatusBook, WatcherStatus } from '../status.ts';
import { resumePast } from './resume.ts';
import { carryOut, listenForDenials, type AgentContext } from './carry-out.ts';
import type { Finding, Watcher } from './watcher.ts';

/**
 * Questions that are asked seldom are asked first within this time, so that the status is complete
 * soon after the start.
 */
const firstWithinMs = 10_000;

/**
 * What is asked so often goes to the machine itself and is asked on a common beat, so that one
 * wake-up does for all of it. A process that sleeps nearly always pays more for waking than for
 * what it wakes for (docs/decisions/0012).
 */
const sharedTickMs = 10_000;

/** Who is on the beat may be woken so much early with the others, and counts as on time. */
const sharedTickSlackShare = 0.02;

/**
 * So much of its interval another question waits at least before it is asked together with one of
 * those.
 */
const leastIntervalShare = 0.7;

/** A check that takes longer than its interval must not become a busy loop. */
const leastPauseShare = 0.25;

export interface WatchContext {
  context: AgentContext;
  book: StatusBook;
  joined(): boolean;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/**
 * Each watcher has a loop of its own, so that a slow one delays nobody. Runs until the signal
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
  const { clock } = context.host;
  const isUrgent = watcher.everyMs <= sharedTickMs;
  // What is urgent at once, the rest one after the other.
  if (!isUrgent) await clock.sleep(random() * firstWithinMs, signal);
  for (;;) {
    const checkedAt = clock.uptime();
    if (watcher.afterJoin !== true || joined()) await checkOnce(watching, watcher, signal);
    const { latestAt, earliestAt } = isUrgent
      ? nextSharedTick(watcher, checkedAt, beganAt)
      : nextSpreadCheck(watcher, checkedAt, random);
    const soonestAt = clock.uptime() + watcher.everyMs * leastPauseShare;
    const until = Math.max(latestAt, soonestAt);
    await clock.sleep(until - clock.uptime(), signal, until - Math.max(earliestAt, soonestAt));
  }
}

interface CheckWindow {
  earliestAt: number;
  latestAt: number;
}

/** Never later than promised. */
function nextSharedTick({ everyMs }: Watcher, checkedAt: number, beganAt: number): CheckWindow {
  const slackMs = everyMs * sharedTickSlackShare;
  const ticks = Math.floor((checkedAt + slackMs - beganAt) / everyMs) + 1;
  const latestAt = beganAt + ticks * everyMs;
  return { latestAt, earliestAt: latestAt - slackMs };
}

/**
 * Not in step with the rest of the fleet, for some of these ask AWS; but together with other
 * questions.
 */
function nextSpreadCheck({ everyMs }: Watcher, checkedAt: number, random: () => number): CheckWindow {
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
  const [memory, verdict] = judge(before, finding, host.clock.uptime());
  memories.note(watcher.name, memory);
  try {
    await carryOut(watching.context, watcher, verdict, signal);
  } catch (error) {
    signal.throwIfAborted();
    failure ??= error;
  }
  record(watching, watcher.name, finding, failure, isSameMemory(before, memory));
}

/** But for how long the same has lasted, which the next process does not go by. */
function isSameMemory(one: Memory, other: Memory): boolean {
  return (
    one.settled === other.settled &&
    one.begun === other.begun &&
    one.excused === other.excused &&
    one.wish === other.wish &&
    one.handled === other.handled &&
    one.attempts === other.attempts &&
    one.checks === other.checks
  );
}

/** But for when it was said. */
function isSameAnswer(one: WatcherStatus, other: WatcherStatus): boolean {
  return (
    one.finding === other.finding &&
    one.reason === other.reason &&
    one.facts === other.facts &&
    one.error === other.error
  );
}

/**
 * Measured anew at each check, and mostly the same: then it is the same object, too, which is
 * quicker to tell than the whole status.
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
  // The same trouble every two seconds would fill the journal.
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
    ...(facts !== undefined && { facts }),
    ...(error !== undefined && { error }),
  };
  // By far the most frequent case, several times a second.
  if (isRememberedAlready && before !== undefined && isSameAnswer(before, next)) return book.touch(name, next);
  const memories = context.memories.all();
  book.change((status) => ({ ...status, memories, watchers: { ...status.watchers, [name]: next } }));
}
