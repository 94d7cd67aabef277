/**
 * Pure: what was known of one question and what was found now → what is known, and what follows.
 */

import { flag, listOf, marked, maybe, number, oneOf, shaped, text, time } from '../../core/shape.ts';
import { endings } from '../../core/state/state.ts';
import type { Finding, Wish } from './watcher.ts';

const streakKinds = ['well', 'ailing', 'doomed'] as const;

/** What is remembered of one watcher; plain JSON, of bounded size. */
export interface Memory {
  /** The same finding, again and again: how often, and for how long it was seen to last. */
  streak: { kind: (typeof streakKinds)[number]; checks: number; ms: number; lastAt?: number };
  /** Checks in a row that the trouble needed; as many good ones end it. */
  checks: number;
  /** Treatments given. */
  attempts: number;
  /** A treatment, or leaving, was asked for: from then on a place in a queue may be held. */
  begun: boolean;
  /** Keys of events that were told or handled, newest last. */
  handled: string[];
  /** The departure that this watcher asks for. */
  wish?: Wish;
  /** Called off by a person or by time: not acted upon again until all was well in between. */
  excused?: true;
  /** False until all was well once: what an earlier process did is not known. */
  settled: boolean;
}

const isWish = shaped<Wish>({
  reason: text,
  ending: oneOf(endings),
  deadline: maybe(time),
  deadlineUptime: maybe(number),
  key: maybe(text),
  undoAfterMs: maybe(number),
  revocableAfterMs: maybe(number),
  returns: marked,
});

export const isMemory = shaped<Memory>({
  streak: shaped<Memory['streak']>({ kind: oneOf(streakKinds), checks: number, ms: number, lastAt: maybe(number) }),
  checks: number,
  attempts: number,
  begun: flag,
  handled: listOf(text),
  wish: maybe(isWish),
  excused: marked,
  settled: flag,
});

export type Verdict =
  | { kind: 'stay' }
  | { kind: 'tell'; reason: string }
  | { kind: 'treat'; attempt: number; reason: string }
  /** What was done about it can be undone. */
  | { kind: 'recover' }
  /** A person takes everything back. */
  | { kind: 'undo'; reason: string }
  | { kind: 'leave'; wish: Wish };

/** Events that a node may have at the same time are few; more are remembered than IMDS lists. */
const maxHandled = 32;

export const blank: Memory = {
  streak: { kind: 'well', checks: 0, ms: 0 },
  checks: 1,
  attempts: 0,
  begun: false,
  handled: [],
  settled: false,
};

const stay: Verdict = { kind: 'stay' };

/**
 * `finding` is undefined when the check could not tell: that advances nothing and condemns nothing.
 * `now` is uptime in milliseconds. A `treat`, `recover` or `leave` comes again at the next check
 * until it is confirmed with the function of that name.
 */
export function judge(memory: Memory, finding: Finding | undefined, now: number): [Memory, Verdict] {
  // Time in which nobody could tell does not count as lasting.
  if (finding === undefined) return [{ ...memory, streak: withoutTime(memory.streak) }, stay];
  switch (finding.kind) {
    case 'well':
      return judgeWell(extend(memory, 'well', now));
    case 'notable': {
      const [calm, verdict] = judgeWell(extend(memory, 'well', now));
      if (verdict.kind !== 'stay' || calm.handled.includes(finding.key)) return [calm, verdict];
      return [handle(calm, finding.key), { kind: 'tell', reason: finding.reason }];
    }
    case 'ailing':
      return judgeAiling(memory, finding, now);
    case 'doomed':
      return judgeDoomed(extend(memory, 'doomed', now), finding);
    case 'revoked':
      return [extend(memory, 'well', now), { kind: 'undo', reason: finding.reason }];
  }
}

function judgeWell(memory: Memory): [Memory, Verdict] {
  const { streak, wish, begun, settled } = memory;
  if (wish?.key !== undefined) {
    const revocable = wish.revocableAfterMs !== undefined && streak.ms >= wish.revocableAfterMs;
    return [memory, revocable ? { kind: 'recover' } : stay];
  }
  return [memory, (begun || !settled) && streak.checks >= memory.checks ? { kind: 'recover' } : stay];
}

function judgeAiling(before: Memory, finding: Finding & { kind: 'ailing' }, now: number): [Memory, Verdict] {
  if (finding.mild === true && !before.begun) return judgeWell(extend(before, 'well', now));
  const memory = { ...extend(before, 'ailing', now), checks: finding.checks };
  const { streak, attempts } = memory;
  const patient = streak.checks < finding.checks || streak.ms < finding.patienceMs;
  if (memory.wish !== undefined || memory.excused === true || patient) return [memory, stay];
  const { reason } = finding;
  const begun = { ...memory, begun: true };
  if (attempts < finding.treatments) return [begun, { kind: 'treat', attempt: attempts + 1, reason }];
  if (finding.thenLeave) return [begun, { kind: 'leave', wish: { reason, ending: 'terminate' } }];
  if (memory.handled.includes(loggedKey)) return [memory, stay];
  return [handle(memory, loggedKey), { kind: 'tell', reason }];
}

/**
 * Stands in the list of handled keys for trouble that has no key: no event's key looks like this.
 */
const loggedKey = '(told)';

function judgeDoomed(memory: Memory, finding: Finding & { kind: 'doomed' }): [Memory, Verdict] {
  const { kind: _kind, facts: _facts, ...wish } = finding;
  if (!memory.handled.includes(wish.key)) return [memory, { kind: 'leave', wish }];
  // After a restart the wish comes from the disk, which does not say when it may be revoked.
  return [memory.wish?.key === wish.key ? { ...memory, wish } : memory, stay];
}

/** A treatment was given: the trouble must last again before the next one. */
export function treated(memory: Memory, now: number): Memory {
  return { ...restart(memory, 'ailing', now), attempts: memory.attempts + 1 };
}

/** The departure was ordered. */
export function ordered(memory: Memory, wish: Wish): Memory {
  return { ...(wish.key === undefined ? memory : handle(memory, wish.key)), begun: true, wish };
}

/** Everything is undone; the same event may come again. */
export function recovered({ wish, handled, streak }: Memory): Memory {
  const forgotten = new Set([wish?.key, loggedKey]);
  return { ...blank, streak, handled: handled.filter((key) => !forgotten.has(key)), settled: true };
}

/**
 * All is well again, but what was done waits to be undone until something else is over: what comes
 * now begins anew, and `recover` is said again.
 */
export function allClear(memory: Memory): Memory {
  return { ...recovered(memory), settled: false };
}

/**
 * Treatment and departure were called off, but what they were for is not gone: they are not asked
 * for again.
 */
export function calledOff({ wish: _wish, ...memory }: Memory): Memory {
  return memory.begun ? { ...memory, excused: true } : memory;
}

/**
 * As a new process finds it: uptimes of the old one mean nothing, and what that one did after it
 * last wrote is not known: a full disk may have kept it from writing that it stopped placement for
 * that very disk.
 */
export function resumed(memory: Memory): Memory {
  return { ...memory, streak: { kind: memory.streak.kind, checks: 0, ms: 0 }, settled: false };
}

function extend(memory: Memory, kind: Memory['streak']['kind'], now: number): Memory {
  const { streak } = memory;
  if (streak.kind !== kind) return restart(memory, kind, now, 1);
  const ms = streak.ms + (streak.lastAt === undefined ? 0 : now - streak.lastAt);
  return { ...memory, streak: { kind, checks: streak.checks + 1, ms, lastAt: now } };
}

function restart(memory: Memory, kind: Memory['streak']['kind'], now: number, checks = 0): Memory {
  return { ...memory, streak: { kind, checks, ms: 0, lastAt: now } };
}

function withoutTime({ lastAt: _lastAt, ...streak }: Memory['streak']): Memory['streak'] {
  return streak;
}

function handle(memory: Memory, key: string): Memory {
  return { ...memory, handled: [...memory.handled.filter((other) => other !== key), key].slice(-maxHandled) };
}
