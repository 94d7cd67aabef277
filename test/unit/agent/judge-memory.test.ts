/** The judge's memory of events, denials, and the will of a person. */

import { describe, expect, it } from 'vitest';
import {
  acknowledged,
  allClear,
  blank,
  calledOff,
  denied,
  dismissedKeys,
  judge,
  ordered,
  passedOver,
  recovered,
  treated,
  type Memory,
} from '../../../agent/watching/judge.ts';
import type { Finding, Wish } from '../../../agent/watching/watcher.ts';

const minute = 60_000;
const settled: Memory = { ...blank, settled: true };
const wish = (key?: string): Wish => ({ reason: 'why', ending: 'terminate', ...(key !== undefined && { key }) });
const ill: Finding = { kind: 'ailing', reason: 'full', patienceMs: 0, checks: 1, treatments: 2, thenLeave: true };
const doom = (key: string, more: object = {}): Finding => ({ kind: 'doomed', ...wish(key), key, ...more });
const event = (key: string) => ({ ...wish(key), key });

/** The kinds of the verdicts on findings that come a minute apart. */
function kindsOf(from: Memory, findings: readonly Finding[], everyMs = minute) {
  let memory = from;
  return findings.map((finding, index) => {
    const [next, { kind }] = judge(memory, finding, index * everyMs);
    memory = next;
    return kind;
  });
}

describe('the memory of an event', () => {
  it('holds each key once, newest last, and no key where there is none', () => {
    const twice = ['a', 'b', 'a'].reduce((memory, key) => ordered(memory, wish(key)), blank);
    expect(twice).toMatchObject({ handled: ['b', 'a'], replaced: ['b'], begun: true, wish: { key: 'a' } });
    expect(ordered(blank, wish('a'))).not.toHaveProperty('replaced');
    expect(ordered(blank, wish()).handled).toEqual([]);
  });

  it('takes over the new time of the same event', () => {
    const known = ordered(settled, { ...wish('a'), eventKind: 'spot', deadlineUptime: 90_000 });
    const [memory, verdict] = judge(known, doom('a', { eventKind: 'spot', deadlineUptime: 91_000 }), 0);
    expect(verdict.kind).toBe('stay');
    expect(memory.wish?.deadlineUptime).toBe(91_000);
  });

  it('takes an event for an earlier one from five seconds on, and never for one of an unknown kind', () => {
    const known = (more: object) => ordered(settled, { ...wish('a'), deadlineUptime: 90_000, ...more });
    const after = (more: object, memory: Memory) => judge(memory, doom('b', more), 0)[1].kind;
    const spot = { eventKind: 'spot' };
    expect(after({ ...spot, deadlineUptime: 85_001 }, known(spot))).toBe('stay');
    expect(after({ ...spot, deadlineUptime: 85_000 }, known(spot))).toBe('leave');
    expect(after({ deadlineUptime: 95_000 }, known({}))).toBe('leave');
  });

  it('names the events that were called off, and no others', () => {
    const memory = { ...ordered(ordered(blank, wish('replaced')), wish('now')), begun: true };
    const told = { ...memory, handled: ['(told)', 'off', ...memory.handled] };
    expect(dismissedKeys(told)).toEqual(['off']);
    expect(dismissedKeys(calledOff(told))).toEqual(['off', 'replaced', 'now']);
  });

  it('loses the events that are over', () => {
    const memory = { ...ordered(ordered(blank, wish('replaced')), wish('now')), denied: 'no', attempts: 3 };
    const over = recovered({ ...memory, handled: ['off', '(told)', ...memory.handled] });
    expect(over).toEqual({ ...settled, handled: ['off'] });
    expect(allClear(memory)).toEqual({ ...blank, settled: false });
  });

  it('is not changed by a call-off where nothing had begun', () => {
    expect(calledOff(settled)).toEqual(settled);
    expect(calledOff({ ...settled, begun: true }).excused).toBe(true);
  });

  it('keeps the request that a person made', () => {
    expect(acknowledged(settled, 'request-1').handled).toEqual(['request-1']);
    const [, verdict] = judge(settled, { kind: 'revoked', key: 'request-1', reason: 'the rack' }, 0);
    expect(verdict).toEqual({ kind: 'undo', key: 'request-1', reason: 'the rack' });
  });
});

describe('a notable event', () => {
  it('waits for the end of the trouble before it', () => {
    const notable = (key: string): Finding => ({ kind: 'notable', key, reason: key });
    const begun = { ...settled, begun: true, checks: 3 };
    expect(kindsOf(begun, ['a', 'b', 'c', 'c'].map(notable))).toEqual(['tell', 'tell', 'recover', 'recover']);
    expect(kindsOf(settled, ['a', 'a'].map(notable))).toEqual(['tell', 'stay']);
  });
});

describe('treatments', () => {
  it('are numbered', () => {
    const [first, verdict] = judge(settled, ill, 0);
    expect(verdict).toMatchObject({ kind: 'treat', attempt: 1 });
    expect(judge(treated(first, 0), ill, 0)[1]).toMatchObject({ kind: 'treat', attempt: 2 });
  });
});

describe('a denial', () => {
  it.each([
    [0, 15],
    [30 * minute, 30],
  ])('delays the next departure for lasting trouble: %d ms of patience, %d minutes', (patienceMs, minutes) => {
    const memory = denied(
      ordered({ ...settled, attempts: 2, streak: { kind: 'ailing', checks: 9, ms: 0 } }, wish()),
      'no',
      0,
    );
    expect(memory).not.toHaveProperty('deniedKeys');
    const kinds = kindsOf(
      memory,
      Array.from({ length: 40 }, (): Finding => ({ ...ill, patienceMs })),
    );
    expect(kinds.indexOf('leave')).toBe(minutes);
  });

  it('lets the same event count again, after a minute, and delays no other event', () => {
    const memory = denied({ ...ordered(settled, wish('a')), streak: { kind: 'doomed', checks: 1, ms: 0 } }, 'no', 0);
    expect(memory).toMatchObject({ denied: 'no', deniedKeys: ['a'], handled: [] });
    expect(memory).not.toHaveProperty('wish');
    expect(kindsOf(memory, [doom('a'), doom('a')], 59_000)).toEqual(['stay', 'stay']);
    expect(kindsOf(memory, [doom('a'), doom('a')])).toEqual(['stay', 'leave']);
    expect(kindsOf(memory, [doom('b')])).toEqual(['leave']);
    const { deniedKeys: _deniedKeys, ...older } = memory;
    expect(kindsOf(older, [doom('b')])).toEqual(['stay']);
  });

  it('keeps other events as they were', () => {
    const memory = ordered(ordered(settled, wish('other')), wish('a'));
    expect(denied(memory, 'no', 0).handled).toEqual(['other']);
    expect(denied(memory, 'no', 0, 'other')).toMatchObject({ handled: ['a'], deniedKeys: ['other'] });
  });

  it('puts its event behind the others, and the oldest denial before newer ones', () => {
    const chosen = (deniedKeys: readonly string[]) => {
      const finding = doom('a', { others: [event('b'), event('c')] });
      const [, verdict] = judge({ ...settled, deniedKeys }, finding, 0);
      return verdict.kind === 'leave' && verdict.wish.key;
    };
    expect(chosen([])).toBe('a');
    expect(chosen(['a'])).toBe('b');
    expect(chosen(['b', 'a'])).toBe('c');
    expect(chosen(['c', 'a', 'b'])).toBe('c');
    expect(chosen(['b', 'c', 'a'])).toBe('b');
  });

  it('is listed once for each event, newest last, for 32 events', () => {
    const memory = ['a', 'b', 'a'].reduce(passedOver, { ...settled, attempts: 1 });
    expect(memory).toMatchObject({ attempts: 1, deniedKeys: ['b', 'a'] });
    expect(passedOver(memory, 'a')).toBe(memory);
    const many = Array.from({ length: 40 }, (_, n) => `event ${n}`);
    expect(many.reduce(passedOver, settled).deniedKeys).toEqual(many.slice(-32));
  });
});
