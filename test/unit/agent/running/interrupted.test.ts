import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { configOf } from '../stage.ts';
import { minute, hour, inService, spotAt } from './in-service.ts';

describe('the agent', () => {
  it('merges a spot notice into a scale-in: the stricter deadline counts, and the hook is completed', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
    const interruption = stage.host.clock.now() + 120_000;
    stage.world.metadata.spotNotice = spotAt(interruption);
    await run(118_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'done' });
    expect(stage.departure().deadline).toBeLessThan(interruption);
    expect(stage.deeds().filter((verb) => verb === 'drain')).toHaveLength(1);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  // Killed between the decision and the departure's first write, the next agent took the event as
  // handled and the node stayed ACTIVE.
  it('leaves although it was killed before it wrote down its decision', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(10_000);
    await agent.stop();
    stage.world.machine.files.delete(paths.departure);
    stage.own.status = 'ACTIVE';
    const again = stage.agent();
    await run(10_000);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in' });
    await again.stop();
  });

  // The next agent asked nobody and sent no heartbeat, and the hook timed out under the task.
  it('leaves although it was killed right after DRAINING, and metadata is silent since', async () => {
    const { stage, run } = await inService(configOf({ leave: { drainSeconds: 600 } }));
    const { world, group } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    group.hooks = [someHook('launch', 'launch'), someHook('terminate', 'terminate', { heartbeatSeconds: 1800 })];
    world.calls.onCall = ({ verb }) => {
      if (verb === 'drain') world.calls.crashAt(1, 'after');
    };
    world.metadata.targetState = 'Terminated';
    group.begin('terminate');
    await run(3_000);
    world.calls.onCall = undefined;
    expect(stage.departure()).not.toHaveProperty('confirmedAt');
    stage.agent(world.restart());
    world.calls.fails('readTargetState', new Unavailable('no answer'));
    await run(hour);
    expect(group.hooks[1]!.ended).toBe('CONTINUE');
    expect(stage.deeds()).toContain('stopTask');
  });

  // The timer ended with the boot, and the node stayed DRAINING.
  it('undoes a rebalance that nothing followed after a reboot, although metadata is silent', async () => {
    const { stage, run } = await inService(configOf({ rebalance: { action: 'drain', undoSeconds: 600 } }));
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'rebalance', phase: 'done' });
    const host = stage.world.reboot();
    stage.world.calls.fails('readRebalanceNotice', new Unavailable('no answer'));
    const agent = stage.agent(host);
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // Nothing watched or undid the departure any longer, and the node stayed DRAINING.
  it.each([
    ['spot', 'restart'],
    ['spot', 'reboot'],
    ['rebalance', 'restart'],
    ['rebalance', 'reboot'],
  ] as const)('is ACTIVE again after a false %s and a %s that makes it on-demand', async (cause, how) => {
    const { stage, run } = await inService(configOf({ rebalance: { action: 'drain', undoSeconds: 600 } }));
    const { metadata, instance } = stage.world;
    instance.spotStatus = 'fulfilled';
    if (cause === 'spot') metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000);
    else metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause, drainedAt: expect.any(Number) as unknown });
    const host = stage.world[how]();
    const agent = stage.agent({ ...host, identity: { ...host.identity, purchase: 'on-demand' } });
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('stays when its written decision was taken back afterwards', async () => {
    const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain' } }));
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(10_000);
    const decided = String(stage.world.machine.files.get(paths.agent));
    await run(hour);
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    await agent.stop();
    stage.world.machine.files.set(paths.agent, decided);
    const again = stage.agent();
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await again.stop();
  });

  it('leaves by its written decision when only an earlier one was taken back', async () => {
    const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain' } }));
    const { metadata, machine } = stage.world;
    metadata.rebalanceNotice = '2030-01-01T00:00:00Z';
    await run(hour);
    const undone = String(machine.files.get(paths.departure));
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    metadata.rebalanceNotice = '2030-01-01T02:00:00Z';
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
    machine.files.set(paths.departure, undone);
    stage.own.status = 'ACTIVE';
    const again = stage.agent();
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    await again.stop();
  });

  // One odd answer in the first second of a boot called the scale-in off. The node became ACTIVE,
  // and its terminate hook timed out under the tasks.
  it.each([
    ['nothing', undefined, 1_000],
    ['InService', 'InService', 1_000],
    ['InService for minutes', 'InService', 10 * minute],
  ])('goes on with a confirmed scale-in after a reboot, while the metadata say %s', async (_words, target, ms) => {
    const { stage, run } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    const { calls, clock, cluster, metadata } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await run(2 * minute);
    expect(stage.departure()).toMatchObject({ phase: 'tasks', confirmedAt: expect.any(Number) as unknown });
    const host = stage.world.reboot();
    stage.own.agentConnected = true;
    metadata.targetState = target;
    clock.schedule(ms, () => (metadata.targetState = 'Terminated'));
    calls.list.length = 0;
    const agent = stage.agent(host);
    await clock.finish(agent.done, 3 * hour);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  it('stays when its group has called the confirmed scale-in off during a reboot', async () => {
    const { stage, run } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    await run(2 * minute);
    const host = stage.world.reboot();
    stage.own.agentConnected = true;
    stage.world.metadata.targetState = 'InService';
    stage.group.hooks[1]!.active = false;
    stage.group.lifecycleState = 'InService';
    const agent = stage.agent(host);
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('comes back when a stopped spot instance starts again', async () => {
    const { stage, run } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000, 'stop');
    await run(100_000);
    expect(stage.departure()).toMatchObject({ phase: 'done', returns: true });
    expect(stage.deregistered).toEqual([]);
    const host = stage.world.reboot();
    stage.world.metadata.spotNotice = undefined;
    const agent = stage.agent(host);
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure().undoneAt).toBeTypeOf('number');
    await agent.stop();
  });

  it('waits, and does not leave again, while EC2 still names the stop after which the machine boots', async () => {
    const { stage, run } = await inService();
    const { cluster, instance, metadata } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000, 'stop');
    await run(40_000);
    expect(stage.departure()).toMatchObject({ phase: 'tasks', returns: true });
    const host = stage.world.reboot();
    stage.own.agentConnected = true;
    metadata.spotNotice = undefined;
    instance.spotStatus = 'instance-stopped-by-price';
    const before = stage.departure();
    const agent = stage.agent(host);
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toEqual(before);
    instance.spotStatus = 'fulfilled';
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The event behind its departure was over, but its group had begun to terminate it: the node
  // became ACTIVE while it left, and got tasks.
  it('stays away when its group ends the stopped spot instance', async () => {
    const { stage, run } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000, 'stop');
    await run(100_000);
    const host = stage.world.reboot();
    stage.world.metadata.spotNotice = undefined;
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    // The one departure has begun, but not written it down yet, when the other is seen to be over.
    const { calls } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb === 'readTargetState') calls.delays('readBootId', 1_000, 1);
    };
    calls.delays('readSpotNotice', 500, 1);
    const agent = stage.agent(host);
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'done' });
  });

  // Killed before its status said when the order may be revoked, it woke up DRAINING and stayed so
  // for ever.
  it('comes back from hibernation although it was killed while it left', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 1_000, 'hibernate');
    await run(60_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
    stage.world.machine.files.delete(paths.agent);
    stage.world.metadata.spotNotice = undefined;
    const again = stage.agent();
    const past = String(stage.world.machine.files.get(paths.departure)).replace('"done"', '"hook"');
    stage.world.machine.files.set(paths.departure, past);
    await run(6 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await again.stop();
  });

  it('comes back from hibernation in the same process', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 1_000, 'hibernate');
    await run(60_000);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.spotNotice = undefined;
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});
