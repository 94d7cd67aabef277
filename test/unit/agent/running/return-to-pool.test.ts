/** A node that its group takes back into the warm pool: a scale-in with a reuse policy. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { configOf, setStage } from '../stage.ts';
import { hour, inService, minute } from './in-service.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });

describe('a node on its way back into its warm pool', () => {
  it.each([
    ['as AWS documents it', 'terminate'],
    ['if AWS waited for the launch hook', 'launch'],
  ] as const)(
    'keeps the hook alive that waits until its task has stopped, and completes it (%s)',
    async (_how, waits) => {
      const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 1800 } }));
      const { metadata, cluster } = stage.world;
      const task = cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
      metadata.targetState = 'Warmed:Running';
      await run(5_000);
      stage.group.beginReturn('Running', waits);
      const hook = stage.group.hooks.find(({ transition }) => transition === waits)!;
      await run(19 * minute);
      expect([hook.active, task.lastStatus]).toEqual([true, 'STOPPING']);
      await run(10 * minute);
      expect(hook.ended).toBe('CONTINUE');
      expect(task.lastStatus).toBe('STOPPED');
      expect(stage.group.lifecycleState).toBe('Warmed:Running');
      expect(stage.departure()).toMatchObject({ returns: true, phase: 'done' });
      await agent.stop();
    },
  );

  it('keeps the hook alive after its agent was restarted', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 1800 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
    stage.world.metadata.targetState = 'Warmed:Running';
    stage.group.beginReturn('Running', 'launch');
    await run(2 * minute);
    await agent.stop();
    const next = stage.agent();
    await run(30 * minute);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    await next.stop();
  });

  it('asks again while AWS does not know the hook yet', async () => {
    const { stage, run, agent } = await inService();
    stage.group.hookLagMs = 60_000;
    stage.world.metadata.targetState = 'Warmed:Stopped';
    stage.group.beginReturn('Stopped');
    await run(5 * minute);
    expect(stage.group.hooks.map(({ ended }) => ended)).toEqual([undefined, 'CONTINUE']);
    await agent.stop();
  });

  // An idle node reached the last phase before the group had begun to wait.
  it('waits until its group asks for the hook', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.targetState = 'Warmed:Stopped';
    stage.group.lifecycleState = 'Warmed:Pending';
    await run(2 * minute);
    stage.group.beginReturn('Stopped');
    await run(minute);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('completes its terminate hook, and no launch hook, if its role may not read its state', async () => {
    const { stage, run, agent } = await inService();
    const { world, group } = stage;
    world.metadata.tags = { [groupTag]: group.name };
    world.calls.fails('readMembership', denied);
    world.metadata.targetState = 'Warmed:Stopped';
    group.beginReturn('Stopped');
    await run(5 * minute);
    expect(group.hooks.map(({ ended }) => ended)).toEqual([undefined, 'CONTINUE']);
    expect(new Set(world.calls.of('completeHook').map(({ args }) => args[1]))).toEqual(new Set(['terminate']));
    await agent.stop();
  });
});

const silentEcs = ['activate', 'drain', 'readContainerInstance', 'ownsContainerInstance'];

describe('a node that its group takes back into the pool again', () => {
  // The former departure counted as the answer to the new order, so the terminate hook timed out.
  it.each([
    ['while ECS is silent and the node joins again', false],
    ['while its agent starts anew', true],
  ])('completes its terminate hook, %s', async (_, restarts) => {
    const { stage, run, agent } = await inService();
    const { cluster, metadata, calls } = stage.world;
    const [launch, terminate] = stage.group.hooks;
    metadata.targetState = 'Warmed:Running';
    stage.group.beginReturn('Running');
    await run(5 * minute);
    expect(stage.group.lifecycleState).toBe('Warmed:Running');
    for (const verb of silentEcs) calls.fails(verb, new Unavailable('503'));
    stage.group.begin('launch');
    metadata.targetState = 'InService';
    await run(5 * minute);
    expect(stage.status().join.state).toBe('joining');
    if (restarts) await agent.stop();
    launch!.active = false;
    stage.group.beginReturn('Running');
    metadata.targetState = 'Warmed:Running';
    const next = restarts ? stage.agent() : agent;
    const task = cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: minute });
    await run(5 * minute);
    expect(terminate!.active).toBe(true);
    calls.heals();
    await run(10 * minute);
    expect(task.lastStatus).toBe('STOPPED');
    expect([terminate!.ended, stage.group.lifecycleState]).toEqual(['CONTINUE', 'Warmed:Running']);
    stage.group.begin('launch');
    metadata.targetState = 'InService';
    await run(5 * minute);
    expect([launch!.ended, stage.own.status, stage.status().join.state]).toEqual(['CONTINUE', 'ACTIVE', 'joined']);
    await next.stop();
  });

  // While it joined, the group's pool counted as its first one, so its tasks died with the machine.
  it('completes its terminate hook where ECS falls silent right after ACTIVE', async () => {
    const { stage, run, agent } = await inService();
    const { cluster, metadata, calls } = stage.world;
    const [launch, terminate] = stage.group.hooks;
    metadata.targetState = 'Warmed:Running';
    stage.group.beginReturn('Running');
    await run(5 * minute);
    calls.onCall = ({ verb }) => {
      if (verb === 'activate') for (const each of silentEcs.slice(1)) calls.fails(each, new Unavailable('503'));
    };
    stage.group.begin('launch');
    metadata.targetState = 'InService';
    await run(5 * minute);
    expect([stage.own.status, stage.status().join.state]).toEqual(['ACTIVE', 'joining']);
    const task = cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: minute });
    launch!.active = false;
    stage.group.beginReturn('Running');
    metadata.targetState = 'Warmed:Running';
    await run(10 * minute);
    expect(terminate!.active).toBe(true);
    calls.heals();
    await run(10 * minute);
    expect(task.lastStatus).toBe('STOPPED');
    expect([terminate!.ended, stage.group.lifecycleState]).toEqual(['CONTINUE', 'Warmed:Running']);
    await agent.stop();
  });

  it('joins again after its agent started anew while ECS was silent', async () => {
    const { stage, run, agent } = await inService();
    const { metadata, calls } = stage.world;
    metadata.targetState = 'Warmed:Running';
    stage.group.beginReturn('Running');
    await run(5 * minute);
    for (const verb of silentEcs) calls.fails(verb, new Unavailable('503'));
    stage.group.begin('launch');
    metadata.targetState = 'InService';
    await run(5 * minute);
    await agent.stop();
    const next = stage.agent();
    await run(20 * minute);
    expect(stage.group.lifecycleState).toBe('Pending:Wait');
    calls.heals();
    await run(5 * minute);
    expect([stage.group.hooks[0]!.ended, stage.own.status]).toEqual(['CONTINUE', 'ACTIVE']);
    expect(stage.status().join.state).toBe('joined');
    await next.stop();
  });
});

/** A node that ECS has ACTIVE, but that does not join, because its own check fails. */
const notJoined = () => {
  const stage = setStage(configOf({ join: { timeoutSeconds: 7200, checks: [{ command: ['/usr/bin/check'] }] } }));
  let code = 1;
  const machine = { ...stage.host.machine, run: async () => ({ code, tail: 'no' }) };
  return { stage, host: { ...stage.host, machine }, passes: (isFine: boolean) => void (code = isFine ? 0 : 1) };
};

describe('a node that has not joined when its target is the warm pool', () => {
  // The order counted only for a node that had joined: its tasks ended with the stop into the pool,
  // or its terminate hook timed out under them.
  it.each(['from its launch', 'after it was in the pool before'])(
    'is drained first if it runs tasks, %s',
    async (from) => {
      const { stage, host, passes } = notJoined();
      const { clock, cluster, metadata } = stage.world;
      const isBack = from !== 'from its launch';
      passes(isBack);
      const agent = stage.agent(host);
      await clock.run(10 * minute);
      if (isBack) {
        metadata.targetState = 'Warmed:Running';
        stage.group.beginReturn('Running');
        await clock.run(25 * minute);
        passes(false);
        stage.group.begin('launch');
        metadata.targetState = 'InService';
        await clock.run(5 * minute);
      }
      expect([stage.own.status, stage.status().join.state]).toEqual(['ACTIVE', 'joining']);
      const task = cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 5 * minute });
      metadata.targetState = 'Warmed:Stopped';
      for (const hook of stage.group.hooks) hook.active = false;
      stage.group.beginReturn('Stopped');
      await clock.run(minute);
      expect(stage.own.status).toBe('DRAINING');
      await clock.run(29 * minute);
      expect([stage.own.status, task.lastStatus]).toEqual(['DRAINING', 'STOPPED']);
      expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
      expect(stage.group.lifecycleState).toBe('Warmed:Stopped');
      // Otherwise the node would ask Auto Scaling every two seconds while it is in its pool.
      expect(stage.status().watchers['scale-in']).toMatchObject({ finding: 'doomed' });
      await agent.stop();
    },
  );

  it('is not drained without tasks, and asks ECS rarely', async () => {
    const { stage, host } = notJoined();
    stage.group.begin('launch');
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    stage.world.metadata.targetState = 'Warmed:Running';
    const agent = stage.agent(host);
    await stage.world.clock.run(6 * hour);
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.world.calls.of('readContainerInstance').length).toBeLessThan(16);
    await agent.stop();
  });

  it('is not drained for a target of the pool that the metadata service shows a moment too long', async () => {
    const { stage, host } = notJoined();
    const { clock, cluster, metadata } = stage.world;
    stage.group.begin('launch');
    metadata.targetState = 'Warmed:Running';
    cluster.addTask(stage.own.arn, { group: 'service:web' });
    const agent = stage.agent(host);
    await clock.run(8_000);
    metadata.targetState = 'InService';
    await clock.run(5 * minute);
    expect(stage.deeds()).not.toContain('drain');
    await agent.stop();
  });
});

// The metadata service may show the pool for some seconds after a node has left it.
it('a node that joined a moment ago is not drained for its pool, however long its agent runs', async () => {
  const { stage, host, passes } = notJoined();
  const { clock, log, metadata } = stage.world;
  const agent = stage.agent(host);
  await clock.run(10 * minute);
  passes(true);
  while (!log.some(({ message }) => message === 'joined')) await clock.run(500);
  metadata.targetState = 'Warmed:Running';
  await clock.run(6_000);
  metadata.targetState = 'InService';
  await clock.run(5 * minute);
  expect(stage.deeds()).not.toContain('drain');
  await agent.stop();
});
