/** Heartbeats while Auto Scaling does not tell the times of the hook, or tells wrong ones. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host, LifecycleHook } from '../../../../core/host.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { configOf, setStage } from '../stage.ts';
import { launched } from './join/launched.ts';

const minute = 60_000;

type ReadHooks = Host['cloud']['readHooks'];
type Lie = (truth: ReadHooks) => ReadHooks;

/** The host, whose answers about hooks come from `lie` for `ms` after the first question. */
function lying(host: Host, ms: number, lie: Lie): Host {
  const { cloud, clock } = host;
  let until: number | undefined;
  const readHooks: ReadHooks = (...args) => {
    const isLie = clock.uptime() < (until ??= clock.uptime() + ms);
    return (isLie ? lie(cloud.readHooks) : cloud.readHooks)(...args);
  };
  return { ...host, cloud: { ...cloud, readHooks } };
}

const failing = (error: Error) => (): ReadHooks => () => Promise.reject(error);

/** A scale-in with a task that needs 40 of its 50 minutes. */
async function leavesWithTask(times: Partial<LifecycleHook>, ms: number, lie: Lie) {
  const stage = setStage(configOf({ leave: { drainSeconds: 3000 } }));
  const { world, group, own } = stage;
  const hook = (group.hooks[1] = someHook('terminate', 'terminate', times));
  world.cluster.addTask(own.arn, { group: 'service:batch', stopsAfterMs: 40 * minute });
  const agent = stage.agent(lying(stage.host, ms, lie));
  await world.clock.run(minute);
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  return { ...stage, hook, agent };
}

/** A healthy node that needs nine minutes to register. */
async function joinsSlowly(times: Partial<LifecycleHook>, ms: number, lie: Lie) {
  const node = launched(configOf({ join: { timeoutSeconds: 1800 } }), 9 * minute);
  const { world, group, host } = node;
  for (const hook of group.hooks) hook.active = false;
  const hook = someHook('launch', 'launch', times);
  group.hooks = [hook];
  group.begin('launch');
  const agent = node.agent(lying(host, ms, lie));
  await world.clock.run(15 * minute);
  return { ...node, hook, agent };
}

const throttled = failing(new Unavailable('throttled'));
const refused = failing(new Refused('not authorized', { code: 'AccessDenied' }));
const silent: Lie = () => (_group, signal) =>
  new Promise((_answer, reject) => signal.addEventListener('abort', () => reject(new Unavailable('silent'))));

// One heartbeat was sent, and no other until the times of the hook were known.
describe.each([
  ['does not answer for a minute, of 30 s', { heartbeatSeconds: 30 }, minute, silent],
  ['does not answer for a minute, of 60 s', { heartbeatSeconds: 60 }, minute, silent],
  ['is throttled for a minute, of 60 s', { heartbeatSeconds: 60 }, minute, throttled],
  ['lists no hook for a minute, of 60 s', { heartbeatSeconds: 60 }, minute, () => async () => []],
  ['is refused to the role, of 300 s', {}, Infinity, refused],
  ['answers, of 60 s', { heartbeatSeconds: 60 }, 0, silent],
] satisfies [string, Partial<LifecycleHook>, number, Lie][])(
  'while DescribeLifecycleHooks %s',
  (_what, times, ms, lie) => {
    it('the terminate hook does not time out under a task', async () => {
      const { world, hook, agent } = await leavesWithTask(times, ms, lie);
      await world.clock.run(35 * minute);
      expect(hook.ended).toBeUndefined();
      await world.clock.run(10 * minute);
      expect(hook.ended).toBe('CONTINUE');
      await agent.stop();
    });

    it('the launch hook does not time out under a node that joins', async () => {
      const { hook, agent } = await joinsSlowly(times, ms, lie);
      expect(hook.ended).toBe('CONTINUE');
      await agent.stop();
    });
  },
);
