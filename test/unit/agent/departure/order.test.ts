/** Which order counts, and how it changes the departure under way. */

import { describe, expect, it } from 'vitest';
import {
  beginState,
  chooseOrder,
  irrevocableOf,
  isOver,
  isConfirmedBy,
  isRevocable,
  isUrgent,
  merge,
  overruledBy,
  plannedMs,
  strictest,
  withOverruled,
  withTrouble,
  withoutOldConfirmation,
  withUptimes,
  type StandingOrder,
} from '../../../../agent/departure/order.ts';
import type { DepartureState } from '../../../../core/state/state.ts';
import { configOf, someOrder } from '../stage.ts';
import { targetGroup } from './leave/orders.ts';

const config = configOf();
const now = 1_000_000;
const planned = now + plannedMs(config);
const begun = (order: Partial<StandingOrder> = {}, more: Partial<DepartureState> = {}) => ({
  ...beginState({ ...someOrder(), ...order }, config, 'i-1', 'boot-1', now),
  ...more,
});
const confirmation = { at: now, words: 'ECS agrees' };
const scaleIn = someOrder({ cause: 'scale-in', key: 'target:Terminated', ending: 'await' });

describe('the order that counts', () => {
  it('is a confirmed one, however strict the others are', () => {
    const mild = { ...someOrder(), confirmation };
    expect(chooseOrder([scaleIn, mild])).toMatchObject({ cause: 'disk' });
    expect(chooseOrder([{ ...scaleIn, confirmation }, mild])).toMatchObject({ cause: 'scale-in' });
  });

  it('is the one whose departure is done, rather than an unconfirmed one', () => {
    const done = { ...someOrder(), confirmation, isDone: true };
    expect(chooseOrder([scaleIn, done])).toMatchObject({ cause: 'disk' });
    expect(chooseOrder([{ ...scaleIn, confirmation }, done])).toMatchObject({ cause: 'scale-in' });
    const over = { ...scaleIn, confirmation, isDone: true };
    expect(chooseOrder([over, { ...someOrder(), confirmation }])).toMatchObject({ cause: 'disk' });
  });

  it('is the strictest of unconfirmed ones, and of two equal ones the earlier', () => {
    const [later, sooner] = [2, 1].map((deadline) => someOrder({ cause: 'maintenance', deadline }));
    for (const both of [
      [later!, sooner!],
      [sooner!, later!],
    ])
      expect(chooseOrder(both)?.deadline).toBe(1);
    for (const both of [
      [someOrder(), sooner!],
      [sooner!, someOrder()],
    ])
      expect(chooseOrder(both)?.cause).toBe('maintenance');
    expect(chooseOrder([someOrder({ ending: 'remain', deadline: 1 }), someOrder()])?.ending).toBe('terminate');
    for (const choose of [chooseOrder, strictest]) expect(choose([])).toBeUndefined();
  });

  it('has the earliest deadline of all confirmed ones', () => {
    const later = someOrder({ deadline: 9, deadlineUptime: 8 });
    const orders = [scaleIn, someOrder({ deadline: 7, deadlineUptime: 5 }), later];
    expect(strictest(orders)).toMatchObject({ cause: 'scale-in', deadline: 7, deadlineUptime: 5 });
    for (const none of ['deadline', 'deadlineUptime']) expect(strictest([scaleIn])).not.toHaveProperty(none);
  });

  it('returns to the warm pool only where no other order terminates the machine', () => {
    const back = { ...scaleIn, returns: true as const };
    expect(strictest([back])?.returns).toBe(true);
    expect(strictest([back, someOrder({ ending: 'remain' })])?.returns).toBe(true);
    expect(strictest([back, { ...back, cause: 'spot' }])?.returns).toBe(true);
    expect(strictest([back, someOrder()])?.returns).toBeUndefined();
    expect(strictest([scaleIn, back])?.returns).toBeUndefined();
  });
});

describe('the confirmation of a departure', () => {
  const confirmed = (order: Partial<StandingOrder>) => begun({ ...order, confirmation });

  it('counts for the same event only, and for a moved one where AWS names no time', () => {
    expect(isConfirmedBy(begun(), someOrder())).toBe(false);
    expect(isConfirmedBy(confirmed({}), someOrder())).toBe(true);
    expect(isConfirmedBy(confirmed({}), someOrder({ cause: 'docker' }))).toBe(false);
    expect(isConfirmedBy(confirmed({ key: 'a' }), someOrder({ key: 'b' }))).toBe(false);
    expect(isConfirmedBy(confirmed(scaleIn), { ...scaleIn, key: 'target:Warmed:Terminated' })).toBe(true);
    expect(isConfirmedBy(confirmed(scaleIn), { ...scaleIn, ending: 'remain' })).toBe(false);
  });

  it('does not count for a termination where it was for a return', () => {
    const back = { ...scaleIn, returns: true as const };
    expect(isConfirmedBy(confirmed(back), scaleIn)).toBe(false);
    expect(isConfirmedBy(confirmed(back), back)).toBe(true);
    expect(isConfirmedBy(confirmed(scaleIn), back)).toBe(true);
  });
});

describe('a departure that begins', () => {
  it('ends at the deadline of its order, or at its own limit where that comes first', () => {
    expect(begun({ deadline: planned })).toMatchObject({ deadline: planned, hardDeadline: true });
    const own = begun({ deadline: planned + 1 });
    expect(own.deadline).toBe(planned);
    expect(own).not.toHaveProperty('hardDeadline');
  });

  it('keeps what its order says, and nothing else', () => {
    const more = { key: 'k', undoAfterMs: 60_000, confirmation, spotDeniedAt: 3, returns: true as const };
    expect(begun(more)).toMatchObject({
      key: 'k',
      undoAt: now + 60_000,
      confirmedAt: now,
      confirmedBy: 'ECS agrees',
      spotDeniedAt: 3,
      returns: true,
    });
    for (const none of ['key', 'undoAt', 'confirmedAt', 'confirmedBy', 'spotDeniedAt', 'returns'])
      expect(begun()).not.toHaveProperty(none);
  });

  it('plans time for its services only where it waits for them', () => {
    const steady = configOf({ leave: { steadyClusterSeconds: 100 } });
    expect(plannedMs(steady) - plannedMs(config)).toBe(100_000 - config.leave.steadyClusterSeconds * 1000);
  });

  it('plans time for its load balancers only where it has some', () => {
    const balanced = (more: object) => plannedMs(configOf({ leave: { deregistrationSeconds: 100, ...more } }));
    const alone = balanced({});
    expect(balanced({ targetGroups: [targetGroup] }) - alone).toBe(100_000);
    expect(balanced({ loadBalancers: ['classic'] }) - alone).toBe(100_000);
  });

  it('counts by uptime, from times of the same boot where there are some', () => {
    const at = { now: now + 5_000, uptime: 60_000 };
    const state = begun({ deadline: now + 50_000 });
    expect(withUptimes(state, someOrder(), {}, at).uptimes).toEqual({
      started: 55_000,
      cause: 60_000,
      deadline: 105_000,
    });
    const kept = { started: 1, cause: 2, tasks: 3, deadline: 90_000 };
    expect(withUptimes(state, someOrder(), kept, at).uptimes).toEqual(kept);
    expect(withUptimes(state, someOrder({ deadline: now + 6_000 }), kept, at).uptimes?.deadline).toBe(61_000);
    expect(withUptimes(state, someOrder({ deadlineUptime: 70_000 }), kept, at).uptimes?.deadline).toBe(70_000);
    // The wall clock was set back, or the deadline is over.
    expect(withUptimes(state, someOrder(), {}, { now: now - 1, uptime: 9 }).uptimes?.started).toBe(9);
    expect(withUptimes(state, someOrder({ deadline: now }), {}, at).uptimes?.deadline).toBe(60_000);
  });

  it('has two minutes for a spot notice, whatever the wall clock says', () => {
    const spot = begun({ cause: 'spot', ending: 'await', deadline: now + 600_000 });
    const times = withUptimes(spot, someOrder(), {}, { now, uptime: 1 });
    expect(times).toMatchObject({ cause: 'spot', uptimes: { deadline: 120_001 } });
    const other = begun({ deadline: now + 600_000 });
    expect(withUptimes(other, someOrder(), {}, { now, uptime: 1 }).uptimes?.deadline).toBe(600_001);
  });
});

describe('an order that is merged into the departure under way', () => {
  it('changes nothing where it is the same one', () => {
    const state = begun();
    expect(merge(state, someOrder(), config, now + 1)).toBe(state);
    const hard = begun({ deadline: now + 5_000 });
    expect(merge(hard, someOrder({ deadline: now + 5_000 }), config, now)).toBe(hard);
    expect(merge(hard, someOrder({ deadline: now + 9_000 }), config, now)).toBe(hard);
  });

  it('brings an earlier deadline, which AWS does not move', () => {
    const merged = merge(begun(), someOrder({ deadline: now + 5_000 }), config, now);
    expect(merged).toMatchObject({ cause: 'disk', startedAt: now, deadline: now + 5_000, hardDeadline: true });
  });

  it('gives the tasks their time again where the order with the deadline does not stand any more', () => {
    const merged = merge(begun({ deadline: now + 5_000 }), someOrder(), config, now + 1_000);
    expect(merged).toMatchObject({ cause: 'disk', startedAt: now, deadline: planned + 1_000 });
    expect(merged).not.toHaveProperty('hardDeadline');
  });

  it('takes over with its own times and confirmation, and none of the other', () => {
    const before = begun(
      { cause: 'rebalance', key: 'rebalance:1', ending: 'remain', undoAfterMs: 60_000, deadline: now + 5_000 },
      { confirmedAt: 1, confirmedBy: 'old', phase: 'tasks', drainedAt: 7 },
    );
    const merged = merge(before, someOrder(), config, now + 1_000);
    expect(merged).toMatchObject({ cause: 'disk', ending: 'terminate', phase: 'announce', drainedAt: 7 });
    expect(merged.deadline).toBe(planned + 1_000);
    expect(merged.troubles).toEqual([`disk took over from rebalance (${before.reason})`]);
    for (const gone of ['undoAt', 'key', 'confirmedAt', 'confirmedBy', 'hardDeadline', 'returns', 'spotDeniedAt'])
      expect(merged).not.toHaveProperty(gone);
    const deadline = planned + 1_000;
    const more = { deadline, confirmation, spotDeniedAt: 3, key: 'k', undoAfterMs: 10_000, returns: true as const };
    expect(merge(before, someOrder(more), config, now + 1_000)).toMatchObject({
      deadline,
      hardDeadline: true,
      confirmedAt: now,
      confirmedBy: 'ECS agrees',
      spotDeniedAt: 3,
      key: 'k',
      undoAt: now + 10_000,
      returns: true,
    });
  });

  it('is another one where its cause, its event, its ending or its return differs', () => {
    const state = begun({ ...scaleIn, returns: true as const });
    const same = { ...scaleIn, returns: true as const };
    expect(merge(state, same, config, now)).toBe(state);
    for (const other of [
      { ...same, cause: 'spot' as const },
      { ...same, key: 'k' },
      { ...same, ending: 'remain' as const },
      scaleIn,
    ])
      expect(merge(state, other, config, now)).not.toBe(state);
  });

  it('goes on in the same phase where it ends the same, and asks for no more', () => {
    const phaseAfter = (before: DepartureState, order: StandingOrder) => merge(before, order, config, now).phase;
    const back = { ...scaleIn, returns: true as const };
    expect(phaseAfter(begun({}, { phase: 'tasks' }), someOrder({ cause: 'docker' }))).toBe('tasks');
    expect(phaseAfter(begun({}, { phase: 'tasks' }), scaleIn)).toBe('announce');
    expect(phaseAfter(begun(back, { phase: 'tasks' }), scaleIn)).toBe('announce');
    expect(phaseAfter(begun(scaleIn, { phase: 'tasks' }), back)).toBe('tasks');
  });

  // Auto Scaling's target state only repeats the node's own request.
  it('does not take over once the node has requested its own termination', () => {
    const asked = begun({ deadline: now + 5_000 }, { phase: 'terminate', irrevocable: { askedToEndAt: now } });
    expect(merge(asked, scaleIn, config, now)).toBe(asked);
    expect(merge(asked, { ...scaleIn, deadline: now + 1_000 }, config, now)).toMatchObject({
      cause: 'disk',
      deadline: now + 1_000,
    });
    const awaited = begun(scaleIn, { irrevocable: { askedToEndAt: now } });
    expect(merge(awaited, someOrder({ cause: 'spot', ending: 'await' }), config, now).cause).toBe('spot');
  });
});

describe('a departure under way', () => {
  it('is over once it is done or undone', () => {
    expect([begun(), begun({}, { phase: 'done' }), begun({}, { undoneAt: 1 })].map(isOver)).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('is asked for again before its end by another process, unless the end was requested in this boot', () => {
    const bootId = 'boot-1';
    const state = begun({ confirmation }, { bootId });
    const asked = { ...state, irrevocable: { askedToEndAt: 1 } };
    expect(withoutOldConfirmation(asked, bootId)).toBe(asked);
    expect(withoutOldConfirmation(asked, 'boot-9')).not.toHaveProperty('confirmedAt');
    const { confirmedAt: _at, confirmedBy: _by, ...rest } = state;
    expect(withoutOldConfirmation(state, bootId)).toEqual(rest);
    const awaited = begun({ ...scaleIn, confirmation });
    expect(withoutOldConfirmation(awaited, 'boot-9')).toBe(awaited);
    expect(withoutOldConfirmation(undefined, bootId)).toBeUndefined();
  });

  it('is read from its phases in a file of version 0.1.0', () => {
    const entered = { announce: 1, balancers: 2, registrar: 3, terminate: 4, hook: 5 };
    const old = ({ irrevocable: _irrevocable, ...rest }: DepartureState) => rest;
    expect(irrevocableOf(old(begun({}, { entered })))).toEqual({
      ranHooksAt: 1,
      leftBalancersAt: 2,
      deregisteredAt: 3,
      askedToEndAt: 4,
    });
    expect(irrevocableOf(old(begun(scaleIn, { entered })))).toMatchObject({ askedToEndAt: 5 });
    expect(irrevocableOf(old(begun()))).toStrictEqual({});
    expect(irrevocableOf(begun({}, { entered, irrevocable: { stoppedTasksAt: 9 } }))).toEqual({ stoppedTasksAt: 9 });
  });

  it('can be called off until the node left its registrar or requested its end', () => {
    expect(isRevocable(begun({}, { irrevocable: { ranHooksAt: 1, leftBalancersAt: 1, stoppedTasksAt: 1 } }))).toBe(
      true,
    );
    for (const deed of ['deregisteredAt', 'askedToEndAt'] as const) {
      const irrevocable = { [deed]: 1 };
      expect(isRevocable(begun({}, { irrevocable }))).toBe(false);
      expect(isRevocable(begun({ ending: 'remain' }, { irrevocable }))).toBe(true);
      expect(isRevocable(begun({ ...scaleIn, returns: true }, { irrevocable }))).toBe(true);
    }
    expect(isRevocable(begun({ ending: 'remain' }, { undoneAt: 1 }))).toBe(false);
    expect(isRevocable(begun({ cause: 'bootstrap-failed' }))).toBe(false);
  });

  it('hurries for a spot notice, and for a fixed deadline that is near', () => {
    const nearMs = config.leave.deregistrationSeconds * 1000 + 60_000;
    const hard = begun({ deadline: now + 1 });
    expect(isUrgent(hard, config, nearMs - 1)).toBe(true);
    expect(isUrgent(hard, config, nearMs)).toBe(false);
    expect(isUrgent(begun(), config, 0)).toBe(false);
    expect(isUrgent(begun({ cause: 'spot' }), config, Infinity)).toBe(true);
  });

  it('names each failure once, the first five and the latest ones', () => {
    const all = Array.from({ length: 30 }, (_, n) => `trouble ${n}`);
    const kept = all.reduce(withTrouble, []);
    expect(withTrouble(kept, 'another')).toHaveLength(20);
    expect(kept).toEqual([...all.slice(0, 5), ...all.slice(15)]);
    expect(withTrouble(kept, 'trouble 29')).toBe(kept);
    expect(withTrouble(['a', 'b'], 'a')).toEqual(['b', 'a']);
    expect(withTrouble([], 'x'.repeat(999))[0]).toHaveLength(300);
  });
});

describe('the events that were called off', () => {
  const gone = begun({ cause: 'maintenance', key: 'b' }, { undoneAt: 1, overruled: ['a'] });

  it('are those that a person may overrule, while AWS still lists them', () => {
    expect(overruledBy(gone)).toEqual(['a', 'b']);
    expect(overruledBy({ ...gone, eventGone: true })).toEqual(['a']);
    expect(overruledBy(begun({ cause: 'maintenance', key: 'b' }))).toEqual([]);
    expect(overruledBy({ ...gone, cause: 'spot' })).toEqual(['a']);
    expect(overruledBy(begun({}, { undoneAt: 1 }))).toEqual([]);
    expect(overruledBy(undefined)).toEqual([]);
  });

  it('are kept once each, the newest 32', () => {
    expect(withOverruled(gone, [])).toBe(gone);
    expect(withOverruled(gone, ['c']).overruled).toEqual(['a', 'c']);
    expect(withOverruled(gone, ['c', 'a']).overruled).toEqual(['c', 'a']);
    expect(withOverruled(begun(), ['c'])).toMatchObject({ cause: 'disk', overruled: ['c'] });
    const many = Array.from({ length: 40 }, (_, n) => `event ${n}`);
    expect(withOverruled(gone, many).overruled).toEqual(many.slice(-32));
  });
});
