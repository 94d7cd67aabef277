import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import type { Order } from '../../../../../agent/watching/watcher.ts';
import { Refused } from '../../../../../core/errors.ts';
import type { Host } from '../../../../../core/host.ts';
import { someHook } from '../../../../fakes/cloud/group.ts';
import { configOf, never, setStage, someOrder, type Stage } from '../../stage.ts';
import { scaleIn } from './orders.ts';

describe('a departure', () => {
  it('completes only its own hook, and sends no heartbeat for a hook of another program', async () => {
    const stage = setStage();
    stage.group.hooks = [someHook('ecs-managed-draining', 'terminate'), someHook('terminate', 'terminate')];
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(stage.world.calls.of('completeHook').map(({ args }) => args)).toEqual([['web', 'terminate', 'CONTINUE']]);
    expect(new Set(stage.world.calls.of('heartbeat').map(({ args }) => args[1]))).toEqual(new Set(['terminate']));
    expect(stage.group.hooks[0]!.active).toBe(true);
    expect(stage.world.instance.state).toBe('running');
  });

  it('asks again when Auto Scaling wrongly reports no active lifecycle action', async () => {
    const stage = setStage();
    stage.group.hookLagMs = 47_000;
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(stage.world.calls.of('completeHook').length).toBeGreaterThan(5);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  // The node was done on one such answer. Its hook timed out an hour later. Where its warm pool had
  // refused the request, the node stayed.
  describe.each(['Terminated', 'Terminating:Proceed'])('completes its hook although its group says %s', (said) => {
    const deceived = ({ host }: Stage, isLie: (state: string) => boolean): Host => {
      const readMembership: Host['cloud']['readMembership'] = async (signal) => {
        const truth = await host.cloud.readMembership(signal);
        return truth && isLie(truth.lifecycleState) ? { ...truth, lifecycleState: said } : truth;
      };
      return { ...host, cloud: { ...host.cloud, readMembership } };
    };

    it.each(['InService', undefined])('before it has begun (later target: %s)', async (later) => {
      const stage = setStage();
      const { calls, metadata } = stage.world;
      calls.fails('terminateInGroup', new Refused('an instance of a warm pool', { code: 'ValidationError' }));
      const isLie = (state: string) => state === 'InService' && calls.of('reportUnhealthy').length > 0;
      let targets = 0;
      calls.onCall = ({ verb }) => {
        const isDisputed = verb === 'readTargetState' && calls.of('reportUnhealthy').length > 0;
        if (isDisputed && ++targets === 2) metadata.targetState = later;
      };
      await stage.leaves({}, deceived(stage, isLie));
      expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    });

    it('while the hook waits', async () => {
      const stage = setStage();
      stage.world.metadata.targetState = 'Terminated';
      stage.group.begin('terminate');
      await stage.leaves(
        scaleIn,
        deceived(stage, () => true),
      );
      expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    });
  });

  it('keeps the hook alive for as long as the tasks take', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    stage.group.hooks = [someHook('terminate', 'terminate', { heartbeatSeconds: 30, globalSeconds: 3000 })];
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 1_200_000 });
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(stage.world.calls.of('heartbeat').length).toBeGreaterThan(70);
  });

  // No heartbeat kept the launch hook alive: it timed out, and the group terminated the machine
  // under its tasks.
  it('keeps the launch hook of a launching node alive for as long as the tasks take', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    stage.group.hooks[0]!.heartbeatSeconds = 120;
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 1_200_000 });
    stage.group.begin('launch');
    const began = stage.host.clock.uptime();
    await stage.leaves({ cause: 'operator', reason: 'by hand', key: 'leave-1' });
    expect(stage.host.clock.uptime() - began).toBeGreaterThanOrEqual(1_200_000);
    expect(stage.group.hooks[0]!.ended).toBe('ABANDON');
  });

  it('ends before the hook has no more time, whatever the heartbeats', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600, atDeadline: 'leave-tasks' } }));
    stage.group.hooks = [someHook('terminate', 'terminate', { heartbeatSeconds: 30, globalSeconds: 600 })];
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
  });

  // The global time counted from the start of the departure, and was over when the hook began: the
  // task was stopped 78 s later.
  describe.each([
    ['an hour after its departure for a retirement began', true],
    ['that is not leaving yet (control)', false],
  ])('for a scale-in of a node %s', (_what, leaves) => {
    it.each([
      [40, [], undefined],
      [60, [49], 'CONTINUE'],
    ])(
      'lets a task run for %d minutes, or until a minute before the end of the hook',
      async (minutes, stops, ended) => {
        const stage = setStage(configOf({ leave: { drainSeconds: 7200 } }));
        const { world } = stage;
        stage.group.hooks[1] = someHook('terminate', 'terminate', { heartbeatSeconds: 30, globalSeconds: 3000 });
        world.cluster.addTask(stage.own.arn, { group: 'service:batch', stopsAfterMs: Infinity });
        const agent = stage.agent();
        if (leaves) {
          const event = { id: 'e-1', code: 'instance-retirement' };
          const notBefore = stage.host.clock.now() + 14 * 24 * 3_600_000;
          world.instance.events = [{ ...event, startsInMs: 14 * 24 * 3_600_000 }];
          world.metadata.maintenance = [{ ...event, state: 'active', notBefore, description: '' }];
        }
        await world.clock.run(3_600_000);
        expect(stage.departure()?.cause).toBe(leaves ? 'maintenance' : undefined);
        world.metadata.targetState = 'Terminated';
        stage.group.begin('terminate');
        const began = world.clock.uptime();
        await world.clock.run(minutes * 60_000);
        expect(world.calls.of('stopTask').map(({ at }) => Math.round((at - began) / 60_000))).toEqual(stops);
        expect(stage.group.hooks[1].ended).toBe(ended);
        await agent.stop();
      },
    );
  });

  it('confirms with Auto Scaling before it leaves the registrar, because metadata may be early', async () => {
    const stage = setStage();
    const done = runDeparture(stage.host, stage.config, someOrder(scaleIn), { deregister: stage.deregister }, never);
    await stage.world.clock.run(40_000);
    expect(stage.deeds()).toEqual(['drain']);
    stage.group.begin('terminate');
    await stage.world.clock.finish(done);
    expect(stage.deeds()).toEqual(['drain', 'deregister', 'tagSelf', 'completeHook']);
  });

  it('delays a scale-in until the services are steady, where configured', async () => {
    const stage = setStage(configOf({ leave: { steadyClusterSeconds: 600 } }));
    stage.world.cluster.unsteadyServices = ['web'];
    stage.world.clock.schedule(120_000, () => (stage.world.cluster.unsteadyServices = []));
    stage.group.begin('terminate');
    const state = await stage.leaves(scaleIn);
    expect(state.entered.registrar! - state.entered.tasks!).toBeGreaterThan(110_000);
    expect(state.entered.registrar! - state.entered.tasks!).toBeLessThan(150_000);
  });

  // The wall clock was set forward by an hour while an agent was restarted: OpsWorks got ten
  // seconds, and kept a record.
  it('leaves its registrar although a jump of the clock has used up its own deadline', async () => {
    const leaves = async (order: Partial<Order>) => {
      const stage = setStage();
      const slow = async (on: Host, _what: unknown, callSignal: AbortSignal) => on.clock.sleep(60_000, callSignal);
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      stage.agrees(order);
      const cutOff = new AbortController();
      const begun = runDeparture(stage.host, stage.config, someOrder(order), { deregister: slow }, cutOff.signal);
      begun.catch(() => {});
      await stage.world.clock.run(10_000);
      cutOff.abort(new Error('stopped'));
      stage.world.clock.jump(3 * 3_600_000);
      return stage.world.clock.finish(
        runDeparture(stage.host, stage.config, someOrder(order), { deregister: slow }, never),
      );
    };
    expect((await leaves({})).troubles.join()).not.toContain('registrar');
    const deadline = Date.UTC(2030, 0, 1) + 600_000;
    expect((await leaves({ deadline })).troubles.join()).toContain('registrar');
  });
});
