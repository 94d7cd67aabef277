import { describe, expect, it } from 'vitest';
import { Refused } from '../../../../../core/errors.ts';
import { groupTag } from '../../../../../upkeep/group-tag.ts';
import { someHook } from '../../../../fakes/cloud/group.ts';
import { bootedFirst, configOf } from '../../stage.ts';
import { minute, hour, launched } from './launched.ts';

describe('a joining node', () => {
  it('waits for the configured checks', async () => {
    const checks = [{ url: 'http://127.0.0.1:8080/healthz' }, { command: ['/usr/local/bin/smoke', '--fast'] }];
    const node = launched(configOf({ join: { checks } }));
    let code = 1;
    node.world.machine.programs.set('/usr/local/bin/smoke', () => ({ code, tail: 'not yet' }));
    node.world.clock.schedule(60_000, () => node.world.machine.probes.set('http://127.0.0.1:8080/healthz', 503));
    node.world.clock.schedule(90_000, () => node.world.machine.probes.set('http://127.0.0.1:8080/healthz', 204));
    node.world.clock.schedule(120_000, () => (code = 0));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(120_000);
    expect(node.told.join()).toContain('answered 503');
    expect(node.told.join()).toContain('smoke ended with 1');
  });

  it('asks again when Auto Scaling wrongly reports no active lifecycle action', async () => {
    const node = launched();
    node.group.hookLagMs = 60_000;
    await node.finish();
    expect(node.world.calls.of('completeHook').length).toBeGreaterThan(3);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // A waiting group has a hook, so the list was stale or wrong.
  it('asks again when its group waits, knows no action of the hook, and lists no hooks', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    node.group.hooks = [someHook('ecs-node-launch', 'launch')];
    node.group.begin('launch');
    node.group.hookLagMs = 60_000;
    node.host.cloud = { ...node.host.cloud, readHooks: async () => [] };
    expect(await node.finish()).toBe('joined');
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('joins without a hook when none is configured, the group has none, there is no group, or it is in service already', async () => {
    const noHook = launched(configOf({ autoScaling: { launchHook: '' } }));
    await noHook.finish();
    const notThere = launched(configOf({ autoScaling: {} }));
    notThere.group.hooks = [someHook('foreign', 'launch')];
    notThere.group.begin('launch');
    await notThere.finish();
    const alone = launched();
    alone.world.group = undefined;
    await alone.finish();
    const already = launched();
    already.group.lifecycleState = 'InService';
    for (const hook of already.group.hooks) hook.active = false;
    await already.finish();
    for (const node of [noHook, alone, already]) expect(node.deeds()).toEqual([]);
    // Only our own hook is completed: the other program's hook still waits.
    expect(notThere.group.hooks[0]!.active).toBe(true);
  });

  // It was tried once: the hook timed out, and the group launched and killed nodes for ever.
  it.each([
    ['completeHook', 'a missing permission to complete it'],
    ['readMembership', 'a missing permission to ask for its group'],
  ])(
    'waits for its launch hook when AWS refuses %s, reports and counts that, and completes it once fixed',
    async (verb) => {
      const node = launched(configOf({ metrics: { enabled: true } }), 1_000);
      node.world.calls.fails(verb, new Refused('not authorized', { code: 'AccessDenied' }));
      for (const hook of node.group.hooks) hook.active = false;
      node.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 3600 })];
      node.group.begin('launch');
      const agent = node.agent();
      await node.world.clock.run(30 * minute);
      expect(node.status().join).toMatchObject({ state: 'joining', detail: expect.stringContaining('not authorized') });
      expect(node.world.calls.of(verb).length).toBeLessThan(180);
      const names = node.world.published.flatMap(({ metrics }) => metrics.map(({ name }) => name));
      expect(names.filter((name) => name === 'LaunchHookNotCompleted').length).toBeGreaterThanOrEqual(12);
      node.world.calls.heals();
      await node.world.clock.run(3 * minute);
      expect(node.status().join.state).toBe('joined');
      expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
      await agent.stop();
    },
  );

  it('counts a launch hook that it cannot complete for its cluster and for its group, where alarms look', async () => {
    const node = launched(configOf({ metrics: { enabled: true } }), 1_000);
    node.world.calls.fails('completeHook', new Refused('not authorized', { code: 'AccessDenied' }));
    const agent = node.agent();
    await node.world.clock.run(3 * minute);
    const counted = node.world.published
      .flatMap(({ metrics }) => metrics)
      .filter(({ name }) => name === 'LaunchHookNotCompleted')
      .map(({ dimensions }) => dimensions);
    expect(counted).toContainEqual({ ClusterName: 'demo' });
    expect(counted).toContainEqual({ AutoScalingGroupName: 'web' });
    await agent.stop();
  });

  it('waits when its group has another hook than the configured one, and completes it once configured', async () => {
    const node = launched(configOf({ autoScaling: { launchHook: 'lanch' } }), 1_000);
    const agent = node.agent();
    await node.world.clock.run(3 * minute);
    expect(node.status().join).toMatchObject({ state: 'joining', detail: expect.stringContaining('waits for launch') });
    await agent.stop();
    const mended = node.agentWith(configOf());
    await node.world.clock.run(2 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    await mended.stop();
  });

  it('joins when its group has a hook that is not configured, shows it, and completes it once configured', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    const agent = node.agent();
    await node.world.clock.run(4 * minute);
    expect(node.status()).toMatchObject({
      join: { state: 'joined' },
      launchHook: { why: expect.stringContaining('waits for launch: see autoScaling.launchHook') },
    });
    expect(node.group.hooks[0]!.active).toBe(true);
    await agent.stop();
    const mended = node.agentWith(configOf());
    await node.world.clock.run(minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(node.status().launchHook).toBeUndefined();
    await mended.stop();
  });

  it('retries its launch hook for 48 hours by uptime, however the wall clock jumps', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    for (const hook of node.group.hooks) hook.active = false;
    node.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 250_000, globalSeconds: 250_000 })];
    node.group.begin('launch');
    const agent = node.agent();
    await node.world.clock.run(4 * minute);
    expect(node.status().launchHook?.why).toContain('waits for launch');
    node.world.clock.jump(49 * hour);
    await node.world.clock.run(20 * minute);
    expect(node.status().launchHook?.why).toContain('waits for launch');
    await agent.stop();
    await node.world.clock.run(48 * hour);
    const next = node.agent();
    await node.world.clock.run(minute);
    expect(node.status().launchHook).toBeUndefined();
    await next.stop();
  });

  it('completes the hook that the documents name where nothing is configured', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    node.group.hooks = [someHook('ecs-node-launch', 'launch')];
    node.group.begin('launch');
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // One early "no active action" was final: the role could not ask for the state, and no later try
  // completed the hook.
  it.each([
    ['AWS does not know the hook yet', 20_000, []],
    ['its first boot was in its warm pool', 0, []],
    ['it may send no heartbeat either', 20_000, ['heartbeat']],
  ])('completes its launch hook though its role may not read its state, and %s', async (_what, lagMs, refused) => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    const { world, group } = node;
    world.metadata.tags = { [groupTag]: group.name };
    if (lagMs > 0) bootedFirst(node);
    for (const hook of group.hooks) hook.active = false;
    group.hooks = [someHook('ecs-node-launch', 'launch')];
    group.hookLagMs = lagMs;
    group.begin('launch');
    for (const verb of ['readMembership', ...refused])
      world.calls.fails(verb, new Refused('not authorized', { code: 'AccessDenied' }));
    const agent = node.agent();
    await world.clock.run(4 * minute);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
    expect(node.status().launchHook).toBeUndefined();
    await agent.stop();
  });

  it('keeps its launch hook alive while its role may only send heartbeats, and completes it once fixed', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    const { world, group } = node;
    world.metadata.tags = { [groupTag]: group.name };
    for (const hook of group.hooks) hook.active = false;
    group.hooks = [someHook('ecs-node-launch', 'launch')];
    group.begin('launch');
    for (const verb of ['readMembership', 'completeHook', 'readHooks'])
      world.calls.fails(verb, new Refused('not authorized', { code: 'AccessDenied' }));
    const agent = node.agent();
    await world.clock.run(2 * hour);
    expect(node.status().join).toMatchObject({ state: 'joining', detail: expect.stringContaining('not authorized') });
    world.calls.heals();
    await world.clock.run(3 * minute);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('joins a group without hooks when its role may not ask Auto Scaling', async () => {
    const node = launched(configOf({ autoScaling: {} }), 1_000);
    node.group.hooks = [];
    node.group.lifecycleState = 'InService';
    const denied = new Refused('not authorized', { code: 'AccessDenied' });
    for (const verb of ['readMembership', 'completeHook', 'readHooks', 'heartbeat'])
      node.world.calls.fails(verb, denied);
    const agent = node.agent();
    await node.world.clock.run(6 * hour);
    expect(node.status().join.state).toBe('joined');
    expect(node.world.calls.of('readMembership').length).toBeLessThan(60);
    expect(node.world.calls.of('terminateInGroup')).toEqual([]);
    await agent.stop();
  });
});
