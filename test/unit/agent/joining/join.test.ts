import { describe, expect, it } from 'vitest';
import { finishJoining, join } from '../../../../agent/joining/join.ts';
import { completeLaunchHook } from '../../../../agent/joining/launch-hook.ts';
import { Refused, Unavailable, Unfit } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { configOf, never, setStage } from '../stage.ts';

const minute = 60_000;
const hour = 60 * minute;

/** A node that Auto Scaling has just launched; its ECS agent registers after `afterMs`. */
function launched(config = configOf(), afterMs = 30_000) {
  const stage = setStage(config);
  stage.group.begin('launch');
  stage.own.status = 'REGISTERING';
  stage.own.agentConnected = false;
  const local = stage.world.localAgent;
  stage.world.localAgent = undefined;
  stage.world.clock.schedule(afterMs, () => {
    stage.world.localAgent = local;
    Object.assign(stage.own, { status: 'ACTIVE', agentConnected: true });
  });
  const reported: string[] = [];
  const joins = (signal = never) =>
    join(stage.host, stage.config, (state, detail) => void reported.push(`${state}: ${detail}`), signal);
  return { ...stage, told: reported, joins, finish: () => stage.world.clock.finish(joins(), 3 * 3_600_000) };
}

describe('a joining node', () => {
  it('completes its launch hook once it is ACTIVE with a connected agent, and not before', async () => {
    const node = launched();
    await node.finish();
    const [completed, ...others] = node.world.calls.of('completeHook');
    expect(completed!.args).toEqual(['web', 'launch', 'CONTINUE']);
    expect(completed!.at).toBeGreaterThanOrEqual(30_000);
    expect(others).toEqual([]);
    expect(node.group.lifecycleState).toBe('InService');
    expect(node.told.join()).toContain('has not registered');
  });

  // The port was filtered on a node that worked: it was replaced again and again.
  it('relies on ECS when the introspection port is closed', async () => {
    const node = launched();
    node.world.clock.schedule(30_001, () => (node.world.localAgent = undefined));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('joins within a minute behind a closed port, and leaves its ECS agent alone', async () => {
    const node = launched(configOf(), 9 * hour);
    node.world.clock.schedule(5_000, () => Object.assign(node.own, { status: 'ACTIVE', agentConnected: true }));
    await node.finish();
    const [completed] = node.world.calls.of('completeHook');
    expect(completed!.args).toEqual(['web', 'launch', 'CONTINUE']);
    expect(completed!.at).toBeLessThan(minute);
    expect(node.world.machine.restarted).toEqual([]);
  });

  // With a patience of half a minute a node that worked was given up before ECS had been asked
  // about it.
  it('asks ECS before it gives up, however short its timeout', async () => {
    const node = launched(configOf({ join: { timeoutSeconds: 30 } }), 5_000);
    node.world.clock.schedule(5_001, () => (node.world.localAgent = undefined));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // Auto Scaling was throttled for minutes after the node was seen in service; its ECS agent died
  // in that time.
  it('is checked again when Auto Scaling could not be reached for a while', async () => {
    const node = launched();
    node.world.clock.schedule(29_000, () => node.world.calls.fails('readMembership', new Unavailable('throttled')));
    node.world.clock.schedule(2 * minute, () => (node.own.agentConnected = false));
    node.world.clock.schedule(6 * minute, () => node.world.calls.heals());
    node.world.clock.schedule(9 * minute, () => (node.own.agentConnected = true));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(9 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // A thousand nodes launched together asked Auto Scaling 166 times each, and again for facts that
  // they knew. Ten thousand nodes each asked ECS again after every second try, which blocked the
  // nodes that had not joined.
  it('repeats no question to Auto Scaling while it is throttled, nor to ECS after a few tries', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('completeHook', new Unavailable('throttled'), 7);
    await node.finish();
    expect(node.world.calls.of('completeHook')).toHaveLength(8);
    expect(node.world.calls.of('readContainerInstance')).toHaveLength(1);
    expect(node.world.calls.of('readMembership')).toHaveLength(1);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('asks Auto Scaling less and less often on its way into a warm pool, where no answer gets old', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('completeHook', new Unavailable('throttled'), 5);
    const done = completeLaunchHook(node.host, node.config, never);
    await node.world.clock.finish(done, hour);
    const tries = node.world.calls.of('completeHook').map(({ at }) => at);
    expect(tries[5]! - tries[4]!).toBeGreaterThanOrEqual(15_000);
  });

  // Each of ten thousand nodes asked three questions before its first heartbeat; the hooks of many
  // had timed out by then.
  it('sends its first heartbeat before it asks for the heartbeat interval', async () => {
    const node = launched(configOf(), 2 * minute);
    node.world.calls.fails('readHooks', new Unavailable('throttled'), 1);
    await node.finish();
    const asked = node.world.calls.verbs('cloud').filter((verb) => ['readHooks', 'heartbeat'].includes(verb));
    expect(asked).toEqual(['heartbeat', 'readHooks', 'readHooks']);
  });

  it('asks ECS less and less often while it is throttled', async () => {
    const node = launched(configOf(), 1_000);
    node.world.calls.fails('readContainerInstance', new Unavailable('throttled'), 6);
    await node.finish();
    const tries = node.world.calls.of('readContainerInstance').map(({ at }) => at);
    expect(tries[5]! - tries[4]!).toBeGreaterThanOrEqual(15_000);
  });

  it('sends no heartbeat when it joins at once', async () => {
    const node = launched(configOf(), 3_000);
    await node.finish();
    expect(node.world.calls.verbs('cloud')).toEqual(['readContainerInstance', 'readMembership', 'completeHook']);
  });

  it('keeps the hook alive meanwhile', async () => {
    const node = launched(configOf(), 10 * minute);
    for (const hook of node.group.hooks) hook.active = false;
    node.group.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 30, globalSeconds: 3000 })];
    node.group.begin('launch');
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

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

  // systemd restarts the ECS agent after every exit code except 5, which it also returns while its
  // cluster does not exist yet.
  it('restarts an ECS agent that ended, less and less often, but not one that a person stopped', async () => {
    const ended = launched(configOf(), 1e9);
    ended.world.machine.units.set('ecs.service', 'failed');
    const done = ended.joins();
    done.catch(() => {});
    await ended.world.clock.run(10 * minute);
    expect(ended.world.machine.restarted.length).toBeGreaterThanOrEqual(3);
    expect(ended.world.machine.restarted.length).toBeLessThanOrEqual(5);
    const stopped = launched(configOf(), 1e9);
    stopped.world.machine.units.set('ecs.service', 'inactive');
    stopped.joins().catch(() => {});
    await stopped.world.clock.run(10 * minute);
    expect(stopped.world.machine.restarted).toEqual([]);
  });

  // The introspection port needs no privileges: one forged answer ended the node at once.
  it('believes ECS when the introspection port names another cluster', async () => {
    const node = launched(configOf(), 1e9);
    node.world.localAgent = { cluster: 'default', version: '1' };
    node.world.clock.schedule(10 * minute, () => Object.assign(node.own, { status: 'ACTIVE', agentConnected: true }));
    await node.finish();
    expect(node.told.join()).toContain('in the cluster default, not in demo');
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('gives up as soon as ECS confirms that it is in the other cluster', async () => {
    const node = launched(configOf(), 1e9);
    node.world.localAgent = { cluster: 'default', version: '1', containerInstanceArn: node.own.arn };
    const own = node.own.ec2InstanceId;
    node.world.calls.onCall = ({ verb, args }) => {
      if (verb !== 'readContainerInstance') return;
      node.world.cluster.name = String(args[0]);
      node.own.ec2InstanceId = args[0] === 'default' ? own : 'i-other';
    };
    await expect(node.finish()).rejects.toThrow(/in the cluster default, not in demo/);
    expect(node.host.clock.uptime()).toBeLessThan(2 * minute);
  });

  it('gives up at its timeout when ECS does not know it and its ECS agent names another cluster', async () => {
    const node = launched(configOf(), 1e9);
    node.world.localAgent = { cluster: 'default', version: '1' };
    node.world.cluster.instances = [];
    const began = node.host.clock.uptime();
    await expect(node.finish()).rejects.toThrow(/in the cluster default, not in demo/);
    expect(node.host.clock.uptime() - began).toBeGreaterThanOrEqual(15 * minute);
  });

  it('gives up when it is not in service in time although ECS answers', async () => {
    for (const config of [configOf(), configOf({ join: { checks: [{ url: 'http://127.0.0.1:1/' }] } })]) {
      const node = launched(config, config.join.checks.length > 0 ? 1_000 : 1e9);
      const began = node.host.clock.uptime();
      await expect(node.finish()).rejects.toThrow(Unfit);
      const tookMs = node.host.clock.uptime() - began;
      expect(tookMs).toBeGreaterThanOrEqual(900_000);
      expect(tookMs).toBeLessThan(960_000);
      expect(node.deeds()).toEqual([]);
    }
  });

  it('keeps waiting while AWS does not answer', async () => {
    const node = launched(configOf(), 1e9);
    node.world.calls.fails('readContainerInstance', new Unavailable('throttled'));
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(3 * 60 * minute);
    expect(node.told.at(-1)).not.toContain('failed');
    node.world.calls.heals();
    Object.assign(node.own, { status: 'ACTIVE', agentConnected: true });
    node.world.localAgent = { cluster: 'demo', containerInstanceArn: node.own.arn, version: '1' };
    await node.world.clock.finish(done);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  }, 30_000);

  it('relies on the ECS agent when its role may not ask ECS', async () => {
    const node = launched();
    node.world.calls.fails('readContainerInstance', new Refused('AccessDenied'));
    await node.finish();
    expect(node.group.lifecycleState).toBe('InService');
  });

  // Both together: healthy nodes were given up one after the other, and each replacement lacked the
  // permission too.
  it('does not give up when its role may not ask ECS and the introspection port is closed', async () => {
    const node = launched(configOf(), 1_000);
    node.world.clock.schedule(1_001, () => (node.world.localAgent = undefined));
    node.world.calls.fails('readContainerInstance', new Refused('not authorized', { code: 'AccessDeniedException' }));
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(3 * 60 * minute);
    expect(node.told.at(-1)).toContain('not authorized');
    expect(node.group.lifecycleState).toBe('Pending:Wait');
    node.world.calls.heals();
    await node.world.clock.finish(done);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  }, 30_000);

  // Metadata still said "Warmed:" when the group had fetched the node: its hook was completed
  // before ECS knew it.
  it('does not complete its launch while the metadata still name the warm pool', async () => {
    const node = launched(configOf(), 5 * minute);
    node.world.metadata.targetState = 'Warmed:Stopped';
    node.world.clock.schedule(3_000, () => void (node.world.metadata.targetState = 'InService'));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(5 * minute);
  });

  // The group had just taken it from the pool, but a server that did not know that yet answered:
  // the hook was never completed, and the node replaced.
  it('completes its launch although the group, asked once, still reports the warm pool', async () => {
    const node = launched();
    node.world.clock.schedule(29_000, () => void (node.group.lifecycleState = 'Warmed:Running'));
    node.world.clock.schedule(34_000, () => void (node.group.lifecycleState = 'Pending:Wait'));
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // One lost answer of the metadata service counted as "in no pool": a healthy node in its pool was
  // terminated.
  it('does not give up in a warm pool, nor while that is unknown', async () => {
    for (const isSilent of [false, true]) {
      const stage = setStage(configOf({ join: { timeoutSeconds: 120 } }));
      stage.world.metadata.targetState = 'Warmed:Running';
      stage.group.lifecycleState = 'Warmed:Running';
      stage.world.localAgent = undefined;
      stage.world.cluster.instances = [];
      stage.world.calls.fails('readTargetState', new Unavailable('socket hang up'), isSilent ? undefined : 3);
      const agent = stage.agent();
      await stage.world.clock.run(20 * minute);
      expect(stage.status().join.state).not.toBe('joined');
      expect(stage.deeds()).toEqual([]);
      await agent.stop();
    }
  });

  // Its time to join ran on in the pool: it was terminated as soon as the group fetched it, before
  // its ECS agent could register.
  it('has its whole time to join after it leaves a warm pool that a lost answer of the metadata had hidden', async () => {
    for (const [lost, leavesAt] of [
      [1, 119_000],
      [12, 124_000],
      [1, 20 * minute],
    ] as const) {
      const node = launched(configOf({ join: { timeoutSeconds: 120 } }), leavesAt + minute);
      node.world.metadata.targetState = 'Warmed:Running';
      node.group.lifecycleState = 'Warmed:Running';
      node.world.calls.fails('readTargetState', new Unavailable('socket hang up'), lost);
      node.world.clock.schedule(leavesAt, () => {
        node.group.begin('launch');
        node.world.metadata.targetState = 'InService';
      });
      await node.finish();
      expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    }
  });

  // Auto Scaling was silent while the node was let into the pool, forgot that launch and began the
  // next one: its hook was completed at once.
  it('does not use an answer of the group from before the pool after it', async () => {
    const node = launched(configOf(), 9 * minute);
    node.world.metadata.targetState = 'Warmed:Running';
    node.group.lifecycleState = 'Warmed:Pending:Wait';
    node.world.calls.fails('completeHook', new Unavailable('throttled'));
    node.world.clock.schedule(2 * minute, () => {
      node.group.begin('launch');
      node.world.metadata.targetState = 'InService';
    });
    node.world.clock.schedule(4 * minute, () => node.world.calls.heals());
    const began = node.host.clock.uptime();
    let completedAt = 0;
    node.world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook' && node.host.clock.uptime() - began > 4 * minute)
        completedAt ||= node.host.clock.uptime() - began;
    };
    await node.finish();
    expect(completedAt).toBeGreaterThanOrEqual(9 * minute);
  });

  it('completes the hook to enter a warm pool, and joins only when it leaves the pool', async () => {
    const node = launched();
    node.world.metadata.targetState = 'Warmed:Running';
    node.group.lifecycleState = 'Warmed:Pending:Wait';
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    node.group.lifecycleState = 'Warmed:Running';
    await node.world.clock.run(60 * minute);
    expect(node.told.at(-1)).toBe('in warm pool: Warmed:Running');
    expect(node.world.calls.of('readContainerInstance')).toEqual([]);
    node.group.begin('launch');
    node.world.metadata.targetState = 'InService';
    await node.world.clock.finish(done);
    expect(node.world.calls.of('completeHook')).toHaveLength(2);
    expect(node.group.lifecycleState).toBe('InService');
  });

  // A single empty answer of Auto Scaling counted as "in no group": the hook timed out.
  it('completes its launch hook although Auto Scaling once says that it is in no group', async () => {
    const node = launched();
    node.world.instance.tags[groupTag] = 'web';
    const { group } = node;
    node.world.group = undefined;
    node.world.clock.schedule(minute, () => void (node.world.group = group));
    await node.finish();
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // Auto Scaling said InService for some minutes although it waited: the hook timed out, and ended
  // the node.
  it('completes a launch hook that Auto Scaling has hidden when the node joined', async () => {
    const node = launched(configOf(), 0);
    node.group.hooks[0]!.heartbeatSeconds = 1_800;
    node.group.begin('launch');
    node.group.lifecycleState = 'InService';
    node.world.clock.schedule(9.5 * minute, () => void (node.group.lifecycleState = 'Pending:Wait'));
    const agent = node.agent();
    await node.world.clock.run(9 * minute);
    expect(node.status()?.join.state).toBe('joined');
    await node.world.clock.run(20 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    const asked = node.world.calls.of('readMembership').length;
    await node.world.clock.run(5 * hour);
    expect(node.world.calls.of('readMembership')).toHaveLength(asked);
    await agent.stop();
  });

  // Each round began with the time in which the local agent may answer, and ended within it.
  it('completes a refused launch hook behind a closed introspection port', async () => {
    const node = launched(configOf(), 0);
    await node.world.clock.run(1_000);
    node.world.localAgent = undefined;
    const done = finishJoining(node.host, node.config, {}, minute, never);
    expect(await node.world.clock.finish(done)).toBe('joined');
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // One refusal on the way into the pool counted as done: the hook timed out and ended the node.
  it('completes the hook to enter a warm pool once the role may, after a refusal', async () => {
    const node = launched(configOf({ autoScaling: { launchHook: 'ecs-node-launch' } }));
    node.group.hooks[0]!.name = 'ecs-node-launch';
    node.world.metadata.targetState = 'Warmed:Running';
    node.group.lifecycleState = 'Warmed:Pending:Wait';
    node.world.calls.fails('readMembership', new Refused('denied', { code: 'AccessDenied' }));
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(1.5 * minute);
    expect(node.world.calls.of('readMembership').length).toBeGreaterThan(2);
    node.world.calls.heals();
    await node.world.clock.run(3 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('runs the executables in hooks.d/joined', async () => {
    const node = launched();
    node.world.machine.files.set(`${paths.hooks}/joined/announce.sh`, '#!/bin/sh');
    node.world.machine.programs.set('joined/announce.sh', () => ({ code: 0, tail: '' }));
    await node.finish();
    expect(node.world.calls.of('run')).toHaveLength(1);
  });
});

describe('an agent whose node cannot join', () => {
  const cannot = async (config = configOf({ join: { timeoutSeconds: 60 } }), mayDie?: () => Promise<boolean>) => {
    const node = launched(config, 1e9);
    const agent = node.agent(node.host, mayDie === undefined ? {} : { mayTerminate: mayDie });
    await node.world.clock.run(30 * minute);
    return { node, agent };
  };

  it('abandons the launch, so that another node takes its place', async () => {
    const { node, agent } = await cannot();
    expect(await node.world.clock.finish(agent.done)).toMatchObject({ cause: 'join-failed', phase: 'done' });
    expect(node.group.hooks[0]!.ended).toBe('ABANDON');
    expect(node.deregistered).toHaveLength(1);
  });

  it('stays while the storm guard holds it, or when failed nodes are kept', async () => {
    for (const { node, agent } of [
      await cannot(configOf({ join: { timeoutSeconds: 60 } }), () => Promise.resolve(false)),
      await cannot(configOf({ join: { timeoutSeconds: 60 }, bootstrap: { onFailure: 'keep' } })),
    ]) {
      expect(node.deeds()).toEqual([]);
      expect(node.status().join.state).toMatch(/failed|joining/);
      await agent.stop();
    }
  });

  it('leaves at once on a spot notice, without completing the launch', async () => {
    const node = launched(configOf(), 1e9);
    const agent = node.agent();
    await node.world.clock.run(minute);
    node.world.metadata.spotNotice = { action: 'terminate', at: node.host.clock.now() + 120_000 };
    await node.world.clock.run(2 * minute);
    expect(node.departure()).toMatchObject({ cause: 'spot' });
    expect(node.world.calls.of('completeHook')).toEqual([]);
    await agent.stop();
  });

  it('returns to its warm pool in good order, stays registered, and joins again', async () => {
    const stage = setStage();
    const agent = stage.agent();
    await stage.world.clock.run(minute);
    stage.world.metadata.targetState = 'Warmed:Running';
    stage.group.begin('launch');
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    await stage.world.clock.run(2 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', returns: true, phase: 'done' });
    expect(stage.deregistered).toEqual([]);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    stage.group.begin('launch');
    stage.world.metadata.targetState = 'InService';
    await stage.world.clock.run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.group.lifecycleState).toBe('InService');
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
  });
});
