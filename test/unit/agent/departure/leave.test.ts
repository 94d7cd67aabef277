import { describe, expect, it } from 'vitest';
import { runDeparture, readDeparture } from '../../../../agent/departure/leave.ts';
import type { Order } from '../../../../agent/watching/watcher.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { paths } from '../../../../core/state/state.ts';
import { someBalancer } from '../../../fakes/cloud/balancers.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { configOf, never, setStage, someOrder } from '../stage.ts';

const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';
const withBalancers = (more: object = {}) =>
  configOf({ leave: { targetGroups: [targetGroup], loadBalancers: ['classic'], ...more } });

const byHand = { cause: 'operator', reason: 'by hand', key: 'leave-1' } as const;
const scaleIn = { cause: 'scale-in', reason: 'scale-in', key: 'target:Terminated', ending: 'await' } as const;

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
    expect(stage.deeds().slice(0, 3)).toEqual(['deregisterTarget', 'deregisterFromLoadBalancer', 'drain']);
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(120_000);
    expect(state.entered.drain! - state.startedAt).toBeLessThan(140_000);
  });

  // A server that did not know of the deregistration yet reported the target as healthy: its
  // connections were cut.
  it('does not treat a target that was deregistered a moment ago as one without connections', async () => {
    const stage = setStage(withBalancers({ loadBalancers: [] }));
    const { clock, balancers } = stage.world;
    const balancer = someBalancer(60_000);
    let [until, knownAt] = [0, 0];
    Object.defineProperty(balancer, 'drainsUntil', {
      get: () => (clock.uptime() < knownAt ? 0 : until),
      set(uptime: number) {
        [until, knownAt] = [uptime, clock.uptime() + 4_000];
      },
    });
    balancers.targetGroups.set(targetGroup, balancer);
    const state = await stage.leaves();
    expect(state.entered.drain! - state.startedAt).toBeGreaterThanOrEqual(60_000);
  });

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
      clock.schedule(25_000, () => {
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
        'completeHook',
      ]);
      expect(running).toBe(false);
      expect(calls.of('drain')[0]!.at - fetchedAt).toBeLessThan(15_000);
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
    clock.schedule(30_000, () => {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
    });
    let running: boolean | undefined;
    calls.onCall = ({ verb }) => {
      if (verb === 'terminateSelf') running = cluster.tasks.some(({ lastStatus }) => lastStatus !== 'STOPPED');
    };
    await stage.leaves({ cause: 'operator' });
    expect(stage.deeds().slice(-4)).toEqual(['terminateSelf', 'powerOff', 'drain', 'terminateSelf']);
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
    expect(stage.host.clock.uptime() - began).toBeLessThan(170_000);
    expect(stage.world.calls.of('readContainerInstance').length).toBeLessThan(16);
  });

  it('ends the same when AWS throttles any of its calls, or is silent, for minutes', async () => {
    const whole = setStage(withBalancers());
    const prepare = (stage: typeof whole) => {
      stage.world.balancers.targetGroups.set(targetGroup, someBalancer(10_000));
      stage.world.balancers.loadBalancers.set('classic', someBalancer(10_000));
      stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
      return stage;
    };
    await prepare(whole).leaves();
    for (const verb of new Set(whole.world.calls.verbs('cloud'))) {
      for (const trouble of ['fails', 'hangs'] as const) {
        const stage = prepare(setStage(withBalancers()));
        if (trouble === 'fails') stage.world.calls.fails(`cloud.${verb}`, new Unavailable('throttled'));
        else stage.world.calls.hangs(`cloud.${verb}`);
        stage.world.clock.schedule(200_000, () => stage.world.calls.heals());
        const state = await stage.leaves();
        expect([verb, trouble, state.phase, stage.own.status]).toEqual([verb, trouble, 'done', 'DRAINING']);
        expect([verb, trouble, stage.group.hooks[1]!.ended]).toEqual([verb, trouble, 'CONTINUE']);
        expect([verb, trouble, stage.deeds().includes('terminateSelf')]).toEqual([verb, trouble, false]);
      }
    }
  });

  // ECS was silent for minutes as the wait for the tasks began: they were cut off so many minutes
  // early.
  it('gives its tasks their time from DRAINING on, also when ECS answers only while it waits for them', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 900, atDeadline: 'leave-tasks' } }));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 850_000 });
    stage.world.calls.fails('drain', new Unavailable('connect ECONNREFUSED'));
    stage.world.clock.schedule(500_000, () => stage.world.calls.heals());
    const state = await stage.leaves();
    expect(state.entered.tasks! - state.startedAt).toBeLessThan(400_000);
    expect(state.drainedAt! - state.startedAt).toBeGreaterThanOrEqual(500_000);
    expect(state.troubles.join()).not.toContain('tasks left');
  });

  it('stops the remaining tasks at the deadline, or leaves them, as configured', async () => {
    for (const atDeadline of ['stop-tasks', 'leave-tasks']) {
      const stage = setStage(configOf({ leave: { drainSeconds: 120, atDeadline } }));
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      const state = await stage.leaves();
      expect(stage.deeds().includes('stopTask')).toBe(atDeadline === 'stop-tasks');
      expect(state.troubles.join()).toContain(atDeadline === 'stop-tasks' ? 'tasks stopped' : 'tasks left');
      expect(state.entered.registrar! - state.entered.tasks!).toBeLessThan(170_000);
      expect(stage.world.instance.state).toBe('shutting-down');
    }
  });

  it('stops tasks early enough that they end before EC2 takes a spot instance', async () => {
    const stage = setStage();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const deadline = stage.host.clock.now() + 100_000;
    const began = stage.host.clock.uptime();
    await stage.leaves({ cause: 'spot', key: 'spot:1', deadline, ending: 'await' });
    const [stopped] = stage.world.calls.of('stopTask');
    expect(stopped!.at - began).toBeGreaterThan(60_000);
    expect(stopped!.at - began).toBeLessThanOrEqual(72_000);
  });

  // A node that a person drained took new tasks for ever after one refusal.
  it('remains, and drains once the role may, where AWS refuses to', async () => {
    const verb = 'drain';
    const stage = setStage();
    stage.world.calls.fails(verb, new Refused('denied', { code: 'AccessDenied' }));
    stage.world.clock.schedule(300_000, () => stage.world.calls.heals());
    await stage.leaves({ cause: 'operator', ending: 'remain' });
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.calls.of(verb).length).toBeLessThan(30);
  });

  // A refusal counted as done: the node waited for an hour until its hook timed out.
  it.each(['completeHook', 'readMembership'])(
    'completes its hook once the role may, where AWS refuses %s',
    async (verb) => {
      const stage = setStage();
      const refuse = () => stage.world.calls.fails(verb, new Refused('denied', { code: 'AccessDenied' }));
      stage.world.calls.onCall = (call) => {
        if (call.verb === 'terminateInGroup') stage.world.clock.schedule(0, refuse);
      };
      stage.group.hookLagMs = 3_000;
      stage.world.clock.schedule(120_000, () => stage.world.calls.heals());
      await stage.leaves();
      expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
      expect(stage.world.calls.of(verb).length).toBeLessThan(60);
    },
  );

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

  it('continues when the registrar, the tag, the metric and the disk fail, and says so', async () => {
    const stage = setStage(configOf({ metrics: { enabled: true } }));
    stage.world.calls.fails('tagSelf', new Refused('AccessDenied'));
    stage.world.calls.fails('publish', new Unavailable('throttled'));
    stage.world.calls.fails('writeText', new Error('ENOSPC: no space left on device'));
    const deregister = () => Promise.reject(new Refused('no'));
    stage.agrees();
    const state = await stage.world.clock.finish(
      runDeparture(stage.host, stage.config, someOrder(), { deregister }, never),
    );
    expect(state.troubles.join()).toContain('registrar: no');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  it('reports cause, duration and phases in metrics', async () => {
    const stage = setStage(configOf({ metrics: { enabled: true } }));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 60_000 });
    await stage.leaves();
    const metrics = stage.world.published.flatMap((call) => call.metrics);
    expect(metrics.find(({ name }) => name === 'Departures')).toMatchObject({ value: 1 });
    expect(metrics.find(({ name }) => name === 'DepartureDuration')).toMatchObject({
      dimensions: { ClusterName: 'demo', Cause: 'disk' },
    });
    const tasks = metrics.find(({ dimensions }) => dimensions['Phase'] === 'tasks')!;
    expect(tasks.value).toBeGreaterThanOrEqual(58);
    expect(tasks.value).toBeLessThan(70);
  });

  it('runs the executables in hooks.d with the facts and a time limit, whatever they do', async () => {
    const stage = setStage();
    const ran: string[] = [];
    for (const [name, program] of [
      ['leaving/10-hangs', () => new Promise<never>(() => {})],
      ['leaving/20-fails', () => Promise.resolve({ code: 1, tail: 'oh' })],
      ['left/10-ok', () => Promise.resolve({ code: 0, tail: '' })],
    ] as const) {
      stage.world.machine.files.set(`${paths.hooks}/${name}`, '#!/bin/sh');
      stage.world.machine.programs.set(`/${name}`, (command) => {
        ran.push(`${name} ${command.environment['ECS_NODE_CAUSE']}`);
        return program();
      });
    }
    stage.world.machine.files.set(`${paths.hooks}/leaving/README.md`, 'not one');
    const state = await stage.leaves();
    expect(ran).toEqual(['leaving/10-hangs disk', 'leaving/20-fails disk', 'left/10-ok disk']);
    expect(state.phase).toBe('done');
  });
});

describe('the termination', () => {
  it("waits without limit for the node's group and identity instead of terminating without them", async () => {
    for (const verb of ['readMembership', 'readIdentity']) {
      const stage = setStage();
      stage.world.calls.fails(verb, new Unavailable('silent'));
      stage.agrees();
      const done = runDeparture(stage.host, stage.config, someOrder(), { deregister: stage.deregister }, never);
      await stage.world.clock.run(2 * 3_600_000);
      expect(stage.departure().phase).toBe('terminate');
      for (const deed of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff']) {
        expect(stage.deeds()).not.toContain(deed);
      }
      stage.world.calls.heals();
      await stage.world.clock.finish(done);
      expect(stage.world.instance.state).toBe('shutting-down');
    }
  });

  // One empty answer of Auto Scaling sent it past its group and its hooks.
  it('waits while Auto Scaling knows no group of it, and its tag names one', async () => {
    const stage = setStage();
    stage.world.instance.tags['aws:autoscaling:groupName'] = 'web';
    stage.world.group = undefined;
    stage.agrees();
    const done = runDeparture(stage.host, stage.config, someOrder(), { deregister: stage.deregister }, never);
    await stage.world.clock.run(2 * 3_600_000);
    expect(stage.deeds()).not.toContain('terminateSelf');
    stage.world.group = stage.group;
    await stage.world.clock.finish(done);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  it('never ends a machine that carries the departure of another machine', async () => {
    const stage = setStage();
    stage.world.metadata.identity = { ...stage.world.identity, instanceId: 'i-0aaaaaaaaaaaaaaaa' };
    await expect(stage.leaves()).rejects.toThrow(/this machine is i-0aaa/);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.world.machine.power).toBe('on');
  });

  // The metadata service named another instance once, and the drained node stayed for ever.
  it('ends its machine although the metadata service names another instance for minutes', async () => {
    const stage = setStage();
    const { metadata, clock, identity } = stage.world;
    metadata.identity = { ...identity, instanceId: 'i-0aaaaaaaaaaaaaaaa' };
    clock.schedule(4 * 60_000, () => void (metadata.identity = identity));
    expect(await stage.leaves()).toMatchObject({ phase: 'done' });
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  // Auto Scaling alone had said so for a moment: the node waited for an end that was never ordered.
  it('terminates itself although Auto Scaling says for minutes that it does so already', async () => {
    const stage = setStage();
    stage.group.lifecycleState = 'Terminating:Wait';
    stage.world.clock.schedule(4 * 60_000, () => void (stage.group.lifecycleState = 'InService'));
    await stage.leaves();
    expect(stage.deeds()).toContain('terminateInGroup');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  it('uses the next method only when the one before is refused or stays unavailable', async () => {
    const refused = new Refused('AccessDenied', { code: 'AccessDenied' });
    const chain = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];
    for (let n = 0; n < chain.length; n++) {
      const stage = setStage();
      stage.group.hooks = [];
      for (const [i, verb] of chain.slice(0, n).entries()) {
        stage.world.calls.fails(verb, i % 2 === 0 ? refused : new Unavailable('throttled'));
      }
      await stage.leaves();
      const taken = [...new Set(stage.deeds().filter((verb) => chain.includes(verb)))];
      expect(taken).toEqual(chain.slice(0, n + 1));
    }
  });

  it('does not rely on a group that suspended the replacement of unhealthy instances', async () => {
    const stage = setStage();
    stage.group.replacesAfterMs = 1e9;
    stage.world.calls.fails('terminateInGroup', new Refused('AccessDenied'));
    await stage.leaves();
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.deeds()).toContain('terminateSelf');
  });

  it('ends a node without a group through EC2, and clears the protection that OpsWorks set', async () => {
    const stage = setStage(configOf({ terminationProtection: 'clear' }));
    stage.world.group = undefined;
    stage.world.instance.terminationProtection = true;
    await stage.leaves();
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.deeds()).not.toContain('terminateInGroup');
  });

  it('reads back that the protection is off before it asks the group, which could not end the node', async () => {
    const stage = setStage(configOf({ terminationProtection: 'clear' }));
    stage.world.instance.terminationProtection = true;
    stage.world.instance.clearsIgnored = 1;
    const protectedThen: boolean[] = [];
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'terminateInGroup') protectedThen.push(stage.world.instance.terminationProtection);
    };
    await stage.leaves();
    expect(protectedThen).toEqual([false]);
    expect(stage.world.calls.of('clearTerminationProtection')).toHaveLength(2);
  });

  it('abandons its launch when the node was never in service', async () => {
    const stage = setStage();
    stage.group.begin('launch');
    await stage.leaves({ cause: 'join-failed', reason: 'not in service' });
    expect(stage.group.hooks.map(({ ended }) => ended)).toEqual(['ABANDON', 'CONTINUE']);
    expect(stage.deeds()).not.toContain('terminateInGroup');
  });

  // The answer came from the second of two calls, which found no action any more: the node asked
  // its group for minutes.
  it('counts as requested when AWS received the call that abandoned the launch twice', async () => {
    const stage = setStage();
    stage.group.begin('launch');
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb !== 'completeHook' || args[2] !== 'ABANDON') return;
      stage.group.hooks[0]!.active = false;
      stage.group.begin('terminate');
    };
    await stage.leaves({ cause: 'join-failed', reason: 'not in service' });
    expect(stage.deeds()).not.toContain('terminateInGroup');
    expect(stage.deeds()).not.toContain('reportUnhealthy');
  });

  // The answer was lost, and from then on the group was busy: with this very instance, whose hook
  // nobody completed for minutes.
  it('asks the busy group once more whether it already terminates this node', async () => {
    const stage = setStage();
    stage.world.calls.losesAnswer('terminateInGroup', new Unavailable('socket hang up'), 1);
    const state = await stage.leaves();
    expect(stage.world.calls.of('terminateInGroup')).toHaveLength(1);
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
    expect(state.troubles).toEqual([]);
  });

  // Its group had begun to terminate it, but an older answer said that it was entering the warm
  // pool: the hook let it in.
  it("does not take an earlier answer of the group for the node's return to its warm pool", async () => {
    const stage = setStage();
    const said = ['Terminating:Wait', 'Warmed:Pending:Wait', 'Terminating:Wait'];
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'readMembership') stage.group.lifecycleState = said.shift() ?? 'Terminating:Wait';
    };
    await stage.leaves({ cause: 'bootstrap-failed', reason: 'no registrar' });
    const completed = stage.world.calls.of('completeHook').map(({ args }) => args[1]);
    expect(completed).toEqual(['terminate']);
  });

  // Taken from its warm pool and terminated, it got an older answer that it waited in the pool. It
  // stopped there, and its hook was never completed.
  it('is not over for a node that was in its warm pool before', async () => {
    const stage = setStage();
    stage.world.calls.onCall = ({ verb }) => {
      if (verb !== 'readMembership' || stage.group.lifecycleState !== 'Terminating:Wait') return;
      stage.group.lifecycleState = 'Warmed:Stopped';
      stage.world.clock.schedule(4_000, () => (stage.group.lifecycleState = 'Terminating:Wait'));
    };
    stage.world.clock.schedule(3 * 60_000, () => (stage.world.calls.onCall = undefined));
    await stage.leaves({ cause: 'operator', reason: 'by hand', key: 'leave-1' });
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  it('ends no node that only drains', async () => {
    const stage = setStage();
    const state = await stage.leaves({ cause: 'operator', reason: 'look', ending: 'remain', key: 'leave-1' });
    expect(state.phase).toBe('done');
    expect(stage.deeds()).toEqual(['drain']);
  });
});

describe('the resumed departure', () => {
  const worldAfter = (stage: ReturnType<typeof setStage>) => ({
    hooks: stage.group.hooks.map(({ name, ended }) => [name, ended]),
    state: stage.world.instance.state,
    own: stage.own.status,
    left: stage.deregistered,
    tasks: stage.world.cluster.tasks.map(({ lastStatus }) => lastStatus),
    phase: stage.departure().phase,
    cause: stage.departure().cause,
  });
  const prepare = (order: object) => {
    const stage = setStage(withBalancers());
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(10_000));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(10_000));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
    if ('ending' in order && order.ending === 'await') stage.group.begin('terminate');
    stage.agrees(order);
    return stage;
  };
  for (const [name, order] of [
    ['a disk departure', { cause: 'disk', ending: 'terminate' }],
    ['a scale-in', scaleIn],
  ] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`ends the same after a crash ${when} any call of ${name}, and repeats no effect`, async () => {
        const whole = prepare(order);
        await whole.leaves(order);
        const expected = worldAfter(whole);
        const calls = whole.world.calls.list.length;
        expect(expected).toMatchObject({ state: 'shutting-down', phase: 'done' });
        for (let n = 1; n <= calls; n++) {
          const stage = prepare(order);
          let terminations = 0;
          const begin = stage.group.begin.bind(stage.group);
          stage.group.begin = (transition) => {
            terminations += 1;
            begin(transition);
          };
          stage.world.calls.crashAt(n, when);
          void runDeparture(stage.host, stage.config, someOrder(order), { deregister: stage.deregister }, never).catch(
            () => {},
          );
          await stage.world.clock.finish(stage.world.calls.crashed());
          const host = n % 2 === 0 ? stage.world.restart() : stage.world.reboot();
          await stage.leaves(order, host);
          expect(worldAfter(stage), `crash ${when} call ${n}`).toEqual(expected);
          expect(terminations, `crash ${when} call ${n}`).toBe(order.ending === 'terminate' ? 1 : 0);
          // A termination under way needs no harsher method.
          for (const harsher of ['reportUnhealthy', 'terminateSelf', 'powerOff']) {
            expect(stage.deeds(), `crash ${when} call ${n}`).not.toContain(harsher);
          }
        }
      }, 60_000);
    }
  }

  it('ignores the departure of another machine', async () => {
    const stage = setStage();
    stage.world.machine.files.set(
      paths.departure,
      JSON.stringify({ ...someOrder(), instanceId: 'i-0bbbbbbbbbbbbbbbb', phase: 'terminate', troubles: [] }),
    );
    expect(await readDeparture(stage.host)).toBeUndefined();
  });

  it('completes the hook on its way out when a stop comes, so that the group does not wait', async () => {
    for (const order of [scaleIn, { ...scaleIn, cause: 'spot' as const }]) {
      const stage = setStage();
      stage.group.hookLagMs = 25_000;
      stage.group.begin('terminate');
      stage.agrees(order);
      if (order.cause === 'spot') [stage.world.cluster.instances, stage.world.localAgent] = [[], undefined];
      const stop = new AbortController();
      const done = runDeparture(
        stage.host,
        stage.config,
        someOrder(order),
        { deregister: stage.deregister },
        stop.signal,
      );
      done.catch(() => {});
      await stage.world.clock.run(18_000);
      expect(stage.departure().phase).toBe('hook');
      stage.group.hookLagMs = 0;
      stage.world.calls.delays('completeHook', 500);
      stop.abort(new Error('SIGTERM'));
      await expect(stage.world.clock.finish(done)).rejects.toThrow('SIGTERM');
      expect(stage.group.hooks[1]!.ended, order.cause).toBe('CONTINUE');
    }
  });
});
