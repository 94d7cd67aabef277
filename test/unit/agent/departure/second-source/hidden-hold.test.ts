/** EC2 leaves out the tag of a person where it alone shows tags. */

import { expect, it } from 'vitest';
import type { Host } from '../../../../../core/host.ts';
import { bootedFirst, configOf } from '../../stage.ts';
import { launched } from '../../joining/join/launched.ts';

const minute = 60_000;

/** EC2's list lacks the tag of the person for `ms`, from the first answer after `when` on. */
function hidingTag(host: Host, now: () => number, when: () => boolean, ms: number): Host {
  let until: number | undefined;
  const { cloud } = host;
  return {
    ...host,
    cloud: {
      ...cloud,
      async readOwnTags(...args) {
        if (until === undefined && when()) until = now() + ms;
        const { 'ecs-node:keep': kept, ...others } = await cloud.readOwnTags(...args);
        return now() < (until ?? 0) || kept === undefined ? others : { ...others, 'ecs-node:keep': kept };
      },
    },
  };
}

const keep = { 'ecs-node:keep': 'yes', 'aws:autoscaling:groupName': 'web' };

// A person keeps a node whose ECS agent cannot register, to find out why. The launch template does
// not show tags in the metadata, which is EC2's default.
it.each([
  ['leaves the tag out for 60 s', minute],
  ['leaves the tag out for 30 s', 30_000],
  ['lists the tag (control)', 0],
])('a node that a person keeps, and that cannot join, is not ended when EC2 %s', async (_what, ms) => {
  const node = launched(configOf({ join: { timeoutSeconds: 600 } }), 1e12);
  const { world } = node;
  bootedFirst(node);
  world.metadata.tags = undefined;
  Object.assign(world.instance.tags, keep);
  let isTold = false;
  const agent = node.agent(hidingTag(node.host, world.clock.uptime, () => isTold, ms));
  await world.clock.run(45 * minute);
  expect(world.instance.state).toBe('running');
  isTold = true;
  await world.clock.run(45 * minute);
  expect(world.instance.state).toBe('running');
  expect(node.deeds()).not.toContain('completeHook');
  await agent.stop();
});

it.each([
  ['has released', 'shutting-down'],
  ['keeps (control)', 'running'],
])('a node that cannot join, and that a person %s, is then %s', async (what, state) => {
  const node = launched(configOf({ join: { timeoutSeconds: 600 } }), 1e12);
  const { world } = node;
  bootedFirst(node);
  world.metadata.tags = undefined;
  Object.assign(world.instance.tags, keep);
  const agent = node.agent();
  await world.clock.run(45 * minute);
  if (what === 'has released') delete world.instance.tags['ecs-node:keep'];
  await world.clock.run(45 * minute);
  expect(world.instance.state).toBe(state);
  await agent.stop();
});
