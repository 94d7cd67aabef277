import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { configOf, lazily, setStage } from '../stage.ts';
import { minute, hour, inService, spotAt } from './in-service.ts';

describe('the agent', () => {
  it('tells systemd that it is ready, its status, and that it lives', async () => {
    const stage = setStage();
    const agent = stage.agent(stage.host, { watchdogMs: 20_000 });
    await stage.world.clock.run(minute);
    expect(stage.world.machine.notified[0]).toContain('READY=1');
    expect(stage.world.machine.notified.filter((word) => word.includes('WATCHDOG=1')).length).toBeGreaterThanOrEqual(6);
    expect(stage.world.machine.notified.join()).toContain('STATUS=joined');
    await agent.stop();
  });

  it('does nothing to a healthy node, and asks AWS next to nothing', async () => {
    const { stage, run, agent } = await inService();
    await run(hour);
    expect(stage.deeds()).toEqual([]);
    const calls = stage.world.calls.verbs('cloud');
    expect(calls.length).toBeLessThanOrEqual(10);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('writes its status when something changed, and otherwise once a minute', async () => {
    const { stage, run, agent } = await inService();
    await run(hour);
    const writes = stage.world.calls.of('writeText').length;
    expect(writes).toBeGreaterThan(50);
    expect(writes).toBeLessThan(75);
    expect(stage.status()).toMatchObject({
      join: { state: 'joined' },
      watchers: { disk: { finding: 'well' }, spot: { finding: 'well' } },
    });
    expect(JSON.stringify(stage.status()).length).toBeLessThan(6_000);
    await agent.stop();
  });

  it('shows a new finding in the status within seconds, and what it must not repeat after a restart', async () => {
    const { stage, run, agent } = await inService(
      configOf({ ecsAgent: { action: 'log', pollSeconds: 10, patienceSeconds: 60 } }),
    );
    const spot = () => stage.status().watchers['spot'];
    stage.world.calls.fails('readSpotNotice', new Unavailable('silent'));
    await run(8_000);
    expect(spot()).toMatchObject({ finding: 'unknown', error: 'silent' });
    stage.world.calls.heals('readSpotNotice');
    stage.world.calls.fails('readSpotNotice', new Refused('forbidden'));
    await run(8_000);
    expect(spot()).toMatchObject({ finding: 'unknown', error: 'forbidden' });
    stage.world.calls.heals();
    await run(8_000);
    expect(spot()?.finding).toBe('well');
    expect(spot()).not.toHaveProperty('error');
    stage.fillDisk(61);
    await run(minute + 4_000);
    expect(JSON.stringify(stage.status().watchers['disk']?.facts)).toContain('"usedPercent":61');
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    while (!stage.world.log.some(({ message }) => message === 'noticed')) await run(1_000);
    await run(4_000);
    expect(stage.status().memories['ecs-agent']?.handled).toHaveLength(1);
    await agent.stop();
  });

  it('never leaves because measurements failed, even for hours', async () => {
    for (const error of [new Unavailable('silent'), new Refused('AccessDenied'), new TypeError('a bug')]) {
      const { stage, run, agent } = await inService(lazily());
      stage.world.calls.fails('*', error);
      await run(3 * hour);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.world.instance.state).toBe('running');
      expect(stage.world.machine.power).toBe('on');
      expect(stage.world.machine.restarted).toEqual([]);
      await agent.stop();
    }
  });

  it('is DRAINING within two seconds of a spot notice while every other call hangs', async () => {
    const { stage, run, agent } = await inService();
    for (const verb of ['readTargetState', 'readMaintenance', 'measureDisks', 'readRebalanceNotice'])
      stage.world.calls.hangs(verb);
    await run(2 * minute);
    const noticed = stage.host.clock.uptime();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000);
    await run(2_100);
    expect(stage.own.status).toBe('DRAINING');
    const cloud = stage.world.calls.list.filter(({ area, at }) => area === 'cloud' && at >= noticed);
    expect(cloud[0]?.verb).toBe('drain');
    await agent.stop();
  });

  it('is DRAINING within two seconds of a scale-in, and ends when it has left', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn);
    stage.world.metadata.targetState = 'Terminated';
    stage.world.clock.schedule(10_000, () => stage.group.begin('terminate'));
    await run(2_000);
    expect(stage.own.status).toBe('DRAINING');
    const state = await stage.world.clock.finish(agent.done);
    expect(state).toMatchObject({ cause: 'scale-in', phase: 'done' });
    expect(stage.deeds()).toEqual(['drain', 'deregister', 'tagSelf', 'completeHook']);
  });

  // Only a node that joins sends heartbeats, and it joined only after ECS was told. The launch hook
  // timed out and ended a healthy node.
  it.each([
    ['does not set ACTIVE', ['activate']],
    ['is silent', ['activate', 'readContainerInstance', 'ownsContainerInstance']],
  ])('leaves its warm pool without a boot, although ECS %s for longer than its launch hook', async (_, verbs) => {
    const { stage, run, agent } = await inService();
    const { metadata, calls } = stage.world;
    const launch = stage.group.hooks[0]!;
    metadata.targetState = 'Warmed:Running';
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    launch.active = true;
    await run(5 * minute);
    stage.group.lifecycleState = 'Warmed:Running';
    launch.active = false;
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ phase: 'done', returns: true });
    calls.list.length = 0;
    for (const verb of verbs) calls.fails(verb, new Unavailable('503'));
    stage.group.begin('launch');
    metadata.targetState = 'InService';
    await run(10 * minute);
    calls.heals();
    await run(5 * minute);
    expect(launch.ended).toBe('CONTINUE');
    expect(calls.of('completeHook')).toHaveLength(1);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
  });

  // A node that had just left its warm pool was drained, because the metadata service still spoke
  // of the pool for three seconds.
  it('ignores an old target state of the warm pool right after joining', async () => {
    const stage = setStage();
    const agent = stage.agent();
    while (stage.status()?.join.state !== 'joined') await stage.world.clock.run(100);
    stage.world.metadata.targetState = 'Warmed:Running';
    await stage.world.clock.run(3_000);
    stage.world.metadata.targetState = 'InService';
    await stage.world.clock.run(minute);
    expect(stage.deeds()).toEqual([]);
    stage.world.metadata.targetState = 'Warmed:Stopped';
    await stage.world.clock.run(3_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });
});

describe('termination protection', () => {
  it('is cleared whenever it comes back, and ends no node', async () => {
    const stage = setStage(configOf({ registrar: 'opsworks', opsworks: { stack: 's', layer: 'l' } }));
    const agent = stage.agent();
    for (let n = 0; n < 3; n++) {
      stage.world.instance.terminationProtection = true;
      await stage.world.clock.run(6 * minute);
      expect(stage.world.instance.terminationProtection).toBe(false);
    }
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // Otherwise each spot node of a fleet asks EC2 every five minutes, and learns nothing.
  it('is not asked about on a spot instance, which has none', async () => {
    const config = configOf({ registrar: 'opsworks', opsworks: { stack: 's', layer: 'l' } });
    const stage = setStage(config, { identity: { purchase: 'spot' } });
    const agent = stage.agent();
    await stage.world.clock.run(2 * hour);
    expect(stage.world.calls.of('readTerminationProtection')).toEqual([]);
    await agent.stop();
  });
});
