import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import type { Host } from '../../../../../core/host.ts';
import { someHook } from '../../../../fakes/cloud/group.ts';
import { configOf, setStage } from '../../stage.ts';
import { hour, launched, minute } from './launched.ts';

/** The state in the group is "InService" for `ms` from the node's first call on. */
function withWrongState(host: Host, now: () => number, ms: number): Host & { isWrong(): boolean } {
  let until: number | undefined;
  const { cloud } = host;
  const isWrong = () => now() < (until ??= now() + ms);
  return {
    ...host,
    isWrong,
    cloud: {
      ...cloud,
      readMembership: async (...args) => {
        const truth = await cloud.readMembership(...args);
        return isWrong() && truth !== undefined ? { ...truth, lifecycleState: 'InService' } : truth;
      },
    },
  };
}

/** As `withWrongState`. Auto Scaling says meanwhile that no hook is active, too. */
function withHiddenHook(host: Host, now: () => number, ms: number): Host {
  const wrong = withWrongState(host, now, ms);
  const { cloud, isWrong } = wrong;
  return {
    ...wrong,
    cloud: {
      ...cloud,
      heartbeat: async (...args) => !isWrong() && cloud.heartbeat(...args),
      completeHook: async (...args) => !isWrong() && cloud.completeHook(...args),
    },
  };
}

/** A node that waits for a hook of `heartbeatSeconds`. */
function launchedWithHookOf(heartbeatSeconds: number) {
  const node = launched(configOf(), 1_000);
  for (const hook of node.group.hooks) hook.active = false;
  node.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds })];
  node.group.begin('launch');
  return node;
}

const denied = new Refused('not authorized', { code: 'AccessDenied' });

describe('a launch hook that waits although Auto Scaling says that it does not', () => {
  // The hook timed out, and the group ended a healthy node.
  it.each([
    ['for 20 s', 20_000],
    ['in one moment', 1],
    ['never (control)', 0],
  ])('is completed before it times out, where Auto Scaling says so %s', async (_what, ms) => {
    const node = launched(configOf(), 1_000);
    const agent = node.agent(withHiddenHook(node.host, node.world.clock.uptime, ms));
    await node.world.clock.run(2 * hour);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(node.world.instance.state).toBe('running');
    await agent.stop();
  });

  it.each([
    ['wrong for 15 s', 15_000],
    ['right (control)', 0],
  ])('is completed within eight minutes without heartbeats when the state in the group is %s', async (_what, ms) => {
    const node = launchedWithHookOf(480);
    node.world.calls.fails('heartbeat', denied);
    const agent = node.agent(withWrongState(node.host, node.world.clock.uptime, ms));
    await node.world.clock.run(2 * hour);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('is completed also by an agent that restarts before it asks again', async () => {
    const node = launched(configOf(), 1_000);
    const agent = node.agent(withHiddenHook(node.host, node.world.clock.uptime, 20_000));
    await node.world.clock.run(25_000);
    expect(node.status().join.state).toBe('joined');
    await agent.stop();
    const next = node.agent(node.world.restart());
    await node.world.clock.run(3 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    await next.stop();
  });

  it('is kept alive and completed when the ECS agent is away while it turns out to wait', async () => {
    const node = launched(configOf(), 1_000);
    const agent = node.agent(withHiddenHook(node.host, node.world.clock.uptime, 20_000));
    await node.world.clock.run(25_000);
    node.own.agentConnected = false;
    await node.world.clock.run(3 * minute);
    expect(node.status().launchHook?.why).toContain('not connected');
    node.own.agentConnected = true;
    await node.world.clock.run(10 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

/** The calls to Auto Scaling within two hours, and when the node was in service. */
async function joinsWithoutHook(prepare: (node: ReturnType<typeof setStage>) => void) {
  const stage = setStage(configOf());
  stage.group.hooks = [];
  stage.group.lifecycleState = 'InService';
  prepare(stage);
  const agent = stage.agent();
  await stage.world.clock.run(10_000);
  const { state } = stage.status().join;
  await stage.world.clock.run(6 * hour);
  const verbs = ['readMembership', 'readHooks', 'heartbeat', 'completeHook'];
  const calls = stage.world.calls.verbs('cloud').filter((verb) => verbs.includes(verb));
  await agent.stop();
  return { state, calls };
}

describe('a node whose group has no launch hook', () => {
  // Ten thousand nodes may be launched at once, and most groups have no hook.
  it('is in service at once, and asks Auto Scaling only once more', async () => {
    const { state, calls } = await joinsWithoutHook(() => {});
    expect(state).toBe('joined');
    expect(calls).toEqual(['readMembership', 'heartbeat', 'heartbeat']);
  });

  it('asks three times more where it may send no heartbeat', async () => {
    const { state, calls } = await joinsWithoutHook(({ world }) => world.calls.fails('heartbeat', denied));
    expect(state).toBe('joined');
    expect(calls.length).toBeLessThanOrEqual(12);
  });

  it('asks ever more rarely while Auto Scaling does not answer', async () => {
    const { calls } = await joinsWithoutHook(({ world }) =>
      world.clock.schedule(15_000, () => world.calls.fails('heartbeat', new Unavailable('throttled'))),
    );
    expect(calls.length).toBeLessThanOrEqual(40);
  });
});
