import { describe, expect, it } from 'vitest';
import { orderOf } from '../../../../agent/watching/past-order.ts';
import type { DepartureState } from '../../../../core/state/state.ts';

const state: DepartureState = {
  instanceId: 'i-0123456789abcdef0',
  bootId: 'boot-1',
  cause: 'spot',
  reason: 'EC2 takes it',
  startedAt: 1_000,
  deadline: 121_000,
  ending: 'await',
  phase: 'drain',
  entered: {},
  blockers: [],
  troubles: [],
  irrevocable: {},
  key: 'spot:1',
  uptimes: { started: 10, cause: 10, deadline: 120_010 },
};

describe('the order behind a departure on disk', () => {
  it('has the deadline from outside, by the wall clock and in the same boot by uptime', () => {
    const hard: DepartureState = { ...state, hardDeadline: true };
    expect(orderOf(hard, 'boot-1')).toMatchObject({ deadline: 121_000, deadlineUptime: 120_010 });
    expect(orderOf(hard, 'boot-2')).toMatchObject({ deadline: 121_000 });
    expect(orderOf(hard, 'boot-2').deadlineUptime).toBeUndefined();
  });

  it("has no deadline where it was the node's own", () => {
    const order = orderOf(state, 'boot-1');
    expect([order.deadline, order.deadlineUptime]).toEqual([undefined, undefined]);
  });

  // A stopped machine may list its notice for minutes. A person may call off a retirement at once.
  it.each([
    ['spot', undefined, 20_000],
    ['spot', true, 180_000],
    ['maintenance', undefined, 0],
  ] as const)('for %s, with its return %s, is revoked after %d ms without its event', (cause, returns, ms) => {
    expect(orderOf({ ...state, cause, ...(returns && { returns }) }, 'boot-1').revocableAfterMs).toBe(ms);
  });
});
