import { expect, test } from 'vitest';
import { findPlace, resumePlacement, stopPlacement } from '../../../agent/container-instance.ts';
import { never, setStage } from './stage.ts';

const patienceMs = 10_000;

test.each(['with', 'without'])('a node finds its own container instance, %s an ECS agent that answers', async (how) => {
  const { host, world, config, own } = setStage();
  world.cluster.addInstance();
  if (how === 'without') world.localAgent = undefined;
  const place = await world.clock.finish(findPlace(host, config, patienceMs, never));
  expect(place).toEqual({ cluster: 'demo', arn: own.arn });
});

test('placement is stopped and resumed for the container instance that was named, and for no other', async () => {
  const { host, world } = setStage();
  const { instances } = world.cluster;
  world.cluster.addInstance();
  world.cluster.addInstance();
  const statuses = () => instances.map(({ status }) => status);
  for (const [index, { arn }] of instances.entries()) {
    await world.clock.finish(stopPlacement(host, { cluster: 'demo', arn }, patienceMs, never));
    expect(statuses()).toEqual(instances.map((_, at) => (at === index ? 'DRAINING' : 'ACTIVE')));
    await world.clock.finish(resumePlacement(host, { cluster: 'demo', arn }, patienceMs, never));
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  }
});
