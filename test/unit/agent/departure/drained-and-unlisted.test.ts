import { expect, it } from 'vitest';
import { ask, inService, minute } from '../running/in-service.ts';

// A person drained a healthy node for a while, and called that off. Its introspection port was
// closed, as it may be on a node in service. ECS did not list the node for 45 s, and it stayed
// DRAINING for ever.
it.each([
  ['does not list it for 45 s, and its port is closed', 45_000, false],
  ['lists it, and its port is closed (control)', 0, false],
  ['does not list it for 45 s, and its port answers (control)', 45_000, true],
])('a node becomes ACTIVE again after "stay" when ECS %s', async (_what, ms, isOpen) => {
  const { stage, run, agent } = await inService();
  const { world } = stage;
  await agent.stop();
  if (!isOpen) world.localAgent = undefined;
  const { cloud } = stage.host;
  let until = -Infinity;
  const isLost = () => world.clock.uptime() < until;
  const readContainerInstance: typeof cloud.readContainerInstance = async (...args) =>
    isLost() ? undefined : cloud.readContainerInstance(...args);
  const ownsContainerInstance: typeof cloud.ownsContainerInstance = async (...args) =>
    !isLost() && cloud.ownsContainerInstance(...args);
  const next = stage.agent({ ...stage.host, cloud: { ...cloud, readContainerInstance, ownsContainerInstance } });
  await run(minute);
  ask(stage, 'leave', false);
  await run(2 * minute);
  expect(stage.own.status).toBe('DRAINING');
  until = world.clock.uptime() + ms;
  ask(stage, 'stay');
  await run(60 * minute);
  expect(stage.own.status).toBe('ACTIVE');
  await next.stop();
});
