/** The note that a node has joined: the disk refuses it once, and its cluster changes in a boot. */

import { expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { busy, deadly, hour, inService, minute } from '../departure/second-source/in-service.ts';
import { configOf } from '../stage.ts';

// docs/operations.md: `systemctl restart ecs-node-bootstrap ecs` moves a node without a reboot. The
// note named the former cluster, and a dead ECS agent was never replaced.
it.each([
  ['with a reboot (control)', true],
  ['without a reboot', false],
])('a node that moved to another cluster %s leaves when its ECS agent is dead', async (_how, reboots) => {
  const { stage, world, run, agent } = await inService();
  await agent.stop();
  const host = reboots ? world.reboot() : world.restart();
  world.cluster.name = 'blue';
  world.localAgent = { ...world.localAgent!, cluster: 'blue' };
  for (let n = 0; n < 9; n++) world.cluster.addInstance({ agentConnected: true });
  world.machine.files.delete(paths.agent);
  const next = stage.agentWith(configOf({ cluster: 'blue', leave: { drainSeconds: 10 } }), host);
  await run(10 * minute);
  expect(stage.status().join).toMatchObject({ state: 'joined', detail: 'in the cluster blue' });
  world.localAgent = undefined;
  stage.own.agentConnected = false;
  await run(2 * hour);
  expect(world.instance.state).not.toBe('running');
  await next.stop();
});

it.each([
  ['takes it (control)', 0],
  ['refuses it once', 1],
])('a node that reboots in an outage of ECS has been in service, also where the disk %s', async (_how, times) => {
  const { stage, world, run, agent } = await inService({}, (each) => {
    busy(each);
    let left = times;
    each.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.joined && left-- > 0)
        throw new Unavailable('ENOSPC: no space left on device');
    };
  });
  const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
  await run(hour);
  await agent.stop();
  const host = world.reboot();
  for (const each of [stage.own, ...others]) each.agentConnected = false;
  world.localAgent = undefined;
  world.calls.list.length = 0;
  const next = stage.agent(host);
  await run(hour);
  expect(stage.deeds().filter((deed) => [...deadly, 'drain', 'stopTask'].includes(deed))).toEqual([]);
  expect(world.instance.state).toBe('running');
  await next.stop();
});
