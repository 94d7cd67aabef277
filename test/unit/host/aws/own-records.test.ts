/** Each verb that takes an ARN refuses what ECS has not said to be this instance's. */

import { describe, expect, it } from 'vitest';
import type { Cloud } from '../../../../core/host.ts';
import { Unavailable } from '../../../../core/errors.ts';
import { guardRecords } from '../../../../host/aws/ecs/own-records.ts';
import { openClusterCloud } from '../../../fakes/cloud/cluster.ts';
import { openFakeHost } from '../../../fakes/host.ts';

const never = new AbortController().signal;

type Call = (cloud: Cloud, record: string, task: string) => Promise<unknown>;

const calls: readonly [string, Call][] = [
  ['drain', (cloud, record) => cloud.drain('demo', record, never)],
  ['activate', (cloud, record) => cloud.activate('demo', record, never)],
  ['readTasks', (cloud, record) => cloud.readTasks('demo', record, never)],
  ['queueToLeave', (cloud, record) => cloud.queueToLeave('demo', record, 'disk', 1, never)],
  ['unqueue', (cloud, record) => cloud.unqueue('demo', record, 'disk', never)],
  ['startTask', (cloud, record) => cloud.startTask('demo', record, 'logs:1', 'ecs-node', never)],
  ['stopTask', (cloud, _record, task) => cloud.stopTask('demo', task, 'a test', never)],
];

it.each(calls)('%s never changes another node, whatever ARN it gets', async (verb, call) => {
  const { host, world, clock } = openFakeHost();
  const own = world.joinCluster();
  const neighbour = world.cluster.addInstance();
  const foreign = world.cluster.addTask(neighbour.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  // Also when the node's own record is known already.
  await clock.finish(host.cloud.readContainerInstance('demo', own.arn, never));
  await expect(clock.finish(call(host.cloud, neighbour.arn, foreign.arn))).rejects.toMatchObject({
    code: 'NotThisInstance',
  });
  expect(world.calls.of(verb)).toEqual([]);
  expect([neighbour.status, foreign.lastStatus]).toEqual(['ACTIVE', 'RUNNING']);
});

// StopTask then stopped the neighbour's task.
it('takes no task for its own that ECS says runs on another node', async () => {
  const { world, clock } = openFakeHost();
  const own = world.joinCluster();
  const neighbour = world.cluster.addInstance();
  const foreign = world.cluster.addTask(neighbour.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const ecs = openClusterCloud(world.cluster, world.identity.instanceId, clock);
  const lying = { ...ecs, readTasks: async () => ecs.readTasks('demo', neighbour.arn, never) };
  const cloud = guardRecords(lying as unknown as Cloud);
  await expect(cloud.readTasks('demo', own.arn, never)).rejects.toBeInstanceOf(Unavailable);
  await expect(cloud.stopTask('demo', foreign.arn, 'a test', never)).rejects.toBeInstanceOf(Unavailable);
  expect(foreign.lastStatus).toBe('RUNNING');
});

// A stale introspection answer named the old record for ever: a node that was drained for its full
// disk looked for its queue entry there, and stayed DRAINING.
describe('takes a record for gone that was deregistered', () => {
  const open = async () => {
    const { host, world, clock } = openFakeHost();
    const own = world.joinCluster();
    await clock.finish(host.cloud.readContainerInstance('demo', own.arn, never));
    const asks = () => clock.finish(host.cloud.ownsContainerInstance('demo', own.arn, never));
    expect(await asks()).toBe(true);
    return { host, clock, own, asks };
  };

  it('by this node', async () => {
    const { host, clock, own, asks } = await open();
    own.status = 'DRAINING';
    await clock.finish(host.cloud.deregisterContainerInstance('demo', own.arn, never));
    expect(await asks()).toBe(false);
  });

  it('by another program', async () => {
    const { host, clock, own, asks } = await open();
    own.status = 'INACTIVE';
    await expect(clock.finish(host.cloud.drain('demo', own.arn, never))).rejects.toThrow('INACTIVE');
    expect(await asks()).toBe(false);
  });
});

// The repeated call was refused as one about another node's record, and the new registration was
// given up half way: the node had no record any more.
it('repeats a deregistration whose answer was lost', async () => {
  const { world, clock } = openFakeHost();
  const own = world.joinCluster();
  own.status = 'DRAINING';
  const ecs = openClusterCloud(world.cluster, world.identity.instanceId, clock);
  let calls = 0;
  const deregisterContainerInstance: Cloud['deregisterContainerInstance'] = async (...args) => {
    await ecs.deregisterContainerInstance(...args);
    if (++calls === 1) throw new Unavailable('the answer is lost');
  };
  const cloud = guardRecords({ ...ecs, deregisterContainerInstance } as unknown as Cloud);
  await cloud.readContainerInstance('demo', own.arn, never);
  const deregister = () => cloud.deregisterContainerInstance('demo', own.arn, never);
  await expect(deregister()).rejects.toBeInstanceOf(Unavailable);
  await expect(deregister()).resolves.toBeUndefined();
});

// startTask needs a task definition, which upkeep/keep-daemon-tasks.test.ts has.
it.each(calls.filter(([verb]) => verb !== 'startTask'))("%s reaches the node's own record", async (verb, call) => {
  const { host, world, clock } = openFakeHost();
  const own = world.joinCluster();
  const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  await clock.finish(host.cloud.readContainerInstance('demo', own.arn, never));
  await clock.finish(call(host.cloud, own.arn, task.arn));
  expect(world.calls.of(verb).length).toBeGreaterThan(0);
});
