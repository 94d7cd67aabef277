/** A node that has joined, and joins again: in an outage of ECS, or with another cluster's name. */

import { expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { paths, renderState } from '../../../../../core/state/state.ts';
import { configOf } from '../../stage.ts';
import { busy, deadly, hour, inService, minute } from './in-service.ts';

// In its own minute of three hours, the node without a record in that cluster ended.
it.each([
  ['other', 0],
  ['demo', 1],
])(
  'a rebooted node of the cluster %s that another cluster does not know ends %d times in four hours',
  async (joined, ends) => {
    const { stage, world, run, agent } = await inService({}, busy);
    await agent.stop();
    const host = world.reboot();
    world.localAgent = undefined;
    world.cluster.instances.splice(world.cluster.instances.indexOf(stage.own), 1);
    for (let n = 0; n < 5; n++) world.cluster.addInstance({ agentConnected: true });
    const { instanceId } = world.identity;
    world.machine.files.set(paths.joined, renderState({ instanceId, bootId: 'earlier', cluster: joined }));
    world.calls.list.length = 0;
    const next = stage.agentWith(configOf({ leave: { drainSeconds: 10 } }), host);
    await run(4 * hour);
    expect(world.calls.of('terminateInGroup')).toHaveLength(ends);
    expect(stage.departure() === null).toBe(ends === 0);
    await next.stop();
  },
);

// It began in the boot before, in the right cluster.
it.each(['other', 'demo'])(
  'a departure for a dead ECS agent goes on over a reboot in its own cluster alone: %s',
  async (joined) => {
    const { stage, world, run, agent } = await inService({}, busy);
    world.localAgent = undefined;
    stage.own.agentConnected = false;
    world.calls.fails('terminateInGroup', new Unavailable('silent'));
    const isLeaving = () => /"confirmedAt"/.test(String(world.machine.files.get(paths.departure)));
    for (let n = 0; n < 60 && !isLeaving(); n++) await run(minute);
    expect(isLeaving()).toBe(true);
    await agent.stop();
    const host = world.reboot();
    const { instanceId } = world.identity;
    world.machine.files.set(paths.joined, renderState({ instanceId, bootId: 'earlier', cluster: joined }));
    world.calls.heals('terminateInGroup');
    const next = stage.agentWith(configOf({ leave: { drainSeconds: 10 } }), host);
    await run(hour);
    expect(world.instance.state === 'running').toBe(joined === 'other');
    await next.stop();
  },
);

// It was no outage for a node that joins: the node ended itself after `join.timeoutSeconds`.
it.each(['silent', 'open'])('a node that reboots in an outage of ECS is not ended, port %s', async (port) => {
  const { stage, world, run, agent } = await inService();
  const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
  await agent.stop();
  const host = world.reboot();
  if (port === 'silent') world.localAgent = undefined;
  for (const each of [stage.own, ...others]) each.agentConnected = false;
  world.calls.list.length = 0;
  const next = stage.agent(host);
  await run(2 * hour);
  expect(stage.deeds().filter((deed) => deadly.includes(deed) || deed === 'drain')).toEqual([]);
  expect(world.instance.state).toBe('running');
  await next.stop();
});

// Its agent goes on in the same boot, and joins again.
it('a node that is back from its hibernation in an outage of ECS is not ended', async () => {
  const { stage, world, run, agent } = await inService();
  const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
  world.instance.spotStatus = 'marked-for-stop';
  world.metadata.spotNotice = { action: 'hibernate', at: world.clock.now() + 2 * minute };
  await run(3 * minute);
  for (const each of [stage.own, ...others]) each.agentConnected = false;
  world.calls.list.length = 0;
  world.instance.spotStatus = 'fulfilled';
  world.metadata.spotNotice = undefined;
  await run(2 * hour);
  expect(stage.status().join.state).toBe('failed');
  expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
  expect(world.instance.state).toBe('running');
  await agent.stop();
});
