import { expect, test } from 'vitest';
import { findContainerInstance, resumePlacement, stopPlacement } from '../../../agent/container-instance.ts';
import { never, setStage } from './stage.ts';

const patienceMs = 10_000;

test.each(['with', 'without'])('a node finds its own container instance, %s an ECS agent that answers', async (how) => {
  const { host, world, config, own } = setStage();
  world.cluster.addInstance();
  if (how === 'without') world.localAgent = undefined;
  const containerInstance = await world.clock.finish(findContainerInstance(host, config, patienceMs, never));
  expect(containerInstance).toEqual({ cluster: 'demo', arn: own.arn });
});

test('placement is stopped and resumed on the given container instance only', async () => {
  const { host, world } = setStage();
  const { instances } = world.cluster;
  const { instanceId: ec2InstanceId } = world.identity;
  world.cluster.addInstance({ ec2InstanceId });
  world.cluster.addInstance({ ec2InstanceId });
  const statuses = () => instances.map(({ status }) => status);
  for (const [index, { arn }] of instances.entries()) {
    await world.clock.finish(stopPlacement(host, { cluster: 'demo', arn }, patienceMs, never));
    expect(statuses()).toEqual(instances.map((_, at) => (at === index ? 'DRAINING' : 'ACTIVE')));
    await world.clock.finish(resumePlacement(host, { cluster: 'demo', arn }, patienceMs, never));
    expect(statuses()).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
  }
});

// The port is not privileged: another process answered there, and the node drained another node.
test.each([
  ['another node', {}],
  ['another cluster', { cluster: 'elsewhere' }],
])('an introspection port that names the record of %s does not mislead the node', async (_, more) => {
  const { host, world, config, own } = setStage();
  const other = world.cluster.addInstance();
  world.localAgent = { cluster: 'demo', version: '1', containerInstanceArn: other.arn, ...more };
  expect(await world.clock.finish(findContainerInstance(host, config, patienceMs, never))).toEqual({
    cluster: 'demo',
    arn: own.arn,
  });
  await expect(
    world.clock.finish(stopPlacement(host, { cluster: 'demo', arn: other.arn }, patienceMs, never)),
  ).rejects.toMatchObject({ code: 'NotThisInstance' });
  expect(other.status).toBe('ACTIVE');
});
