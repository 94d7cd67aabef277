import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Refused } from '../../../../../core/errors.ts';
import { configOf, never, setStage, someOrder } from '../../stage.ts';
import { scaleIn } from './orders.ts';

const byHand = { cause: 'operator', reason: 'by hand', key: 'leave-1' } as const;

describe('a departure', () => {
  // It registered while its registrar was left, got a task, and ended ten seconds later under it.
  it('also drains a node that ECS registers while it leaves, and waits for its tasks', async () => {
    const stage = setStage();
    const { cluster, clock } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    let stopped = false;
    const deregister = async () => {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
    };
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'terminateInGroup') stopped = cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED');
    };
    stage.agrees(byHand);
    await clock.finish(runDeparture(stage.host, stage.config, someOrder(byHand), { deregister }, never));
    expect(stage.own.status).toBe('DRAINING');
    expect(stopped).toBe(true);
  });

  // Unassigning takes minutes; ECS came to know the node in the first of them, and placed tasks on
  // it until the last.
  it('is DRAINING soon after ECS registers the node, while it still leaves its registrar', async () => {
    const stage = setStage();
    const { cluster, clock } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    let statusThen = '';
    const deregister = async () => {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      await clock.sleep(4 * 60_000, never);
      statusThen = stage.own.status;
    };
    stage.agrees(byHand);
    await clock.finish(runDeparture(stage.host, stage.config, someOrder(byHand), { deregister }, never));
    expect(statusThen).toBe('DRAINING');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  // It was terminated in its warm pool, which takes a minute. The group put it into service in that
  // minute, and it ended under the tasks that it got.
  it('also drains a node that its group takes from the warm pool while it waits for its end', async () => {
    for (const atDeadline of ['stop-tasks', 'leave-tasks']) {
      const stage = setStage(configOf({ leave: { drainSeconds: 60, atDeadline } }));
      const { cluster, clock, calls } = stage.world;
      const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
      [cluster.instances, stage.world.localAgent] = [[], undefined];
      stage.group.lifecycleState = 'Warmed:Running';
      let fetchedAt = 0;
      clock.schedule(55_000, () => {
        fetchedAt = clock.uptime();
        stage.group.begin('launch');
        [cluster.instances, stage.world.localAgent] = [instances, localAgent];
        cluster.addTask(stage.own.arn, { stopsAfterMs: 50_000 });
      });
      let running: boolean | undefined;
      calls.onCall = ({ verb }) => {
        if (verb === 'completeHook') running ??= cluster.tasks.some(({ lastStatus }) => lastStatus !== 'STOPPED');
      };
      await stage.leaves({ cause: 'operator' });
      expect(stage.deeds()).toEqual([
        'deregister',
        'tagSelf',
        'terminateInGroup',
        'reportUnhealthy',
        'drain',
        'queueToLeave',
        'completeHook',
      ]);
      expect(running).toBe(false);
      // Before the next look, which finds that the group terminates the node.
      expect(calls.of('drain')[0]!.at - fetchedAt).toBeLessThan(10_000);
    }
  });

  it('also drains a node that registers while it waits for the services of others to be steady', async () => {
    const stage = setStage(configOf({ leave: { steadyClusterSeconds: 600 } }));
    const { cluster, clock, calls } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    cluster.unsteadyServices = ['web'];
    const began = clock.uptime();
    clock.schedule(60_000, () => ([cluster.instances, stage.world.localAgent] = [instances, localAgent]));
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(calls.of('drain')[0]!.at - began).toBeLessThan(80_000);
  });

  it('also drains a node that registers while AWS refuses to terminate it', async () => {
    const stage = setStage();
    const { cluster, clock, calls } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent, stage.world.group] = [[], undefined, undefined];
    for (const way of ['terminateSelf', 'powerOff']) calls.fails(way, new Refused('AccessDenied'), 1);
    clock.schedule(60_000, () => {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
    });
    let running: boolean | undefined;
    calls.onCall = ({ verb }) => {
      if (verb === 'terminateSelf') running = cluster.tasks.some(({ lastStatus }) => lastStatus !== 'STOPPED');
    };
    await stage.leaves({ cause: 'operator' });
    expect(stage.deeds().slice(-5)).toEqual(['terminateSelf', 'powerOff', 'drain', 'queueToLeave', 'terminateSelf']);
    expect(running).toBe(false);
  });

  /** A spot node that EC2 reclaims before ECS knows it; it registers after this time. */
  const reclaimed = (registersAfterMs: number) => {
    const stage = setStage();
    const { cluster, clock } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    clock.schedule(registersAfterMs, () => {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
    });
    return { stage, order: { cause: 'spot', key: 'spot:1', ending: 'await' } as const };
  };

  // Reclaimed in its first minute, or in a warm pool, its departure was over when it registered:
  // tasks were placed on it for the rest.
  it('of a spot instance continues until ECS registers the node, which gets no tasks in its last two minutes', async () => {
    const { stage, order } = reclaimed(40_000);
    const began = stage.host.clock.now();
    const state = await stage.leaves({ ...order, deadline: began + 100_000 });
    expect(state.phase).toBe('done');
    expect(state.drainedAt! - began).toBeLessThan(60_000);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.cluster.tasks.map(({ lastStatus }) => lastStatus)).toEqual(['STOPPED']);
  });

  it('of a spot instance that ECS never registers asks for two and a half minutes, four times a minute, and ends', async () => {
    const { stage, order } = reclaimed(1e9);
    const began = stage.host.clock.uptime();
    expect(await stage.leaves({ ...order, deadline: stage.host.clock.now() + 100_000 })).toMatchObject({
      phase: 'done',
    });
    expect(stage.host.clock.uptime() - began).toBeLessThan(200_000);
    expect(stage.world.calls.of('readContainerInstance').length).toBeLessThan(24);
  });
});
