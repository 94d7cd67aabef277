import { paths } from '../../../../core/state/state.ts';
import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { configOf, lazily } from '../stage.ts';
import { minute, hour, inService, spotAt } from './in-service.ts';

describe('the agent, told of an event by EC2,', () => {
  const event = (more: object = {}) => ({
    id: 'instance-event-1',
    code: 'system-reboot',
    state: 'active' as const,
    description: 'scheduled',
    ...more,
  });

  it('only logs a rebalance, or drains for a time when configured and nothing follows', async () => {
    const log = await inService(lazily());
    log.stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await log.run(10 * minute);
    expect(log.stage.deeds()).toEqual([]);
    await log.agent.stop();

    const { stage, run, agent } = await inService(
      lazily({ rebalance: { action: 'drain', undoSeconds: 600, pollSeconds: 30 } }),
    );
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(9 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await run(3 * hour);
    expect(stage.deeds()).toEqual(['drain', 'queueToLeave', 'activate', 'unqueue']);
    await agent.stop();
    const again = stage.agent(stage.world.reboot());
    await run(hour);
    expect(stage.deeds()).toEqual(['drain', 'queueToLeave', 'activate', 'unqueue']);
    await again.stop();
  });

  // One wrong answer kept the node DRAINING for half an hour. A true recommendation stays listed.
  it.each([
    ['for one look', 'ACTIVE'],
    ['for one look, and is silent then (control)', 'DRAINING'],
    ['all the time (control)', 'DRAINING'],
  ])('obeys a rebalance that the metadata service names %s: it is %s after ten minutes', async (how, status) => {
    const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain' } }));
    const { metadata, calls } = stage.world;
    metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    while (!stage.deeds().includes('drain')) await run(500);
    if (how === 'for one look') metadata.rebalanceNotice = undefined;
    if (how.includes('silent')) calls.fails('readRebalanceNotice', new Unavailable('timeout'));
    await run(10 * minute);
    expect(stage.own.status).toBe(status);
    await agent.stop();
  });

  it('keeps the departure for a rebalance when a spot interruption followed', async () => {
    const { stage, run, agent } = await inService(
      lazily({ rebalance: { action: 'drain', undoSeconds: 600, pollSeconds: 30 } }),
    );
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(9 * minute);
    stage.world.metadata.spotNotice = spotAt(stage.host.clock.now() + 120_000);
    await run(119_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });

  // The agent restarted while it left for the interruption. When that was withdrawn, the departure
  // for the rebalance took over, and no timer ended it: the node stayed DRAINING for ever.
  it('comes back from a rebalance that a withdrawn interruption outranked at a restart', async () => {
    const { stage, run, agent } = await inService(
      configOf({ rebalance: { action: 'drain', undoSeconds: 600, pollSeconds: 5 } }),
    );
    const { metadata, clock } = stage.world;
    metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    metadata.spotNotice = spotAt(clock.now() + 120_000);
    await run(9_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    expect(stage.status().memories['rebalance']?.wish).toBeDefined();
    await agent.stop();
    metadata.spotNotice = undefined;
    const again = stage.agent();
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'rebalance', ending: 'remain' });
    expect(stage.own.status).toBe('DRAINING');
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await again.stop();
  });

  // The wall clock ran ahead until NTP set it. The node stayed DRAINING as long as it was wrong.
  it.each([
    ['when the clock is set', false],
    ['and once more later', true],
  ])('comes back from a rebalance although the wall clock ran ahead: the agent restarts %s', async (_, twice) => {
    const { stage, run, agent } = await inService(
      configOf({ rebalance: { action: 'drain', undoSeconds: 3600, pollSeconds: 30 } }),
    );
    const { clock, metadata } = stage.world;
    clock.jump(30 * 24 * hour);
    metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    clock.jump(-30 * 24 * hour);
    await agent.stop();
    let last = stage.agent(stage.world.restart());
    await run(50 * minute);
    if (twice) {
      await last.stop();
      last = stage.agent(stage.world.restart());
    }
    expect(stage.own.status).toBe('DRAINING');
    await run(7 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await last.stop();
  });

  it('gives a reboot its lead time, and a retirement none', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.metadata.maintenance = [event({ notBefore: stage.host.clock.now() + 5 * hour })];
    await run(2 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    await run(hour + 5 * minute);
    expect(stage.deeds()[0]).toBe('drain');
    await stage.world.clock.finish(agent.done, 2 * hour);

    const other = await inService(lazily());
    other.stage.world.metadata.maintenance = [
      event({ code: 'instance-retirement', notBefore: other.stage.host.clock.now() + 300 * hour }),
    ];
    await other.run(2 * minute);
    expect(other.stage.own.status).toBe('DRAINING');
    await other.agent.stop();
  });

  it('brings the node back when EC2 cancels the event', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.world.metadata.maintenance = [event({ code: 'instance-stop' })];
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.maintenance = [event({ code: 'instance-stop', state: 'canceled' })];
    await run(2 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // One empty answer of the metadata service set the node ACTIVE on hardware that fails, without
  // its load balancers.
  it.each([
    ['once lists no event', 'stays DRAINING'],
    ['lists no event to an agent that has just started', 'stays DRAINING'],
    ['lists no event while EC2 does not answer', 'stays DRAINING'],
    ['lists no event, and EC2 none either', 'is ACTIVE again'],
    ['lists no event, and the role may not ask EC2 any more', 'is ACTIVE again'],
    ['lists an event that a new configuration only logs', 'is ACTIVE again'],
  ])('that leaves for a retirement when the metadata service %s: it %s', async (what, then) => {
    const { stage, run, agent } = await inService();
    const { cluster, metadata, instance, calls } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const listed = [event({ code: 'instance-retirement' })];
    metadata.maintenance = listed;
    instance.events = [{ id: 'instance-event-1', code: 'instance-retirement' }];
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    let next = agent;
    if (what.includes('started') || what.includes('configuration')) await agent.stop();
    if (!what.includes('configuration')) metadata.maintenance = [];
    else next = stage.agentWith(configOf({ maintenance: { action: 'log' } }), stage.world.restart());
    if (what.includes('started')) next = stage.agent(stage.world.restart());
    if (what.includes('none either')) instance.events = [];
    if (what.includes('not answer')) calls.fails('readScheduledEvents', new Unavailable('timeout'));
    if (what.includes('may not')) calls.fails('readScheduledEvents', new Refused('no', { code: 'AccessDenied' }));
    const asked = calls.of('readMaintenance').length;
    while (calls.of('readMaintenance').length === asked) await run(100);
    if (what.includes('once') || what.includes('started')) metadata.maintenance = listed;
    await run(2 * minute);
    expect(stage.deeds().includes('activate') ? 'is ACTIVE again' : 'stays DRAINING').toBe(then);
    await next.stop();
  });

  // The retirement counted as handled when the reboot replaced it. After the reboot was cancelled,
  // EC2 denied that one, and the node became ACTIVE on hardware that fails.
  it('goes on leaving for an event when a sooner one is cancelled', async () => {
    const { stage, run, agent } = await inService();
    const { cluster, metadata, clock } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 15 * minute });
    const retirement = event({ id: 'late', code: 'instance-retirement', notBefore: clock.now() + 24 * hour });
    metadata.maintenance = [retirement];
    await run(3 * minute);
    metadata.maintenance = [retirement, event({ id: 'soon', notBefore: clock.now() + 2 * hour })];
    await run(3 * minute);
    expect(stage.departure().key).toBe('maintenance:soon');
    metadata.maintenance = [retirement];
    await clock.finish(agent.done, hour);
    expect(stage.departure().key).toBe('maintenance:late');
    expect(stage.deeds()).toContain('terminateInGroup');
    expect(stage.deeds()).not.toContain('activate');
  });

  // The metadata service omitted the notice for a minute. Listed again, it counted as handled, and
  // EC2 took the machine from under its tasks.
  it('obeys an event again when EC2 lists it again, also after a kill and by a new agent', async () => {
    for (const how of ['same', 'stopped', 'killed'] as const) {
      const { stage, run, agent } = await inService();
      const { cluster, metadata, calls } = stage.world;
      cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      const listed = [event({ code: 'instance-stop' })];
      metadata.maintenance = listed;
      await run(5 * minute);
      calls.onCall = ({ verb, args }) => {
        if (how !== 'killed' || verb !== 'writeText') return;
        // The agent's memory does not reach the disk before the kill.
        if (args[0] === paths.agent) throw new Error('ENOSPC');
        if (String(args[1]).includes('"undoneAt"')) calls.crashAt(1, 'after');
      };
      metadata.maintenance = [];
      await run(2 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      calls.onCall = undefined;
      if (how === 'stopped') await agent.stop();
      const next = how === 'same' ? agent : stage.agent(how === 'killed' ? stage.world.restart() : stage.host);
      metadata.maintenance = listed;
      await run(5 * minute);
      expect(stage.own.status).toBe('DRAINING');
      await next.stop();
    }
  });

  // Seed 129456660: an agent that had restarted took the denial for the word of a person, and the
  // node stayed on hardware that fails.
  it('obeys an event that EC2 denied for a while, also by a new agent', async () => {
    const { stage, run, agent } = await inService();
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 5 * minute });
    world.metadata.maintenance = [event({ code: 'instance-retirement' })];
    await run(2 * minute);
    world.instance.events = [];
    await run(30 * minute);
    expect(stage.departure().undoneAt).toBeDefined();
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
    world.instance.events = undefined;
    const next = stage.agent();
    await world.clock.finish(next.done, hour);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  // The metadata service alone made the node ACTIVE while EC2 took it, and the tasks lost the time.
  it.each(['terminate', 'stop', 'hibernate'] as const)(
    'stops the tasks in time for a confirmed notice (%s) that the metadata leave out for eight seconds',
    async (action) => {
      const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 900 } }));
      const { world, own } = stage;
      const more = { stopsAfterMs: Infinity, stopTimeoutMs: 30_000 };
      const task = world.cluster.addTask(own.arn, { group: 'family:batch', ...more });
      world.instance.spotStatus = action === 'terminate' ? 'marked-for-termination' : 'marked-for-stop';
      const notice = spotAt(stage.host.clock.now() + 2 * minute, action);
      world.metadata.spotNotice = notice;
      await run(40_000);
      expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'tasks' });
      for (let ms = 40_000; ms < 120_000; ms += 500) {
        const leftMs = stage.departure().uptimes!.deadline - stage.host.clock.uptime();
        world.metadata.spotNotice = leftMs < 37_000 && leftMs > 29_000 ? undefined : notice;
        await run(500);
      }
      expect(stage.deeds()).not.toContain('activate');
      expect(task.lastStatus).toBe('STOPPED');
      await agent.stop();
    },
  );
});
