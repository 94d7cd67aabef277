import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { paths, renderState, type OperatorRequest } from '../../../../../core/state/state.ts';
import type { Stage } from '../../stage.ts';
import { denied, minute, inService, busy } from './in-service.ts';

const notice = ({ world, host }: Stage, action: 'terminate' | 'stop' | 'hibernate' = 'terminate') =>
  void (world.metadata.spotNotice = { action, at: host.clock.now() + 120_000 });

const scaleIn = ({ world, group }: Stage) => {
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
};

const leave = ({ world }: Stage, terminate = true) => {
  const { instanceId } = world.identity;
  const request: OperatorRequest = { instanceId, id: 'by-hand', action: 'leave', reason: 'by hand', terminate, at: 0 };
  world.machine.files.set(paths.request, renderState(request));
};

const patient = { leave: { drainSeconds: 3000 } };

describe('an order without a second source', () => {
  // The node only drained, and its heartbeats kept the hook open for hours.
  it('does not hide a scale-in behind a spot notice that EC2 denies', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 300 } });
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(30_000);
    scaleIn(stage);
    await run(10 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'done' });
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('tells of a fault of this program while it asks, and the departure goes on', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 300 } });
    scaleIn(stage);
    busy(stage);
    await run(minute);
    world.calls.fails('readSpotStatus', new TypeError('x is not a function'));
    notice(stage);
    await run(10 * minute);
    expect(world.log).toContainEqual(
      expect.objectContaining({
        message: 'order not confirmed',
        fields: expect.objectContaining({ cause: 'spot' }) as unknown,
      }),
    );
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'done' });
    await agent.stop();
  });

  // EC2 was never asked about the notice, and tasks stopped 50 minutes early.
  it('does not hurry a confirmed scale-in', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    scaleIn(stage);
    await run(2 * minute);
    notice(stage);
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    await agent.stop();
  });

  // The denial, and the time since which the notice was listed, were forgotten. The notice counted
  // alone as soon as EC2 was silent.
  it.each([
    ['EC2 has denied', true, 0],
    ['outlives its end', false, 4 * minute],
  ])('stops no task of a drained node after a restart: a notice that %s', async (_, isDenied, offMs) => {
    const { stage, world, run, agent } = await inService(patient);
    const silence = () => world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'));
    busy(stage);
    leave(stage, false);
    await run(10_000);
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    world.instance.spotStatus = 'fulfilled';
    if (!isDenied) silence();
    notice(stage);
    await run(45_000);
    await agent.stop();
    await run(offMs);
    silence();
    const next = stage.agent(world.restart());
    await run(5 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.departure().cause).toBe('operator');
    await next.stop();
  });

  // The deadline of the notice stayed with the departure after the notice was gone.
  it('takes its deadline with it when it is withdrawn', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    notice(stage);
    await run(30_000);
    scaleIn(stage);
    await run(10_000);
    world.metadata.spotNotice = undefined;
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    expect(stage.departure().hardDeadline).toBeUndefined();
    await agent.stop();
  });

  it('counts when it comes again after it was withdrawn, and is true', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    scaleIn(stage);
    await run(2 * minute);
    notice(stage);
    await run(minute);
    world.metadata.spotNotice = undefined;
    await run(minute);
    world.instance.spotStatus = 'marked-for-termination';
    notice(stage);
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'spot', hardDeadline: true });
    await agent.stop();
  });

  // The request of the person was not carried out for hours.
  it.each([true, false])('does not hide `ecs-node leave` behind a false target state (terminate: %s)', async (ends) => {
    const { stage, world, run, hooks, agent } = await inService({ leave: { drainSeconds: 300 } });
    world.metadata.targetState = 'Terminated';
    await run(30_000);
    leave(stage, ends);
    await run(30 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'operator', phase: 'done' });
    expect(hooks).toContain('leaving');
    expect(world.instance.state === 'running').toBe(!ends);
    await agent.stop();
  });

  // Each confirmed order forgot the other's answer, so the node drained itself four times a second.
  it('is asked about once while the node waits for the end that it has asked for itself', async () => {
    const { stage, world, run, agent } = await inService();
    world.calls.fails('completeHook', denied);
    leave(stage);
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'operator', phase: 'hook' });
    world.metadata.targetState = 'Terminated';
    world.metadata.maintenance = [
      {
        id: 'event-1',
        code: 'instance-retirement',
        state: 'active',
        notBefore: world.clock.now() + 86_400_000,
        description: '',
      },
    ];
    world.calls.list.length = 0;
    await run(2 * minute);
    expect(world.calls.of('drain').length).toBeLessThan(10);
    await agent.stop();
  });

  it('still drains the node at once while another departure leaves its load balancers', async () => {
    const { stage, run, agent } = await inService({ leave: { drainSeconds: 3000, deregistrationSeconds: 300 } });
    stage.world.calls.hangs('isTargetDraining');
    scaleIn(stage);
    await run(20_000);
    expect(stage.own.status).toBe('ACTIVE');
    notice(stage);
    await run(3_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  it('takes over as soon as its own second source agrees, also after a restart', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    scaleIn(stage);
    await run(2 * minute);
    notice(stage);
    await run(5_000);
    expect(stage.departure().cause).toBe('scale-in');
    await agent.stop();
    const next = stage.agent(world.restart());
    await run(20_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot', hardDeadline: true });
    await run(2 * minute);
    expect(stage.deeds()).toContain('stopTask');
    await next.stop();
  });

  it('replaces no confirmed departure after a restart', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    world.instance.spotStatus = 'fulfilled';
    scaleIn(stage);
    await run(2 * minute);
    notice(stage);
    await run(5_000);
    await agent.stop();
    const next = stage.agent(world.restart());
    await run(10 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    expect(stage.deeds()).not.toContain('stopTask');
    await next.stop();
  });
});

describe('a deadline', () => {
  // The node went on in a hurry for an interruption that EC2 had cancelled.
  it('is over with its confirmed spot notice, where the node leaves for its group as well', async () => {
    const { stage, world, run, agent } = await inService(patient);
    busy(stage);
    world.instance.spotStatus = 'marked-for-termination';
    notice(stage);
    await run(20_000);
    scaleIn(stage);
    await run(10_000);
    world.metadata.spotNotice = undefined;
    world.instance.spotStatus = 'fulfilled';
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    await agent.stop();
  });
});

describe('calling off', () => {
  // The node became ACTIVE while EC2 went on taking it.
  it.each(['terminate', 'stop', 'hibernate'] as const)(
    'a confirmed spot notice (%s) needs EC2, too',
    async (action) => {
      const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
      busy(stage);
      world.instance.spotStatus = action === 'terminate' ? 'marked-for-termination' : 'marked-for-stop';
      notice(stage, action);
      await run(20_000);
      world.metadata.spotNotice = undefined;
      await run(40_000);
      expect(stage.deeds()).not.toContain('activate');
      world.instance.spotStatus = 'fulfilled';
      await run(10_000);
      expect(stage.deeds()).toContain('activate');
      await agent.stop();
    },
  );

  // The node became ACTIVE, and the hook of its warm pool was completed under its task.
  it.each([undefined, 'InService'])('a return to the warm pool needs the group, too (target %s)', async (target) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    busy(stage);
    world.metadata.targetState = 'Warmed:Stopped';
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    await run(20_000);
    world.metadata.targetState = target;
    await run(15_000);
    world.metadata.targetState = 'Warmed:Stopped';
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ returns: true, phase: 'tasks' });
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.deeds()).not.toContain('completeHook');
    await agent.stop();
  });
});

describe('a node on its way back into the warm pool', () => {
  // It sent heartbeats for the terminate hook and completed the launch hook, whichever waited.
  it.each(['launch', 'terminate'] as const)('keeps its %s hook alive and completes it', async (transition) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    const task = world.cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 10 * minute });
    world.metadata.targetState = 'Warmed:Running';
    // The group's own state follows.
    await run(8_000);
    stage.group.begin(transition);
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    const hook = stage.group.hooks.find(({ name }) => name === transition)!;
    await run(9 * minute);
    expect(hook.ended).toBeUndefined();
    await run(6 * minute);
    expect(task.lastStatus).toBe('STOPPED');
    expect(hook.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('completes its launch hook where the terminate hook is refused', async () => {
    const { stage, world, run, agent } = await inService({});
    const { completeHook } = stage.host.cloud;
    stage.host.cloud.completeHook = async (group, name, ...rest) => {
      if (name === 'terminate') throw denied;
      return completeHook(group, name, ...rest);
    };
    stage.group.begin('launch');
    stage.group.lifecycleState = 'Warmed:Pending:Wait';
    world.metadata.targetState = 'Warmed:Running';
    await run(5 * minute);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

describe('a scale-in after the departure for a spot notice', () => {
  // The terminate hook timed out: the departure that was done hid it.
  it.each(['marked-for-termination', 'fulfilled'])('completes its hook (EC2: %s)', async (status) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 900 } });
    world.instance.spotStatus = 'marked-for-termination';
    notice(stage);
    await run(40_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'done' });
    world.instance.spotStatus = status;
    scaleIn(stage);
    await run(minute);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });
});
