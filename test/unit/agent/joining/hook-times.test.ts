/** Heartbeats while one source does not tell what they need, or tells something wrong. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host, LifecycleHook } from '../../../../core/host.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { configOf, setStage, type Stage } from '../stage.ts';
import { launched } from './join/launched.ts';

const minute = 60_000;

type ReadHooks = Host['cloud']['readHooks'];
type Lie = (truth: ReadHooks) => ReadHooks;

type Deceive = (stage: Pick<Stage, 'host' | 'world'>) => Host;

/** The host, whose answers about hooks come from `lie` for `ms` after the first question. */
const lying =
  (ms: number, lie: Lie): Deceive =>
  ({ host }) => {
    const { cloud, clock } = host;
    let until: number | undefined;
    const readHooks: ReadHooks = (...args) => {
      const isLie = clock.uptime() < (until ??= clock.uptime() + ms);
      return (isLie ? lie(cloud.readHooks) : cloud.readHooks)(...args);
    };
    return { ...host, cloud: { ...cloud, readHooks } };
  };

const failing = (error: Error) => (): ReadHooks => () => Promise.reject(error);

const telling =
  (wrong: Partial<LifecycleHook>): Lie =>
  (truth) =>
  async (...args) =>
    (await truth(...args)).map((hook) => ({ ...hook, ...wrong }));

/** A scale-in with a task that needs 40 of its 50 minutes. */
async function leavesWithTask(times: Partial<LifecycleHook>, deceive: Deceive) {
  const stage = setStage(configOf({ leave: { drainSeconds: 3000 } }));
  const { world, group, own } = stage;
  const hook = (group.hooks[1] = someHook('terminate', 'terminate', times));
  world.cluster.addTask(own.arn, { group: 'service:batch', stopsAfterMs: 40 * minute });
  const agent = stage.agent(deceive(stage));
  await world.clock.run(minute);
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  return { ...stage, hook, agent };
}

/** A healthy node that needs nine minutes to register. */
async function joinsSlowly(times: Partial<LifecycleHook>, deceive: Deceive, afterMs = 9 * minute) {
  const node = launched(configOf({ join: { timeoutSeconds: 1800 } }), afterMs);
  const { world, group } = node;
  for (const hook of group.hooks) hook.active = false;
  const hook = someHook('launch', 'launch', times);
  group.hooks = [hook];
  group.begin('launch');
  const agent = node.agent(deceive(node));
  await world.clock.run(afterMs + 6 * minute);
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
      const { world, hook, agent } = await leavesWithTask(times, lying(ms, lie));
      await world.clock.run(35 * minute);
      expect(hook.ended).toBeUndefined();
      await world.clock.run(10 * minute);
      expect(hook.ended).toBe('CONTINUE');
      await agent.stop();
    });

    it('the launch hook does not time out under a node that joins', async () => {
      const { hook, agent } = await joinsSlowly(times, lying(ms, lie));
      expect(hook.ended).toBe('CONTINUE');
      await agent.stop();
    });
  },
);

/**
 * The metadata service shows another group's name in the node's tag, at the first `times` reads.
 * Auto Scaling refuses a heartbeat for that group, or says that no hook is active.
 */
const wrongTag =
  (times: number, isRefused: boolean, when: (stage: Pick<Stage, 'world'>) => boolean): Deceive =>
  ({ host, world }) => {
    world.metadata.tags = { [groupTag]: 'web' };
    world.instance.tags[groupTag] = 'web';
    const { metadata } = host;
    let left = times;
    const readTag: typeof metadata.readTag = async (key, signal) =>
      key === groupTag && when({ world }) && left-- > 0 ? 'other' : metadata.readTag(key, signal);
    const { cloud } = host;
    const heartbeat: typeof cloud.heartbeat = async (group, ...rest) =>
      (isRefused || group !== 'other') && cloud.heartbeat(group, ...rest);
    return { ...host, metadata: { ...metadata, readTag }, cloud: { ...cloud, heartbeat } };
  };

// The wrong name was kept for all heartbeats.
describe.each([
  [1, true],
  [1, false],
  [5, true],
  [0, true],
])("while %d reads of the node's tag show another group (heartbeats refused: %s)", (times, isRefused) => {
  it.each([true, false])(
    'the terminate hook does not time out under a task (may ask the group: %s)',
    async (mayAsk) => {
      const leaving = ({ world }: Pick<Stage, 'world'>) => world.metadata.targetState === 'Terminated';
      const { world, hook, agent } = await leavesWithTask({}, wrongTag(times, isRefused, leaving));
      if (!mayAsk) world.calls.fails('readMembership', new Refused('not authorized', { code: 'AccessDenied' }));
      await world.clock.run(35 * minute);
      expect(hook.ended).toBeUndefined();
      expect(world.instance.state).toBe('running');
      await agent.stop();
    },
  );

  it('the launch hook does not time out under a node that joins', async () => {
    const always = () => true;
    const { hook, agent, world } = await joinsSlowly({}, wrongTag(times, isRefused, always));
    expect(hook.ended).toBe('CONTINUE');
    expect(world.calls.of('readMembership').length).toBeLessThanOrEqual(1 + Math.min(times, 1));
    await agent.stop();
  });
});

// Two wrong answers, seven seconds apart, were believed.
describe.each([
  ['a heartbeat timeout of an hour for 20 s', 20_000, { heartbeatSeconds: 3600 }],
  ['a heartbeat timeout of an hour for 70 s', 70_000, { heartbeatSeconds: 3600 }],
  ['a global timeout of three minutes for 20 s', 20_000, { globalSeconds: 180 }],
  ['a global timeout of three minutes for 70 s', 70_000, { globalSeconds: 180 }],
  ['the times of the hook', 0, {}],
] satisfies [string, number, Partial<LifecycleHook>][])('when DescribeLifecycleHooks tells %s', (_what, ms, wrong) => {
  it.each([30, 300])('a task keeps its time under a hook of %d s', async (heartbeatSeconds) => {
    const { world, hook, agent, deeds } = await leavesWithTask({ heartbeatSeconds }, lying(ms, telling(wrong)));
    await world.clock.run(35 * minute);
    expect(deeds()).not.toContain('stopTask');
    expect(hook.ended).toBeUndefined();
    await agent.stop();
  });

  it.each([30, 300])('a launch hook of %d s does not time out under a node that joins', async (heartbeatSeconds) => {
    const { hook, agent } = await joinsSlowly({ heartbeatSeconds }, lying(ms, telling(wrong)));
    expect(hook.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

const truly = lying(0, telling({}));

it('a node stops its task in time where its hook has only three minutes', async () => {
  const { world, hook, agent, deeds } = await leavesWithTask({ globalSeconds: 180 }, truly);
  await world.clock.run(5 * minute);
  expect(deeds()).toContain('stopTask');
  expect(hook.ended).toBe('CONTINUE');
  await agent.stop();
});

// All nodes of an account share one limit for these calls.
it('a node reads the times of its hook twice, and sends six heartbeats meanwhile', async () => {
  const { world, agent } = await leavesWithTask({ heartbeatSeconds: 1200 }, truly);
  const heartbeats = () => world.calls.of('heartbeat').filter(({ args }) => args[1] === 'terminate');
  await world.clock.run(10 * minute);
  expect(world.calls.of('readHooks')).toHaveLength(2);
  expect(heartbeats()).toHaveLength(6);
  await world.clock.run(15 * minute);
  expect(world.calls.of('readHooks')).toHaveLength(2);
  expect(heartbeats()).toHaveLength(8);
  await agent.stop();
});

/** When `when` says so, `times` heartbeats do not count: "No active Lifecycle Action found". */
const denying =
  (times: number, when: (sent: number, uptime: number) => boolean): Deceive =>
  ({ host }) => {
    const { cloud, clock } = host;
    let sent = 0;
    let left = times;
    const heartbeat: typeof cloud.heartbeat = async (...args) =>
      !(when((sent += 1), clock.uptime()) && left-- > 0) && cloud.heartbeat(...args);
    return { ...host, cloud: { ...cloud, heartbeat } };
  };

const afterEleven = (_sent: number, uptime: number) => uptime > 11 * minute;

// Such an answer counted as an accepted heartbeat. The next one came when the hook had timed out.
describe.each([
  ['once', 1, 300, afterEleven],
  ['twice', 2, 300, afterEleven],
  ['once', 1, 30, afterEleven],
  ['at the third heartbeat', 1, 30, (sent) => sent >= 3],
  ['at the sixth heartbeat', 1, 30, (sent) => sent >= 6],
  ['at the seventh heartbeat', 1, 30, (sent) => sent >= 7],
  ['never', 0, 300, afterEleven],
  ['never', 0, 30, afterEleven],
] satisfies [string, number, number, (sent: number, uptime: number) => boolean][])(
  'when Auto Scaling %s answers %d time(s) that no action is active, of a hook of %d s',
  (_what, times, heartbeatSeconds, when) => {
    it('the terminate hook does not time out under a task', async () => {
      const { world, hook, agent } = await leavesWithTask({ heartbeatSeconds }, denying(times, when));
      await world.clock.run(35 * minute);
      expect(hook.ended).toBeUndefined();
      await agent.stop();
    });

    it('the launch hook does not time out under a node that joins', async () => {
      const { hook, agent } = await joinsSlowly({ heartbeatSeconds }, denying(times, when), 20 * minute);
      expect(hook.ended).toBe('CONTINUE');
      await agent.stop();
    });
  },
);

// All nodes of an account share one limit for these calls.
it('a node sends about ten heartbeats more to a hook that is truly over', async () => {
  const { group, world, agent } = await leavesWithTask({ heartbeatSeconds: 1200 }, truly);
  const heartbeats = () => world.calls.of('heartbeat').filter(({ args }) => args[1] === 'terminate').length;
  await world.clock.run(20 * minute);
  for (const hook of group.hooks) hook.active = false;
  const before = heartbeats();
  await world.clock.run(20 * minute);
  expect(heartbeats() - before).toBeLessThanOrEqual(2 + 12);
  await agent.stop();
});

// A hook of 30 s may begin right after a heartbeat that was too early.
it('a node sends a heartbeat every 15 s also before its group begins the hook', async () => {
  const { group, world, agent } = await leavesWithTask({ heartbeatSeconds: 30 }, truly);
  for (const hook of group.hooks) hook.active = false;
  world.calls.list.length = 0;
  await world.clock.run(70_000);
  const sent = world.calls.of('heartbeat').map(({ at }) => at);
  expect(sent.length).toBeGreaterThanOrEqual(5);
  for (const [index, at] of sent.slice(1).entries()) expect(at - sent[index]!).toBeLessThanOrEqual(15_000);
  await agent.stop();
});
