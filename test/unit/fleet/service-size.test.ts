import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterCounts, ServiceView } from '../../../core/fleet/fleet-services.ts';
import { decideSize, type SizeGoal } from '../../../fleet/service-size.ts';
import { healthyCluster, steadyService } from '../../fakes/fleet-services.ts';

const goal: SizeGoal = { spare: 1, min: 1 };
const decide = (counts: ClusterCounts, service: ServiceView | undefined, more: Partial<SizeGoal> = {}) =>
  decideSize({ ...goal, ...more }, { counts, service, target: undefined });
/** The count that a service ends up with. */
const sizeOf = (counts: ClusterCounts, desired: number, more: Partial<SizeGoal> = {}) => {
  const decision = decide(counts, steadyService(desired), more);
  return decision.kind === 'resize' ? decision.to : desired;
};

describe('a service keeps the count of the function that this replaces: its container instances less one', () => {
  test.each([
    ['grows with its cluster', 5, 2, {}, 4],
    ['grows at once, however far it is behind: the nodes are there', 40, 2, {}, 39],
    ['stays where it is right', 5, 4, {}, 4],
    ['shrinks with its cluster', 4, 4, {}, 3],
    ['is never below the minimum, whatever its cluster has', 1, 3, { min: 2 }, 2],
    ['is raised to the minimum', 1, 1, { min: 2 }, 2],
    ['is never above the maximum', 30, 5, { max: 10 }, 10],
    ['is brought down to the maximum', 30, 11, { max: 10 }, 10],
    ['spares as many as are wanted', 10, 1, { spare: 3 }, 7],
    ['spares none where none is wanted', 10, 1, { spare: 0 }, 10],
  ] as const)('%s', (_title, instances, desired, more, expected) => {
    expect(sizeOf(healthyCluster(instances), desired, more)).toBe(expected);
  });
});

describe('the counted container instances', () => {
  test('exclude a draining one, whose task is about to leave', () => {
    expect(sizeOf({ ...healthyCluster(5), draining: 1, active: 4, connected: 4 }, 4)).toBe(3);
  });

  test('include no disconnected one for a new task, and remove no task for one', () => {
    const unsure = { ...healthyCluster(5), connected: 3 };
    expect(sizeOf(unsure, 4)).toBe(4);
    expect(sizeOf(unsure, 1)).toBe(2);
    expect(decide(unsure, steadyService(4))).toMatchObject({
      kind: 'keep',
      reason: expect.stringMatching(/2 more without a connected agent/),
    });
  });

  test('remove no task when a list is shorter than the number of registered instances', () => {
    expect(sizeOf({ ...healthyCluster(40), active: 3, connected: 3 }, 39)).toBe(39);
    expect(sizeOf({ ...healthyCluster(40), draining: 2, active: 3, connected: 3 }, 39)).toBe(37);
  });
});

describe('an outage of the ECS agents', () => {
  test('changes nothing when every one looks disconnected', () => {
    expect(decide({ ...healthyCluster(40), connected: 0 }, steadyService(39)).kind).toBe('wait');
  });

  test('changes nothing when the cluster looks empty: without a node no count has an effect', () => {
    expect(decide(healthyCluster(0), steadyService(39)).kind).toBe('wait');
  });

  test('removes a quarter of the tasks in each run when most of the cluster looks gone', () => {
    const sizes = [39];
    while (sizes.length < 6) sizes.push(sizeOf(healthyCluster(4), sizes.at(-1)!));
    expect(sizes).toEqual([39, 30, 23, 18, 14, 11]);
    expect(decide(healthyCluster(4), steadyService(39))).toMatchObject({
      reason: expect.stringMatching(/on the way to 3, a quarter at a time/),
    });
  });
});

describe('a service is left to others', () => {
  test.each([
    ['a service that is being deleted', { status: 'DRAINING' }, /DRAINING/],
    ['a service that was deleted', { status: 'INACTIVE' }, /INACTIVE/],
    ['a DAEMON service', { scheduling: 'DAEMON' }, /DAEMON/],
    ['a service that CodeDeploy deploys', { controller: 'CODE_DEPLOY', deployments: [] }, /CODE_DEPLOY/],
    ['a service on Fargate', { fargate: true }, /Fargate/],
  ] as const)('%s', (_title, more, reason) => {
    expect(decide(healthyCluster(9), steadyService(2, more))).toEqual({
      kind: 'refuse',
      reason: expect.stringMatching(reason),
    });
  });

  test('when it does not exist', () => {
    expect(decide(healthyCluster(9), undefined).kind).toBe('refuse');
  });

  test('when Application Auto Scaling sizes it', () => {
    const decision = decideSize(goal, {
      counts: healthyCluster(9),
      service: steadyService(2),
      target: { min: 1, max: 4 },
    });
    expect(decision).toEqual({ kind: 'refuse', reason: expect.stringMatching(/between 1 and 4/) });
  });

  test('when a person has switched it off', () => {
    expect(decide(healthyCluster(9), steadyService(0), { min: 2 })).toMatchObject({
      kind: 'keep',
      reason: expect.stringMatching(/switched off/),
    });
  });
});

describe('a run waits', () => {
  const deployed = (...deployments: (readonly [string, string | undefined])[]) =>
    steadyService(2, { deployments: deployments.map(([status, rollout]) => ({ status, rollout })) });
  test.each([
    ['a deployment in progress', deployed(['PRIMARY', 'IN_PROGRESS'])],
    ['a deployment that replaces another one', deployed(['PRIMARY', 'COMPLETED'], ['ACTIVE', 'COMPLETED'])],
    ['a rollout that nobody knows yet', deployed(['PRIMARY', 'SOMETHING_NEW'])],
    ['no deployment at all', deployed()],
    ['one that is being replaced by nobody', deployed(['ACTIVE', 'COMPLETED'])],
    ['only one that is on its way out', deployed(['INACTIVE', 'COMPLETED'])],
    [
      'behind a classic load balancer, tasks that have not settled',
      { ...deployed(['PRIMARY', undefined]), running: 1 },
    ],
  ])('%s', (_title, service) => {
    expect(decide(healthyCluster(9), service).kind).toBe('wait');
  });

  test('neither for a replaced deployment nor for a settled service without a rollout state', () => {
    expect(decide(healthyCluster(9), deployed(['PRIMARY', 'COMPLETED'], ['INACTIVE', 'COMPLETED'])).kind).toBe(
      'resize',
    );
    expect(decide(healthyCluster(9), deployed(['PRIMARY', undefined])).kind).toBe('resize');
  });

  test('for a failed deployment, which it distinguishes from one in progress', () => {
    expect(decide(healthyCluster(9), deployed(['PRIMARY', 'FAILED']))).toMatchObject({
      reason: expect.stringMatching(/has failed/),
    });
  });

  test('for a cluster that is not ACTIVE', () => {
    const decision = decide(healthyCluster(9, { status: 'PROVISIONING' }), steadyService(2));
    expect(decision).toEqual({ kind: 'wait', reason: 'the cluster is PROVISIONING' });
  });
});

const size = fc.integer({ min: 0, max: 300 });
const anyCounts = fc.record({
  status: fc.constantFrom('ACTIVE', 'INACTIVE', 'FAILED'),
  registered: size,
  draining: size,
  active: size,
  connected: size,
});
const anyService = fc.record({
  status: fc.constantFrom('ACTIVE', 'DRAINING', 'INACTIVE'),
  scheduling: fc.constantFrom('REPLICA', 'DAEMON'),
  controller: fc.constantFrom('ECS', 'CODE_DEPLOY', 'EXTERNAL'),
  fargate: fc.boolean(),
  desired: size,
  running: size,
  pending: size,
  deployments: fc.array(
    fc.record({
      status: fc.constantFrom('PRIMARY', 'ACTIVE', 'INACTIVE'),
      rollout: fc.constantFrom('COMPLETED', 'IN_PROGRESS', 'FAILED', undefined),
    }),
    { maxLength: 3 },
  ),
});
const anyWish = fc
  .record({ spare: fc.integer({ min: 0, max: 20 }), min: fc.integer({ min: 1, max: 20 }), room: fc.option(size) })
  .map(({ spare, min, room }) => ({ spare, min, max: room === null ? undefined : min + room }));

describe('any answer of AWS', () => {
  test('sets no service to 0, below its minimum by growing, above its maximum, or to an invalid number', () => {
    fc.assert(
      fc.property(anyWish, anyCounts, anyService, (some, counts, service) => {
        const decision = decideSize(some, { counts, service, target: undefined });
        if (decision.kind !== 'resize') return;
        expect(Number.isInteger(decision.to)).toBe(true);
        expect(decision.to).not.toBe(service.desired);
        expect(decision.to).toBeGreaterThanOrEqual(Math.min(some.min, service.desired));
        expect(decision.to).toBeGreaterThan(0);
        expect(decision.to).toBeLessThanOrEqual(Math.max(some.max ?? Infinity, service.desired));
      }),
      { seed: 1 },
    );
  });

  test('removes at most a quarter of the tasks in a run, and at least one', () => {
    fc.assert(
      fc.property(anyWish, anyCounts, size, (some, counts, desired) => {
        const decision = decideSize(some, { counts, service: steadyService(desired), target: undefined });
        if (decision.kind !== 'resize') return;
        expect(desired - decision.to).toBeLessThanOrEqual(Math.max(1, desired / 4));
      }),
      { seed: 1 },
    );
  });

  test('changes no service that is unsteady, foreign or switched off', () => {
    fc.assert(
      fc.property(anyWish, anyCounts, anyService, (some, counts, service) => {
        const live = service.deployments.filter(({ status }) => status !== 'INACTIVE');
        const isSteady =
          live.length === 1 && live[0]?.status === 'PRIMARY' && (live[0].rollout ?? 'COMPLETED') === 'COMPLETED';
        const isOurs =
          service.status === 'ACTIVE' &&
          service.scheduling === 'REPLICA' &&
          service.controller === 'ECS' &&
          !service.fargate;
        if (isSteady && isOurs && service.desired > 0) return;
        expect(decideSize(some, { counts, service, target: undefined }).kind).not.toBe('resize');
      }),
      { seed: 1 },
    );
  });

  test('lets a service settle between the two counts, and stay there', () => {
    fc.assert(
      fc.property(anyWish, size, size, size, (some, connected, more, start) => {
        const counts = healthyCluster(connected + more, { connected });
        if (connected === 0 || start === 0) return;
        let desired = start;
        for (let runs = 0; runs < 60; runs++) desired = sizeOf(counts, desired, some);
        expect(sizeOf(counts, desired, some)).toBe(desired);
        const clamp = (count: number) => Math.max(some.min, Math.min(some.max ?? Infinity, count - some.spare));
        expect(desired).toBeGreaterThanOrEqual(clamp(connected));
        expect(desired).toBeLessThanOrEqual(clamp(connected + more));
      }),
      { seed: 1 },
    );
  });
});
