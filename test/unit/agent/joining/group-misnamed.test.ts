/** Auto Scaling names another group of the node for some seconds. */

import { expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { configOf, setStage } from '../stage.ts';
import { launched } from './join/launched.ts';

const minute = 60_000;
const tag = 'aws:autoscaling:groupName';

/** From the first answer after `when` on, Auto Scaling names another group for `ms`. */
function misnaming(host: Host, now: () => number, when: () => boolean, ms: number): Host {
  const { cloud } = host;
  let until: number | undefined;
  return {
    ...host,
    cloud: {
      ...cloud,
      async readMembership(...args) {
        const truth = await cloud.readMembership(...args);
        if (truth === undefined || !when()) return truth;
        return now() < (until ??= now() + ms) ? { ...truth, group: 'other' } : truth;
      },
    },
  };
}

// A true scale-in with a task that needs 40 of its 50 minutes. As users report, heartbeats see the
// action of the hook some seconds after it has begun.
it.each([
  ['names another group for 20 s', 20_000],
  ['names another group once', 1],
  ['names the group (control)', 0],
])('the terminate hook does not time out under a task when Auto Scaling %s', async (_what, ms) => {
  const stage = setStage(configOf({ leave: { drainSeconds: 3000 } }));
  const { world } = stage;
  world.metadata.tags = { [tag]: 'web' };
  world.instance.tags[tag] = 'web';
  stage.group.hookLagMs = 8_000;
  world.cluster.addTask(stage.own.arn, { group: 'service:batch', stopsAfterMs: 40 * minute });
  let began = Infinity;
  // After the first heartbeat, which was too early.
  const when = () => world.calls.of('heartbeat').some(({ at }) => at >= began);
  const agent = stage.agent(misnaming(stage.host, world.clock.uptime, when, ms));
  await world.clock.run(minute);
  began = world.clock.uptime();
  world.metadata.targetState = 'Terminated';
  stage.group.begin('terminate');
  await world.clock.run(35 * minute);
  expect(stage.group.hooks[1]!.ended).toBeUndefined();
  expect(world.instance.state).toBe('running');
  await agent.stop();
});

// A healthy node that needs nine minutes to register. The launch template does not show tags in the
// metadata, which is EC2's default.
it.each([
  ['names another group for 20 s', 20_000],
  ['names the group (control)', 0],
])('the launch hook does not time out under a node that joins when Auto Scaling %s', async (_what, ms) => {
  const node = launched(configOf({ join: { timeoutSeconds: 1800 } }), 9 * minute);
  const { world } = node;
  world.metadata.tags = undefined;
  world.instance.tags[tag] = 'web';
  const agent = node.agent(misnaming(node.host, world.clock.uptime, () => true, ms));
  await world.clock.run(60 * minute);
  expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  expect(world.instance.state).toBe('running');
  await agent.stop();
});

// One heartbeat is answered with "not active", and Auto Scaling then does not tell the group.
it.each([
  ['is silent', () => Promise.reject(new Unavailable('throttled'))],
  ['names none', () => Promise.resolve(undefined)],
])(
  'the launch hook does not time out under a node that joins when Auto Scaling %s after a doubt',
  async (_what, tell) => {
    const node = launched(configOf({ join: { timeoutSeconds: 1800 } }), 9 * minute);
    const { world, host } = node;
    world.metadata.tags = { [tag]: 'web' };
    world.instance.tags[tag] = 'web';
    let doubts = 1;
    const readMembership: Host['cloud']['readMembership'] = async (...args) =>
      world.clock.uptime() < 8 * minute ? tell() : host.cloud.readMembership(...args);
    const heartbeat: Host['cloud']['heartbeat'] = async (...args) => doubts-- <= 0 && host.cloud.heartbeat(...args);
    const agent = node.agent({ ...host, cloud: { ...host.cloud, readMembership, heartbeat } });
    await world.clock.run(60 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(world.instance.state).toBe('running');
    await agent.stop();
  },
);
