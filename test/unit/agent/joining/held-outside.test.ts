import { expect, it } from 'vitest';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { outside } from './outside-provider.ts';

const minute = 60_000;

// A person kept an idle node by its tag, to look into it. It had been outside its capacity provider
// for an hour.
it.each([
  ['leaves the tag of the person out once', 1],
  ['shows the tag (control)', 0],
])('a node that a person keeps is not deregistered when the metadata service %s', async (_what, lies) => {
  const stage = outside();
  const { world } = stage;
  world.metadata.tags = { [groupTag]: 'web', 'ecs-node:keep': 'yes' };
  Object.assign(world.instance.tags, world.metadata.tags);
  const { metadata } = stage.host;
  let left = 0;
  const readTags: typeof metadata.readTags = async (...args) => (left-- > 0 ? {} : metadata.readTags(...args));
  const agent = stage.agent({ ...stage.host, metadata: { ...metadata, readTags } });
  await world.clock.run(60 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  left = lies;
  await world.clock.run(60 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  expect(stage.deeds()).toEqual([]);
  await agent.stop();
});

// Only EC2 shows the tag, and leaves it out for a minute.
it.each([
  ['leaves the tag of the person out for a minute', minute],
  ['shows the tag (control)', 0],
])('a node whose tags only EC2 shows is not deregistered when EC2 %s', async (_what, ms) => {
  const stage = outside();
  const { world } = stage;
  world.metadata.tags = undefined;
  Object.assign(world.instance.tags, { [groupTag]: 'web', 'ecs-node:keep': 'yes' });
  const { cloud } = stage.host;
  let until = -Infinity;
  const readOwnTags: typeof cloud.readOwnTags = async (...args) => {
    const { 'ecs-node:keep': kept, ...others } = await cloud.readOwnTags(...args);
    return world.clock.uptime() < until || kept === undefined ? others : { ...others, 'ecs-node:keep': kept };
  };
  const agent = stage.agent({ ...stage.host, cloud: { ...cloud, readOwnTags } });
  await world.clock.run(30 * minute);
  const asked = world.calls.of('readOwnTags').length;
  expect(asked).toBeGreaterThan(0);
  if (ms > 0) {
    until = Infinity;
    while (world.calls.of('readOwnTags').length === asked) await world.clock.run(500);
    until = world.clock.uptime() + ms;
  }
  await world.clock.run(60 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  await agent.stop();
});

// A person has put the node into Standby.
it.each([
  ['says InService for a second', 1_000],
  ['says Standby (control)', 0],
])('a node in Standby is not deregistered when the metadata service %s', async (_what, ms) => {
  const stage = outside();
  const { world } = stage;
  const { metadata, ecsAgent } = stage.host;
  let isArmed = false;
  let until = -Infinity;
  const readTargetState: typeof metadata.readTargetState = async (...args) =>
    world.clock.uptime() < until ? 'InService' : metadata.readTargetState(...args);
  // The part that registers anew asks for the tasks before it asks for the target state.
  const readTasks: typeof ecsAgent.readTasks = async (...args) => {
    if (isArmed) until = world.clock.uptime() + ms;
    isArmed = false;
    return ecsAgent.readTasks(...args);
  };
  const host = { ...stage.host, metadata: { ...metadata, readTargetState }, ecsAgent: { ...ecsAgent, readTasks } };
  const agent = stage.agent(host);
  await world.clock.run(20_000);
  world.metadata.targetState = 'Standby';
  stage.group.lifecycleState = 'Standby';
  await world.clock.run(60 * minute);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  isArmed = true;
  await world.clock.run(60 * minute);
  expect(isArmed).toBe(false);
  expect(world.calls.of('deregisterContainerInstance')).toEqual([]);
  await agent.stop();
});
