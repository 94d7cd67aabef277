/**
 * Decides from a watcher's memory and its new finding: the new memory, and the action that follows.
 * Pure.
 */

import { flag, listOf, marked, maybe, number, oneOf, shaped, text, time } from '../../core/shape.ts';
import { endings } from '../../core/state/state.ts';
import type { Finding, Wish } from './watcher.ts';

const streakKinds = ['well', 'ailing', 'doomed'] as const;

/** The memory of one watcher: plain JSON, of bounded size. */
export interface Memory {
  /** A run of equal findings: their number, and the time that they were seen to last. */
  streak: { kind: (typeof streakKinds)[number]; checks: number; ms: number; lastAt?: number };
  /**
   * The number of checks in a row that the trouble needed. The same number of good checks ends it.
   */
  checks: number;
  /** The number of treatments given. */
  attempts: number;
  /** A treatment or a departure was requested, so the node may hold an entry in the leave queue. */
  begun: boolean;
  /** Keys of events that were logged or handled, newest last. */
  handled: string[];
  /**
   * Keys of handled events that another event replaced. A separate one counts again after that one,
   * and each of them once all was well.
   */
  replaced?: readonly string[];
  /** The departure that this watcher asks for. */
  wish?: Wish;
  /**
   * Called off by a person or by a timer: the watcher does not act again until all was well in
   * between.
   */
  excused?: true;
  /** The second source's denial of this watcher's last wish. The watcher asks again later. */
  denied?: string;
  /** The keys of the events that it did not confirm since all was well, newest last. */
  deniedKeys?: readonly string[];
  /** False until all was well once, because the actions of an earlier process are unknown. */
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
  eventKind: maybe(text),
  separate: marked,
  askedSince: maybe(number),
  spotDeniedAt: maybe(time),
});

export const isMemory = shaped<Memory>({
  streak: shaped<Memory['streak']>({ kind: oneOf(streakKinds), checks: number, ms: number, lastAt: maybe(number) }),
  checks: number,
  attempts: number,
  begun: flag,
  handled: listOf(text),
  replaced: maybe(listOf(text)),
  wish: maybe(isWish),
  excused: marked,
  denied: maybe(text),
  deniedKeys: maybe(listOf(text)),
  settled: flag,
});

export type Verdict =
  | { kind: 'stay' }
  | { kind: 'tell'; reason: string }
  | { kind: 'treat'; attempt: number; reason: string }
  /** The node can undo its earlier actions. */
  | { kind: 'recover' }
  /** A person withdraws everything, with the request that `key` names. */
  | { kind: 'undo'; key: string; reason: string }
  | { kind: 'leave'; wish: Wish };

/** A node has few events at the same time. This is more than IMDS lists. */
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
 * `finding` is undefined when the check could not tell, which advances nothing and condemns
 * nothing. `now` is the uptime in milliseconds. `treat`, `recover` and `leave` are returned at each
 * check until `treated`, `recovered` or `ordered` confirms them.
 */
export function judge(memory: Memory, finding: Finding | undefined, now: number): [Memory, Verdict] {
  // Time without a finding does not count as lasting.
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
      return judgeDoomed(memory, finding, now);
    case 'revoked':
      return [extend(memory, 'well', now), { kind: 'undo', key: finding.key, reason: finding.reason }];
  }
}

function judgeWell(memory: Memory): [Memory, Verdict] {
  const { streak, wish, begun, settled, denied } = memory;
  if (wish?.key !== undefined) {
    const revocable = wish.revocableAfterMs !== undefined && streak.ms >= wish.revocableAfterMs;
    return [memory, revocable ? { kind: 'recover' } : stay];
  }
  // A denial that outlived its trouble would delay the departure for the next one.
  const isOpen = begun || !settled || denied !== undefined;
  return [memory, isOpen && streak.checks >= memory.checks ? { kind: 'recover' } : stay];
}

function judgeAiling(before: Memory, finding: Finding & { kind: 'ailing' }, now: number): [Memory, Verdict] {
  if (finding.mild === true && !before.begun) return judgeWell(extend(before, 'well', now));
  const memory = { ...extend(before, 'ailing', now), checks: finding.checks };
  const { streak, attempts } = memory;
  const patienceMs = memory.denied === undefined ? finding.patienceMs : Math.max(finding.patienceMs, deniedAilingMs);
  const patient = streak.checks < finding.checks || streak.ms < patienceMs;
  if (memory.wish !== undefined || memory.excused === true || patient) return [memory, stay];
  const { reason } = finding;
  const begun = { ...memory, begun: true };
  if (attempts < finding.treatments) return [begun, { kind: 'treat', attempt: attempts + 1, reason }];
  if (finding.thenLeave) return [begun, { kind: 'leave', wish: { reason, ending: 'terminate' } }];
  if (memory.handled.includes(loggedKey)) return [memory, stay];
  return [handle(memory, loggedKey), { kind: 'tell', reason }];
}

/** Each new try costs a call. A person adds a missing permission within hours. */
const deniedAilingMs = 900_000;

/** Fast enough for an event that EC2 omitted for a moment. */
const deniedDoomedMs = 60_000;

/** The key in `handled` for trouble without a key of its own. No event's key looks like this. */
const loggedKey = '(told)';

function judgeDoomed(before: Memory, finding: Finding & { kind: 'doomed' }, now: number): [Memory, Verdict] {
  const { kind: _kind, facts: _facts, others = [], ...first } = finding;
  const wish = chooseEvent(
    before,
    [first, ...others].filter((each) => !isDismissed(before, each)),
  );
  // The event behind the departure is no longer listed, and a person overruled all the others.
  if (wish === undefined && before.wish?.separate) return judgeWell(extend(before, 'well', now));
  const memory = extend(before, 'doomed', now);
  if (wish === undefined || waitsAfterDenial(memory, wish)) return [memory, stay];
  if (memory.wish !== undefined && isMoved(memory.wish, wish)) return [memory, stay];
  const countsAgain = memory.wish?.key !== wish.key && isReplaced(memory, wish);
  if (countsAgain || !memory.handled.includes(wish.key)) return [memory, { kind: 'leave', wish }];
  // After a restart, the wish comes from the disk, which does not say when it may be revoked.
  return [{ ...memory, wish: { ...wish, ...answersOf(memory.wish) } }, stay];
}

type Answers = { [Name in 'askedSince' | 'spotDeniedAt']?: Wish[Name] | undefined };

/** Without these, a notice that EC2 denied, or that outlived its end, counts after a restart. */
function answersOf({ askedSince, spotDeniedAt }: Answers = {}): Pick<Wish, keyof Answers> {
  return { ...(askedSince !== undefined && { askedSince }), ...(spotDeniedAt !== undefined && { spotDeniedAt }) };
}

/** Records what the next process must know about the second source of this wish. */
export function asked(memory: Memory, key: string | undefined, answers: Answers): Memory {
  const { wish } = memory;
  const isSame = wish?.askedSince === answers.askedSince && wish?.spotDeniedAt === answers.spotDeniedAt;
  if (wish === undefined || wish.key !== key || isSame) return memory;
  return { ...memory, wish: { ...wish, ...answersOf(answers) } };
}

/** One event that the second source denies must not hide another one, nor delay it. */
function chooseEvent<T extends { key: string }>(memory: Memory, events: readonly T[]): T | undefined {
  return events.toSorted((a, b) => whenDenied(memory, a) - whenDenied(memory, b))[0];
}

/** An event that was not denied itself does not wait. */
function waitsAfterDenial(memory: Memory, event: { key: string }): boolean {
  const isOther = memory.deniedKeys !== undefined && whenDenied(memory, event) === -1;
  return memory.denied !== undefined && !isOther && memory.streak.ms < deniedDoomedMs;
}

/** Its position among the denied events, or -1. */
function whenDenied({ deniedKeys = [] }: Memory, { key }: { key: string }): number {
  return deniedKeys.indexOf(key);
}

/** Handled, and neither the reason of the departure nor replaced by it: a person overruled it. */
function isDismissed(memory: Memory, event: Wish & { key: string }): boolean {
  return memory.handled.includes(event.key) && memory.wish?.key !== event.key && !isReplaced(memory, event);
}

function isReplaced({ replaced = [] }: Memory, { key, separate }: Wish & { key: string }): boolean {
  return separate === true && replaced.includes(key);
}

/**
 * An earlier time by less than this is none: the metadata service tells time in whole seconds, and
 * a check takes some.
 */
const earlierMs = 5_000;

/** The same event with a new time, which leaves the departure no less time than it knows. */
function isMoved(known: Wish, { key, eventKind, deadlineUptime = Infinity }: Wish): boolean {
  if (eventKind === undefined || eventKind !== known.eventKind || key === known.key) return false;
  return known.deadlineUptime !== undefined && deadlineUptime > known.deadlineUptime - earlierMs;
}

/** Records a treatment. The trouble must last again before the next one. */
export function treated(memory: Memory, now: number): Memory {
  return { ...restart(memory, 'ailing', now), attempts: memory.attempts + 1 };
}

/** The keys of the events that a person, or the watcher's own timer, called off. */
export function dismissedKeys({ handled, wish, replaced = [] }: Memory): readonly string[] {
  return handled.filter((key) => key !== loggedKey && key !== wish?.key && !replaced.includes(key));
}

/** Records that the departure was ordered. */
export function ordered({ denied: _denied, replaced: before = [], ...memory }: Memory, wish: Wish): Memory {
  const { wish: last } = memory;
  const known = last?.key === undefined ? before : [...before, last.key];
  const replaced = known.filter((key) => key !== wish.key).slice(-maxHandled);
  return {
    ...(wish.key === undefined ? memory : handle(memory, wish.key)),
    ...(replaced.length > 0 && { replaced }),
    begun: true,
    wish,
  };
}

/** Records that everything is undone. The same event may come again. */
export function recovered({ wish, handled, replaced = [], streak }: Memory): Memory {
  const forgotten = new Set([wish?.key, loggedKey, ...replaced]);
  return { ...blank, streak, handled: handled.filter((key) => !forgotten.has(key)), settled: true };
}

/**
 * All is well again, but the earlier actions cannot be undone until something else is over. New
 * trouble starts from zero, and `recover` is returned again.
 */
export function allClear(memory: Memory): Memory {
  return { ...recovered(memory), settled: false };
}

/**
 * Records that treatment and departure were called off although their cause remains. The watcher
 * does not ask for them again.
 */
export function calledOff({ wish: _wish, replaced: _replaced, ...memory }: Memory): Memory {
  return memory.begun ? { ...memory, excused: true } : memory;
}

/** Whether the departure for this event was called off. Trouble of the node itself has no key. */
export function isCalledOff({ wish, handled, excused }: Memory, key: string | undefined): boolean {
  return wish === undefined && (key === undefined ? excused === true : handled.includes(key));
}

/** Records that the departure's events are over. Its undoing may last, and they count again. */
export function over({ wish, replaced = [], ...memory }: Memory): Memory {
  return { ...memory, handled: memory.handled.filter((key) => key !== wish?.key && !replaced.includes(key)) };
}

/** Records that a person's request was carried out for all that the node knew then. */
export function acknowledged(memory: Memory, key: string): Memory {
  return handle(memory, key);
}

/**
 * Records that the second source denied the wish, or a person holds the node. The trouble must last
 * again before the watcher asks for it once more. The departure for another event stands.
 */
export function denied(memory: Memory, why: string, now: number, key = memory.wish?.key): Memory {
  const { wish, ...others } = memory;
  const kept = wish?.key === key ? others : memory;
  const handled = kept.handled.filter((each) => each !== key);
  const known = key === undefined ? kept : passedOver(kept, key);
  return { ...restart({ ...known, handled }, memory.streak.kind, now), denied: why };
}

/** Records that the second source does not confirm the event. Others come before it. */
export function passedOver(memory: Memory, key: string): Memory {
  const { deniedKeys = [] } = memory;
  if (deniedKeys.at(-1) === key) return memory;
  return { ...memory, deniedKeys: [...deniedKeys.filter((each) => each !== key), key].slice(-maxHandled) };
}

/**
 * The memory as a new process reads it. Uptimes of the old process are meaningless, and its actions
 * after the last write are unknown: a full disk may have stopped it from recording that it stopped
 * placement for that very disk.
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

/**
 * The memory of a watcher that did not look for more than `longestMs`, as while it treated its
 * trouble. What it saw before may have ended meanwhile.
 */
export function afterGap(memory: Memory, now: number, longestMs: number): Memory {
  const { kind, lastAt } = memory.streak;
  if (lastAt === undefined || now - lastAt <= longestMs) return memory;
  return { ...memory, streak: { kind, checks: 0, ms: 0 } };
}

function withoutTime({ lastAt: _lastAt, ...streak }: Memory['streak']): Memory['streak'] {
  return streak;
}

function handle(memory: Memory, key: string): Memory {
  return { ...memory, handled: [...memory.handled.filter((other) => other !== key), key].slice(-maxHandled) };
}
