import { describe, expect, it } from 'vitest';
import { finishJoining } from '../../../../../agent/joining/join.ts';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { groupTag } from '../../../../../upkeep/group-tag.ts';
import { configOf, never, setStage } from '../../stage.ts';
import { minute, hour, launched } from './launched.ts';

describe('a joining node', () => {
  // Metadata still said "Warmed:" when the group had fetched the node: its hook was completed
  // before ECS knew it.
  it('does not complete its launch while the metadata still name the warm pool', async () => {
    const node = launched(configOf(), 5 * minute);
    node.world.metadata.targetState = 'Warmed:Stopped';
    node.world.clock.schedule(3_000, () => void (node.world.metadata.targetState = 'InService'));
    await node.finish();
    expect(node.world.calls.of('completeHook')[0]!.at).toBeGreaterThanOrEqual(5 * minute);
  });

  // Auto Scaling still named the way into the pool. In life 490007162, the next try met the launch
  // hook of the same name.
  it('does not complete its launch with a try for the way into its warm pool', async () => {
    const node = launched(configOf(), 5 * minute);
    const { group, world, host } = node;
    const { readMembership } = host.cloud;
    let isOld = true;
    host.cloud.readMembership = async (signal) => {
      const membership = await readMembership(signal);
      return isOld && membership !== undefined ? { ...membership, lifecycleState: 'Warmed:Pending:Wait' } : membership;
    };
    world.metadata.targetState = 'Warmed:Running';
    group.lifecycleState = 'Warmed:Running';
    group.hooks[0]!.active = false;
    world.clock.schedule(13_500, () => {
      world.metadata.targetState = 'InService';
      group.begin('launch');
    });
    world.clock.schedule(2 * minute, () => (isOld = false));
    await node.finish();
    expect(world.calls.of('completeHook')[0]!.at).toBeLessThan(13_500);
    expect(world.calls.of('completeHook').filter(({ at }) => at > 13_500 && at < 5 * minute)).toEqual([]);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // In life 700001244, it left the pool while a try had begun.
  it('does not complete its launch with a try that has begun in its warm pool', async () => {
    const node = launched(configOf(), 5 * minute);
    const { group, world, host } = node;
    const { readMembership } = host.cloud;
    world.metadata.targetState = 'Warmed:Running';
    group.lifecycleState = 'Warmed:Pending:Wait';
    group.hooks[0]!.active = false;
    let isLeft = false;
    host.cloud.readMembership = async (signal) => {
      const membership = await readMembership(signal);
      if (world.clock.uptime() > 30_000 && !isLeft) {
        isLeft = true;
        world.metadata.targetState = 'InService';
        group.begin('launch');
      }
      return membership;
    };
    const began = world.clock.uptime();
    await node.finish();
    expect(isLeft).toBe(true);
    const completed = world.calls.of('completeHook').filter(({ at }) => at > 30_000 && at - began < 4 * minute);
    expect(completed).toEqual([]);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // The group had just taken it from the pool, but a server that did not know that yet answered:
  // the hook was never completed, and the node replaced.
  it('completes its launch although the group, asked once, still reports the warm pool', async () => {
    const { group, world, finish } = launched();
    // Its hook begins three seconds after the joined node has seen it without one.
    Object.assign(group, { lifecycleState: 'Warmed:Running' });
    group.hooks[0]!.active = false;
    let looks = 0;
    world.calls.onCall = ({ verb, at }) => {
      if (verb === 'readMembership' && at > 30_000 && ++looks === 1)
        world.clock.schedule(3_000, () => group.begin('launch'));
    };
    await finish();
    await world.clock.run(10 * minute);
    expect(looks).toBeGreaterThan(1);
    expect(group.hooks[0]!.ended).toBe('CONTINUE');
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

  // The pauses between two tries, each with a heartbeat, grew to a quarter of an hour: a hook of a
  // minute timed out.
  it.each(['Pending:Wait', 'Warmed:Running', 'InService'])(
    'keeps its launch hook alive while the metadata name a warm pool, and the group says %s',
    async (wrong) => {
      const node = launched(configOf(), 0);
      const { world, group } = node;
      group.hooks[0]!.heartbeatSeconds = 60;
      group.begin('launch');
      group.lifecycleState = wrong;
      world.metadata.targetState = 'Warmed:Running';
      const { clock, calls } = world;
      clock.schedule(5 * minute, () => void calls.fails('readTargetState', new Unavailable('socket hang up'), 1));
      clock.schedule(50 * minute, () => {
        world.metadata.targetState = 'InService';
        group.lifecycleState = 'Pending:Wait';
      });
      await node.finish();
      expect(group.hooks[0]!.ended).toBe('CONTINUE');
    },
  );

  // A group's quota of calls does not suffice for a pool that sends heartbeats all day.
  it('sends no heartbeat once it is in its warm pool', async () => {
    const node = launched();
    node.world.metadata.targetState = 'Warmed:Running';
    node.group.lifecycleState = 'Warmed:Pending:Wait';
    node.joins().catch(() => {});
    await node.world.clock.run(hour);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(node.world.calls.of('heartbeat')).toEqual([]);
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

  // One wrong state counted as the end of the hook, and the node asked again after 10 minutes: each
  // shorter hook timed out and ended the node.
  it.each(['InService', 'Pending:Proceed', 'Terminating:Wait', 'Detached', 'Standby'])(
    'completes a launch hook of a minute although the group says %s once',
    async (wrong) => {
      const node = launched(configOf(), 0);
      node.group.hooks[0]!.heartbeatSeconds = 60;
      node.group.begin('launch');
      node.group.lifecycleState = wrong;
      node.world.calls.onCall = ({ verb }) => {
        if (verb === 'heartbeat') node.group.lifecycleState = 'Pending:Wait';
      };
      await node.finish();
      expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
    },
  );

  it('asks a group that is past its hook with two calls, and after a minute with one more', async () => {
    const node = launched(configOf(), 0);
    for (const hook of node.group.hooks) hook.active = false;
    node.group.lifecycleState = 'InService';
    const agent = node.agent();
    await node.world.clock.run(30 * minute);
    expect(node.status().join.state).toBe('joined');
    expect(node.world.calls.of('readMembership')).toHaveLength(1);
    const beats = node.world.calls.of('heartbeat').map(({ at }) => at);
    expect(beats).toHaveLength(2);
    expect(beats[1]! - beats[0]!).toBeGreaterThanOrEqual(minute);
    await agent.stop();
  });

  // The wrong state was kept for as long as the node was in its pool.
  it('completes the hook to enter a warm pool although the group says once that it is in', async () => {
    const node = launched();
    node.world.metadata.targetState = 'Warmed:Running';
    node.group.lifecycleState = 'Warmed:Running';
    node.world.calls.onCall = ({ verb }) => {
      if (verb === 'heartbeat') node.group.lifecycleState = 'Warmed:Pending:Wait';
    };
    const done = node.joins();
    done.catch(() => {});
    await node.world.clock.run(2 * minute);
    expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // Auto Scaling said InService for some minutes although it waited: the hook timed out, and ended
  // the node. Later, an agent that restarted forgot to ask again.
  it.each(['the same', 'the next'])(
    'completes a launch hook that Auto Scaling has hidden when the node joined without permission for heartbeats, by %s agent',
    async (which) => {
      const node = launched(configOf(), 0);
      node.world.calls.fails('heartbeat', new Refused('denied', { code: 'AccessDenied' }));
      node.group.hooks[0]!.heartbeatSeconds = 1_800;
      node.group.begin('launch');
      node.group.lifecycleState = 'InService';
      node.world.clock.schedule(9.5 * minute, () => void (node.group.lifecycleState = 'Pending:Wait'));
      const first = node.agent();
      await node.world.clock.run(9 * minute);
      expect(node.status()?.join.state).toBe('joined');
      const agent = which === 'the same' ? first : node.agent(node.world.restart());
      await node.world.clock.run(20 * minute);
      expect(node.group.hooks[0]!.ended).toBe('CONTINUE');
      const asked = node.world.calls.of('readMembership').length;
      await node.world.clock.run(hour);
      expect(node.world.calls.of('readMembership')).toHaveLength(asked);
      await agent.stop();
    },
  );

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
