import { describe, expect, it } from 'vitest';
import { Refused, Unavailable, Unfit } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { targetGroup } from '../../departure/leave/orders.ts';
import { bootedFirst, configOf, setStage } from '../../stage.ts';
import { minute, launched } from './launched.ts';

describe('a joining node', () => {
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

  // A node was ended because its machine had been paused.
  it.each([
    [900, 20 * minute],
    [60, 100_000],
  ])('looks again after its machine stood still (timeout of %d s, %d ms)', async (timeoutSeconds, stillMs) => {
    const url = 'http://127.0.0.1:8080/ready';
    const node = launched(configOf({ join: { timeoutSeconds, checks: [{ url }] } }), 1_000);
    const { clock, machine } = node.world;
    clock.schedule(20_000, () => {
      machine.probes.set(url, 200);
      clock.standStill(stillMs);
    });
    await node.finish();
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('gives up when a check takes long each time', async () => {
    const command = ['/opt/ready'];
    const node = launched(configOf({ join: { checks: [{ command, timeoutSeconds: 300 }] } }), 1_000);
    node.world.calls.hangs('run');
    const began = node.host.clock.uptime();
    await expect(node.finish()).rejects.toThrow(Unfit);
    expect(node.host.clock.uptime() - began).toBeLessThan(25 * minute);
  });

  // Another user could have changed the program, which root ran.
  it('keeps waiting while the program of a check may not run as root, and joins when that is mended', async () => {
    const node = launched(configOf({ join: { checks: [{ command: ['/opt/ready'] }] } }), 1_000);
    const unguarded = new Refused('/opt/ready is not run as root: it belongs to user 99', { code: 'Unguarded' });
    node.world.machine.programs.set('/opt/ready', ({ rootOwned }) => {
      if (rootOwned === true) throw unguarded;
      return { code: 0, tail: '' };
    });
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(3 * 60 * minute);
    expect(node.told.at(-1)).toBe(`joining: /opt/ready: ${unguarded.message}`);
    expect(node.group.hooks[0]!.ended).toBeUndefined();
    node.world.machine.programs.set('/opt/ready', () => ({ code: 0, tail: '' }));
    await node.world.clock.finish(done);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // The program hung in the kernel, and with it the whole agent.
  it('keeps waiting while the file system of a check does not answer, and joins when it does', async () => {
    const node = launched(
      configOf({ join: { checks: [{ command: ['/mnt/share/ready'], timeoutSeconds: 3 }] } }),
      1_000,
    );
    const { hanging, programs } = node.world.machine;
    programs.set('/mnt/share/ready', () => ({ code: 0, tail: '' }));
    hanging.add('/mnt/share');
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(3 * 60 * minute);
    expect(node.told.at(-1)).toMatch(/^joining: \/mnt\/share\/ready: its file system .* does not answer$/);
    expect(node.world.calls.of('run')).toEqual([]);
    hanging.clear();
    await node.world.clock.finish(done);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  it('gives up when there is no program of a check', async () => {
    const node = launched(configOf({ join: { checks: [{ command: ['/opt/none'] }] } }), 1_000);
    await expect(node.finish()).rejects.toThrow(Unfit);
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
  });

  it('relies on the ECS agent when its role may not ask ECS', async () => {
    const node = launched();
    node.world.calls.fails('readContainerInstance', new Refused('AccessDenied'));
    await node.finish();
    expect(node.group.lifecycleState).toBe('InService');
  });

  // A proxy refused one call. The local ECS agent then spoke for ECS, which had just answered that
  // it was not connected: the launch hook let requests in.
  it.each([
    [20_000, false],
    [5 * minute, true],
  ])(
    'believes the local ECS agent against the last answer of ECS only where ECS refuses for long (%d ms: %s)',
    async (ms, isBelieved) => {
      const node = launched(configOf(), 1_000);
      node.world.clock.schedule(1_001, () => (node.own.agentConnected = false));
      const done = node.joins();
      await node.world.clock.run(20_000);
      expect(node.told.at(-1)).toContain('not connected');
      node.world.calls.fails(
        'readContainerInstance',
        new Refused('<html>blocked</html>', { code: 'InvalidNextToken' }),
      );
      await node.world.clock.run(ms);
      node.world.calls.heals();
      await node.world.clock.run(minute);
      expect(node.group.hooks[0]!.ended === 'CONTINUE').toBe(isBelieved);
      node.own.agentConnected = true;
      await node.world.clock.finish(done);
      expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    },
  );

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
    expect(node.world.log.filter(({ message }) => message === 'cannot see the container instance')).toHaveLength(1);
    expect(node.group.lifecycleState).toBe('Pending:Wait');
    node.world.calls.heals();
    await node.world.clock.finish(done);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
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

  // Updates may reboot the machine before it has joined, and without hooks, its group has it
  // InService. A node that has joined before may be launched again, from a warm pool.
  it.each([
    ['has never joined', 'InService', false],
    ['has joined before, and is launched again', 'Pending', true],
  ])('gives up after a reboot when it %s', async (_what, state, hasJoined) => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 60 } }));
    const { world, own, group } = stage;
    if (hasJoined) {
      const first = stage.agent();
      await world.clock.run(minute);
      await first.stop();
    }
    own.agentConnected = false;
    group.lifecycleState = state;
    const agent = stage.agent(world.reboot());
    expect(await world.clock.finish(agent.done, 30 * minute)).toMatchObject({ cause: 'join-failed', phase: 'done' });
  });

  // With its whole time again after each crash, it would never give up.
  it('goes on leaving when its agent starts again in the same boot', async () => {
    const node = launched(configOf({ join: { timeoutSeconds: 600 } }), 1e9);
    const { world } = node;
    const agent = node.agent();
    for (let n = 0; n < 900 && !world.machine.files.has(paths.departure); n++) {
      if (n === 570) world.calls.fails('readMembership', new Unavailable('HTTP 503'));
      await world.clock.run(1_000);
    }
    expect(node.departure()).toMatchObject({ cause: 'join-failed', phase: 'announce' });
    await agent.stop();
    world.calls.heals();
    const next = node.agent(world.restart());
    await world.clock.run(3 * minute);
    expect(node.group.hooks[0]!.ended).toBe('ABANDON');
    await next.stop();
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

  // The local ECS agent had said the same words before ECS confirmed them.
  it('shows that it failed while the storm guard holds it', async () => {
    const node = launched(configOf(), 1e9);
    node.world.localAgent = { cluster: 'default', version: '1', containerInstanceArn: node.own.arn };
    node.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'readContainerInstance') node.world.cluster.name = String(args[0]);
      node.own.ec2InstanceId = node.world.cluster.name === 'default' ? node.world.identity.instanceId : 'i-other';
    };
    const agent = node.agent(node.host, {
      mayTerminate: (signal) => node.host.clock.sleep(60 * minute, signal).then(() => false),
    });
    await node.world.clock.run(20_000);
    const { detail } = node.status().join;
    await node.world.clock.run(10 * minute);
    expect(node.status().join).toMatchObject({ state: 'failed', detail });
    expect(node.deeds()).toEqual([]);
    await agent.stop();
  });

  it('abandons the launch when its own checks fail, although ECS has it connected', async () => {
    const checks = [{ url: 'http://127.0.0.1:1/' }];
    const node = launched(configOf({ join: { timeoutSeconds: 60, checks } }), 1_000);
    const agent = node.agent();
    expect(await node.world.clock.finish(agent.done, 30 * minute)).toMatchObject({ cause: 'join-failed' });
    expect(node.own.agentConnected).toBe(true);
    expect(node.group.hooks[0]!.ended).toBe('ABANDON');
  });

  // The ECS agent needs seconds to connect after the pause.
  it('keeps its load balancers and its registrar when its machine stood still', async () => {
    const stage = setStage(configOf({ leave: { targetGroups: [targetGroup] } }));
    // After a reboot, the second source would keep the node for a minute.
    bootedFirst(stage);
    const { clock, balancers } = stage.world;
    balancers.targetGroups.set(targetGroup, someBalancer(1_000));
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await clock.run(20_000);
    clock.standStill(20 * minute);
    clock.schedule(15_000, () => (stage.own.agentConnected = true));
    await clock.run(20 * minute);
    expect(balancers.targetGroups.get(targetGroup)!.registered).toBe(true);
    expect(stage.deregistered).toEqual([]);
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
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
    stage.group.beginReturn('Running');
    await stage.world.clock.run(2 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', returns: true, phase: 'done' });
    expect(stage.deregistered).toEqual([]);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    stage.group.begin('launch');
    stage.world.metadata.targetState = 'InService';
    await stage.world.clock.run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.group.lifecycleState).toBe('InService');
    expect(stage.status().join.state).toBe('joined');
    await agent.stop();
  });
});
