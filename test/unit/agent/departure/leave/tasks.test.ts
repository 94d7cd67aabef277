import { describe, expect, it } from 'vitest';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Unavailable } from '../../../../../core/errors.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { never, setStage, someOrder, type Stage } from '../../stage.ts';
import { targetGroup, withBalancers, scaleIn } from './orders.ts';

/** Replaces the answers of the load balancer: `lie` knows the time since the first one. */
function watchTarget({ host, world: { clock } }: Stage, lie: (ms: number, draining: boolean) => boolean): boolean[] {
  const { isTargetDraining } = host.cloud;
  const seen: boolean[] = [];
  let since: number | undefined;
  host.cloud.isTargetDraining = async (...args) => {
    since ??= clock.uptime();
    seen.push(lie(clock.uptime() - since, await isTargetDraining(...args)));
    return seen.at(-1)!;
  };
  return seen;
}

describe('a departure', () => {
  it('drains, waits for the tasks, leaves the registrar, reports the reason, terminates through the group and completes the hook', async () => {
    const stage = setStage();
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
    const state = await stage.leaves();
    expect(stage.deeds()).toEqual(
      ['drain', 'deregister', 'tagSelf', 'publish', 'terminateInGroup', 'completeHook'].filter(
        (verb) => verb !== 'publish',
      ),
    );
    expect(state).toMatchObject({ phase: 'done', cause: 'disk', blockers: [], troubles: [] });
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
    expect(stage.world.instance.tags['ecs-node:left']).toMatch(/^disk: disk full: \/ 95 % \(.*tasks 2\d s/);
  });

  it('deregisters from its load balancers and waits for the connections before it drains', async () => {
    const stage = setStage(withBalancers());
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(120_000));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(30_000));
    const state = await stage.leaves();
    const left = ['deregisterTarget', 'deregisterFromLoadBalancer'];
    expect(stage.deeds().slice(0, 4)).toEqual([...left, 'deregisterTarget', 'drain']);
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(120_000);
    expect(state.entered.drain! - state.startedAt).toBeLessThan(140_000);
  });

  it('only drains on one source alone, also where no time undoes it', async () => {
    const stage = setStage(withBalancers());
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(120_000));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(30_000));
    await stage.leaves({ cause: 'rebalance', key: 'rebalance:1', ending: 'remain' });
    expect(stage.deeds()).toEqual(['drain', 'queueToLeave']);
    expect(stage.departure()).toMatchObject({ phase: 'done', irrevocable: {} });
  });

  // A server that did not know of the deregistration yet reported the target as healthy: its
  // connections were cut.
  // With a longer time, such an answer must last for longer than the load balancer needs.
  it('does not treat a target that was deregistered a moment ago as one without connections', async () => {
    const stage = setStage(withBalancers({ loadBalancers: [], deregistrationSeconds: 25 }));
    const { clock, balancers } = stage.world;
    const balancer = someBalancer(20_000);
    let [until, knownAt] = [0, 0];
    Object.defineProperty(balancer, 'drainsUntil', {
      get: () => (clock.uptime() < knownAt ? 0 : until),
      set(uptime: number) {
        [until, knownAt] = [uptime, clock.uptime() + 8_000];
      },
    });
    balancers.targetGroups.set(targetGroup, balancer);
    const state = await stage.leaves();
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(20_000);
  });

  // One list lacked the target: the tasks stopped under its connections.
  it('does not take one answer without the target for the end of its connections', async () => {
    const stage = setStage(withBalancers({ loadBalancers: [] }));
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(60_000));
    const { isTargetDraining } = stage.host.cloud;
    let looks = 0;
    const stale: typeof isTargetDraining = async (...args) => (await isTargetDraining(...args)) && ++looks !== 2;
    stage.host.cloud = { ...stage.host.cloud, isTargetDraining: stale };
    const state = await stage.leaves();
    expect(looks).toBeGreaterThan(2);
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(60_000);
  });

  // Ten seconds of such answers stopped the tasks.
  it.each([
    ['at first', 0],
    ['after it was seen draining', 8_000],
  ])('keeps the connections of a target that is missing for twelve seconds %s', async (_, afterMs) => {
    const stage = setStage(withBalancers({ loadBalancers: [] }));
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(240_000));
    const seen = watchTarget(stage, (ms, draining) => draining && (ms < afterMs || ms >= afterMs + 12_000));
    const state = await stage.leaves();
    expect(seen.slice(0, 6).filter((draining) => !draining).length).toBeGreaterThanOrEqual(2);
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(240_000);
  });

  it.each([
    ['drained for its whole delay', 30_000, 300, 3],
    ['never drained', 0, 300, 5],
    ['never drained, when it has little time', 0, 20, 3],
  ])('goes on soon after a target is gone that %s', async (_, drainsForMs, deregistrationSeconds, mostLooks) => {
    const stage = setStage(withBalancers({ loadBalancers: [], deregistrationSeconds }));
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(drainsForMs));
    const seen = watchTarget(stage, (_ms, draining) => draining);
    const state = await stage.leaves();
    expect(seen.filter((draining) => !draining).length).toBeLessThanOrEqual(mostLooks);
    expect(state.troubles).toEqual([]);
  });

  // The load balancer sent requests to stopped tasks: the first list had lacked a target.
  it.each([['is short', { cause: 'spot', key: 'spot:1', ending: 'await' }] as const, ['is long', undefined] as const])(
    'deregisters a target that only the second list shows, when its time %s',
    async (_, order) => {
      const stage = setStage(withBalancers({ loadBalancers: [] }));
      const { balancers, clock, cluster } = stage.world;
      cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
      const balancer = someBalancer(30_000);
      balancers.targetGroups.set(targetGroup, balancer);
      const { deregisterTarget } = stage.host.cloud;
      let lists = 0;
      const stale: typeof deregisterTarget = async (...args) => (++lists === 1 ? undefined : deregisterTarget(...args));
      stage.host.cloud = { ...stage.host.cloud, deregisterTarget: stale };
      const state = await stage.leaves(order && { ...order, deadline: clock.now() + 100_000 });
      expect(lists).toBe(2);
      expect(balancer.registered).toBe(false);
      expect(state.troubles).toEqual([]);
    },
  );

  it('waits for connections no longer than configured, and continues without a balancer that refuses', async () => {
    const stage = setStage(withBalancers({ deregistrationSeconds: 60 }));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(3_600_000));
    const state = await stage.leaves();
    expect(state.entered.drain! - state.startedAt).toBeLessThanOrEqual(65_000);
    expect(state.troubles.join()).toContain('targetgroup/web');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  it('does everything at once when the deadline is short: DRAINING first, the report after it', async () => {
    const stage = setStage(withBalancers());
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(300_000));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(300_000));
    const deadline = stage.host.clock.now() + 100_000;
    const began = stage.host.clock.now();
    const state = await stage.leaves({ cause: 'spot', key: 'spot:1', deadline, ending: 'await' });
    const cloud = stage.world.calls.verbs('cloud');
    // One call before it asks to which instance the record belongs, because ECS has not confirmed
    // it to this process yet.
    expect(cloud.slice(0, 2)).toEqual(['ownsContainerInstance', 'drain']);
    expect(stage.deeds().slice(0, 3)).toEqual(['drain', 'deregisterTarget', 'deregisterFromLoadBalancer']);
    expect(state.drainedAt! - began).toBeLessThan(2_000);
    expect(state.phase).toBe('done');
    // A node that AWS takes is not terminated, and a group that does not wait receives no call.
    expect(stage.deeds()).not.toContain('terminateInGroup');
    expect(stage.deeds()).not.toContain('completeHook');
  });

  it('waits for a task that is still stopping, although ECS counts none as running, and names it', async () => {
    const stage = setStage();
    const task = stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 200_000 });
    const done = runDeparture(stage.host, stage.config, someOrder(scaleIn), { deregister: stage.deregister }, never);
    stage.group.begin('terminate');
    await stage.world.clock.run(100_000);
    expect(stage.departure()).toMatchObject({ phase: 'tasks' });
    expect(stage.departure().blockers[0]).toContain(task.arn.split('/').at(-1));
    await stage.world.clock.finish(done);
    expect(stage.world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED')).toBe(true);
    const [completed] = stage.world.calls.of('completeHook');
    expect(completed!.at).toBeGreaterThanOrEqual(200_000);
  });

  it('trusts neither the ECS agent nor ECS alone that all tasks are gone', async () => {
    for (const lies of ['local', 'cloud'] as const) {
      const stage = setStage();
      stage.group.begin('terminate');
      const task = stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 60_000 });
      if (lies === 'local') task.knownStatus = 'STOPPED';
      else {
        Object.assign(task, { lastStatus: 'STOPPED', knownStatus: 'RUNNING' });
        stage.world.clock.schedule(60_000, () => (task.knownStatus = 'STOPPED'));
      }
      const state = await stage.leaves(scaleIn);
      expect(state.entered.registrar! - state.entered.tasks!).toBeGreaterThanOrEqual(58_000);
    }
  });

  it('assumes that tasks exist while neither the ECS agent nor ECS answers', async () => {
    const stage = setStage();
    stage.world.localAgent = undefined;
    stage.world.calls.fails('cloud.readTasks', new Unavailable('throttled'));
    stage.world.clock.schedule(120_000, () => stage.world.calls.heals());
    const state = await stage.leaves();
    expect(state.entered.registrar! - state.entered.tasks!).toBeGreaterThanOrEqual(118_000);
    expect(state.troubles).toEqual([]);
  });
});
