/** A node outside a capacity provider that does not exist, no longer, or while ECS is busy. */

import { expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { outside } from './outside-provider.ts';

const minute = 60_000;

// It deregistered its record, and lost what a person had put there.
it.each([
  ['never (control)', 0],
  ['once', 1],
])('a node of a group without a capacity provider keeps its record when ECS names one %s', async (_how, lies) => {
  const stage = outside((each) => each.world.cluster.capacityProviders.clear());
  const { world, host, own } = stage;
  let left = lies;
  const { readCapacityProvider } = host.cloud;
  const cloud: typeof host.cloud = {
    ...host.cloud,
    readCapacityProvider: async (...all) => (left-- > 0 ? 'nodes' : readCapacityProvider(...all)),
  };
  const agent = stage.agent({ ...host, cloud });
  await world.clock.run(60 * minute);
  expect(stage.deeds()).not.toContain('drain');
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  expect(own.status).toBe('ACTIVE');
  await agent.stop();
});

it.each([
  ['is still there (control)', false, 1],
  ['was deleted while it had a task', true, 0],
])('a node outside a provider that %s registers anew as often as it helps', async (_how, isDeleted, times) => {
  const stage = outside();
  const { world, own } = stage;
  const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const agent = stage.agent();
  await world.clock.run(30 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  if (isDeleted) world.cluster.capacityProviders.clear();
  await world.clock.run(30 * minute);
  task.lastStatus = 'STOPPED';
  await world.clock.run(30 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toHaveLength(times);
  await agent.stop();
});

// ECS carried the call out after the node had given up, and the node stayed DRAINING for ever.
it.each([
  ['never (control)', undefined],
  ['20 s later', 20_000],
])('a node is ACTIVE where ECS answers each DRAINING by HTTP 503, and carries it out %s', async (_how, ms) => {
  const stage = outside();
  const { world, host, own } = stage;
  const drain = async () => {
    if (ms !== undefined) world.clock.schedule(ms, () => void (own.status = 'DRAINING'));
    throw new Unavailable('HTTP 503');
  };
  const agent = stage.agent({ ...host, cloud: { ...host.cloud, drain } });
  await world.clock.run(30 * minute);
  expect(own.status).toBe('ACTIVE');
  await agent.stop();
});
