import { describe, expect, it } from 'vitest';
import {
  afterGap,
  blank,
  calledOff,
  denied,
  judge,
  ordered,
  recovered,
  resumed,
  treated,
  type Memory,
  type Verdict,
} from '../../../agent/watching/judge.ts';
import type { Finding } from '../../../agent/watching/watcher.ts';

const minute = 60_000;
const well: Finding = { kind: 'well' };
const ill = (more: Partial<Finding & { kind: 'ailing' }> = {}): Finding => ({
  kind: 'ailing',
  reason: 'full',
  patienceMs: 0,
  checks: 3,
  treatments: 1,
  thenLeave: true,
  ...more,
});
const doom = (key: string, more: object = {}): Finding => ({
  kind: 'doomed',
  key,
  reason: key,
  ending: 'await',
  ...more,
});

/**
 * Judges findings one minute apart, and confirms each action as carried out. Returns the kinds of
 * the verdicts.
 */
function live(findings: (Finding | undefined)[], from: Memory = { ...blank, settled: true }, confirm = true) {
  let memory = from;
  const kinds: Verdict['kind'][] = [];
  for (const [index, finding] of findings.entries()) {
    const now = index * minute;
    const [next, verdict] = judge(memory, finding, now);
    memory = next;
    kinds.push(verdict.kind);
    if (!confirm) continue;
    if (verdict.kind === 'treat') memory = treated(memory, now);
    if (verdict.kind === 'leave') memory = ordered(memory, verdict.wish);
    if (verdict.kind === 'recover') memory = recovered(memory);
  }
  return { memory, kinds };
}
const times = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);

describe('the judge', () => {
  it('treats lasting trouble after its checks, leaves when it lasts as long again, and says so once', () => {
    const { kinds } = live(times(8, ill()));
    expect(kinds).toEqual(['stay', 'stay', 'treat', 'stay', 'stay', 'leave', 'stay', 'stay']);
  });

  it('waits for the longer of patience and checks before each treatment and before leaving', () => {
    const { kinds } = live(times(16, ill({ patienceMs: 5 * minute, treatments: 2 })));
    expect(kinds.flatMap((kind, at) => (kind === 'stay' ? [] : [`${kind} ${at}`]))).toEqual([
      'treat 5',
      'treat 10',
      'leave 15',
    ]);
  });

  it('never treats or leaves because it could not measure', () => {
    const { kinds, memory } = live([ill(), ill(), ...times<undefined>(10_000, undefined)]);
    expect(new Set(kinds)).toEqual(new Set(['stay']));
    expect(memory.streak).toMatchObject({ kind: 'ailing', checks: 2 });
  });

  it('does not count time without an answer', () => {
    const { kinds } = live(
      [ill(), ...times<undefined>(100, undefined), ill(), ill()].map(
        (f) => f && ({ ...f, patienceMs: 2 * minute } as Finding),
      ),
    );
    expect(new Set(kinds)).toEqual(new Set(['stay']));
  });

  // A treatment hung for ten minutes. The disk was freed and filled again, and the node drained at
  // the first look, though the trouble had not lasted.
  it('starts again when it did not look for long', () => {
    const { memory } = live(times(3, ill()), { ...blank, settled: true }, false);
    const lastAt = memory.streak.lastAt ?? 0;
    expect(afterGap(memory, lastAt + 120_000, 120_000)).toBe(memory);
    const [, verdict] = judge(afterGap(memory, lastAt + 600_000, 120_000), ill(), lastAt + 600_000);
    expect(verdict.kind).toBe('stay');
    expect(judge(memory, ill(), lastAt + 600_000)[1].kind).toBe('treat');
  });

  it('starts again when the trouble was gone in between', () => {
    expect(new Set(live([ill(), ill(), well, ill(), ill(), well, ill(), ill()]).kinds)).toEqual(new Set(['stay']));
  });

  it('continues a treatment between the thresholds, and begins none', () => {
    const between = ill({ mild: true });
    expect(new Set(live(times(9, between)).kinds)).toEqual(new Set(['stay']));
    expect(live([...times(3, ill()), ...times(3, between)]).kinds.slice(-1)).toEqual(['leave']);
  });

  it('recovers after as many good checks as the trouble needed bad ones', () => {
    const { kinds, memory } = live([...times(3, ill()), ...times(4, well)]);
    expect(kinds).toEqual(['stay', 'stay', 'treat', 'stay', 'stay', 'recover', 'stay']);
    expect(memory).toMatchObject({ attempts: 0, begun: false, settled: true });
  });

  it('asks again until treatment, recovery or departure were carried out', () => {
    expect(live(times(5, ill()), { ...blank, settled: true }, false).kinds.slice(2)).toEqual(times(3, 'treat'));
    const treatedOnce = live(times(3, ill())).memory;
    expect(live(times(4, well), treatedOnce, false).kinds.slice(2)).toEqual(['recover', 'recover']);
    expect(live(times(4, ill()), treatedOnce, false).kinds.slice(2)).toEqual(['leave', 'leave']);
  });

  it('recovers once when it does not know the actions of an earlier process', () => {
    expect(live([undefined, well, well], blank).kinds).toEqual(['stay', 'recover', 'stay']);
  });

  it('acts on a doomed finding at once, and on each event once', () => {
    const { kinds } = live([doom('a'), doom('a'), undefined, doom('a'), doom('b'), doom('a')]);
    expect(kinds).toEqual(['leave', 'stay', 'stay', 'stay', 'leave', 'stay']);
  });

  it('counts a later event of the same kind as the departure under way, and obeys an earlier one', () => {
    const spot = (key: string, deadlineUptime: number, eventKind = 'spot') =>
      doom(key, { eventKind, deadlineUptime, revocableAfterMs: 0 });
    const { kinds, memory } = live([spot('a', 90_000), spot('b', 91_000), spot('c', 150_000), spot('d', 86_000)]);
    expect(kinds).toEqual(['leave', 'stay', 'stay', 'stay']);
    expect(memory.wish).toMatchObject({ key: 'a', deadlineUptime: 90_000 });
    expect(live([spot('e', 80_000), spot('f', 80_000, 'stop')], memory).kinds).toEqual(['leave', 'leave']);
    // Withdrawn: the next notice is another event.
    expect(live([well, spot('g', 150_000)], memory).kinds).toEqual(['recover', 'leave']);
  });

  it('takes a doomed finding back only when it is revocable and has been gone long enough', () => {
    const gone = times(5, well);
    expect(new Set(live([doom('a'), ...gone]).kinds.slice(1))).toEqual(new Set(['stay']));
    expect(live([doom('a', { revocableAfterMs: 0 }), well]).kinds).toEqual(['leave', 'recover']);
    expect(live([doom('a', { revocableAfterMs: 3 * minute }), ...gone]).kinds).toEqual([
      'leave',
      'stay',
      'stay',
      'stay',
      'recover',
      'stay',
    ]);
    // The same state may come again after it was really gone.
    expect(live([doom('a', { revocableAfterMs: 0 }), well, doom('a', { revocableAfterMs: 0 })]).kinds[2]).toBe('leave');
  });

  it('asks for a denied event again once it has been listed for a minute more', () => {
    const [memory, verdict] = judge({ ...blank, settled: true }, doom('spot'), 0);
    expect(verdict.kind).toBe('leave');
    let after = denied(memory, 'EC2 says no', 0);
    const kinds = [10, 30, 59, 60].map((seconds) => {
      const [next, { kind }] = judge(after, doom('spot'), seconds * 1_000);
      after = next;
      return kind;
    });
    expect(kinds).toEqual(['stay', 'stay', 'stay', 'leave']);
  });

  // A person held the node during a false notice. The retirement that followed the person's release
  // waited a minute more, as a notice that was denied does.
  it('forgets a denial once its trouble is over', () => {
    const held = denied({ ...blank, settled: true }, 'a person holds this node', 0);
    expect(live([well, doom('next')], held).kinds).toEqual(['recover', 'leave']);
  });

  // Seed 810000232: a forged event met a forged hold while the node left for a true one. The true
  // one was forgotten, and waited as a denied event does.
  it('keeps the departure for its event while another event of the watcher is denied', () => {
    const { memory } = live([doom('true')]);
    const after = denied(memory, 'a person holds this node', 0, 'forged');
    expect(after.wish).toEqual(memory.wish);
    expect(live([doom('true')], after).kinds).toEqual(['stay']);
    expect(live([doom('true')], denied(memory, 'EC2 says no', 0, 'true')).memory.wish).toBeUndefined();
  });

  it('obeys the operator: a cancelled action begins again only after all was well', () => {
    const off = calledOff(live(times(6, ill())).memory);
    expect(off.wish).toBeUndefined();
    const { kinds, memory } = live(times(50, ill()), off);
    expect(new Set(kinds)).toEqual(new Set(['stay']));
    expect(live([...times(3, well), ...times(3, ill())], memory).kinds.at(-1)).toBe('treat');
    const rebalance = calledOff(ordered(blank, { key: 'r', reason: 'r', ending: 'remain' }));
    expect(live([doom('r')], rebalance).kinds).toEqual(['stay']);
  });

  // Flipping back, a metadata service would replace a termination by a return to the warm pool.
  it('comes back to an event that another one replaced, only where each ends by itself', () => {
    const separate = { separate: true, revocableAfterMs: 0 };
    const replaced = live([doom('late', separate), doom('soon', separate)]).memory;
    const next = live([doom('late', separate), well, doom('soon', separate)], replaced);
    expect(next.kinds).toEqual(['leave', 'recover', 'leave']);
    expect(live([doom('late', separate)], calledOff(replaced)).kinds).toEqual(['stay']);
    const single = live([doom('late'), doom('soon')]).memory;
    expect(live([doom('late')], single).kinds).toEqual(['stay']);
  });

  // A target state of the group comes with the same key each time. The first of two stayed handled,
  // and a true scale-in was ignored later.
  it('obeys an event that another one replaced, once all was well in between', () => {
    const [first, second] = ['first', 'second'].map((key) => doom(key, { revocableAfterMs: 0 }));
    const { kinds } = live([first, second, first, second, well, first, second]);
    expect(kinds).toEqual(['leave', 'leave', 'stay', 'stay', 'recover', 'leave', 'leave']);
  });

  it('leaves for an event behind one that a person overruled', () => {
    const separate = { separate: true, revocableAfterMs: 0 };
    const overruled = calledOff(live([doom('first', separate)]).memory);
    const both = doom('first', {
      ...separate,
      others: [{ key: 'next', reason: 'next', ending: 'await', ...separate }],
    });
    const { kinds, memory } = live([both, doom('first', separate), both], overruled);
    expect(kinds).toEqual(['leave', 'recover', 'leave']);
    expect(memory.wish?.key).toBe('next');
  });

  it('logs trouble without an action, and each notable event, once', () => {
    expect(
      live(times(6, ill({ treatments: 0, thenLeave: false }))).kinds.filter((kind) => kind === 'tell'),
    ).toHaveLength(1);
    const notable = (key: string): Finding => ({ kind: 'notable', key, reason: key });
    expect(live([notable('a'), notable('a'), notable('b'), notable('a')]).kinds).toEqual([
      'tell',
      'stay',
      'tell',
      'stay',
    ]);
  });

  it('does not compare times with the uptime of an earlier process', () => {
    const memory = resumed(live([ill(), ill()]).memory);
    expect(judge(memory, ill({ patienceMs: 5 * minute }), 1e12)[1].kind).toBe('stay');
    expect(memory.streak).toEqual({ kind: 'ailing', checks: 0, ms: 0 });
  });

  it('recovers a node whose predecessor stopped it for a disk too full for the note', () => {
    const stale = resumed({ ...blank, settled: true });
    expect(live(times(2, well), stale).kinds).toEqual(['recover', 'stay']);
  });

  it('remembers after a year no more than after a day, and only values that JSON can keep', () => {
    let memory = blank;
    for (let n = 0; n < 100_000; n++) {
      const finding = n % 3 === 0 ? doom(`event-${n}`) : n % 3 === 1 ? ill() : undefined;
      memory = judge(memory, finding, n * 1000)[0];
      if (n % 3 === 0) memory = ordered(memory, { key: `event-${n}`, reason: 'x', ending: 'await' });
    }
    expect(JSON.stringify(memory).length).toBeLessThan(2_000);
    expect(JSON.parse(JSON.stringify(memory))).toEqual(memory);
  });
});
