import { describe, expect, it, vi } from 'vitest';
import { operator } from '../../../../agent/watchers/operator.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { slowingAfter } from '../../../../core/poll.ts';
import { paths } from '../../../../core/state/state.ts';
import { configOf, lazily, setStage } from '../stage.ts';
import { minute, hour, inService, ask } from './in-service.ts';

describe('an operator', () => {
  it('makes the node leave, or only drain, and stay again', async () => {
    const { stage, run, agent } = await inService();
    ask(stage, 'leave', false);
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain', phase: 'done' });
    // For a sweep that drained it before: the node must not become ACTIVE.
    expect([...stage.own.attributes.keys()]).toEqual(['ecs-node.leave.operator']);
    ask(stage, 'stay');
    await run(10_000);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    expect(stage.world.machine.files.has(paths.request)).toBe(false);
    ask(stage, 'leave');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  // A sweep that had drained the node before made it ACTIVE, and ECS placed tasks on it.
  it.each(['operator', 'maintenance'] as const)(
    'marks the draining of a node that leaves for good: %s',
    async (cause) => {
      const { stage, run, agent } = await inService();
      const { cluster, instance, metadata } = stage.world;
      cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      if (cause === 'operator') ask(stage, 'leave');
      else {
        const event = { id: 'event-1', code: 'instance-retirement', state: 'active', description: '' } as const;
        [metadata.maintenance, instance.events] = [[event], [event]];
      }
      await run(3 * minute);
      expect(stage.departure()).toMatchObject({ cause, ending: 'terminate', phase: 'tasks' });
      expect([...stage.own.attributes.keys()]).toEqual([`ecs-node.leave.${cause}`]);
      ask(stage, 'stay');
      await run(minute);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.own.attributes.size).toBe(0);
      await agent.stop();
    },
  );

  it('ends a machine that comes back from a power-off, once AWS allows it', async () => {
    const { stage, run, agent } = await inService();
    const { world } = stage;
    const denied = new Refused('no', { code: 'UnauthorizedOperation' });
    for (const verb of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf']) world.calls.fails(verb, denied);
    ask(stage, 'leave');
    await run(hour);
    expect(world.machine.power).toBe('off');
    await agent.stop();
    expect(world.machine.files.has(paths.request)).toBe(true);
    world.calls.heals();
    await world.clock.finish(stage.agent(world.reboot()).done, hour);
    expect(world.instance.state).toBe('shutting-down');
  });

  it('keeps a node drained that boots again', async () => {
    const { stage, run, agent } = await inService();
    ask(stage, 'leave', false);
    await run(5 * minute);
    await agent.stop();
    const next = stage.agent(stage.world.reboot());
    await run(10 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.machine.files.has(paths.request)).toBe(true);
    await next.stop();
  });

  // No heartbeat kept the launch hook alive while the node was drained, and the group terminated a
  // node that should remain.
  it('drains a launching node without costing it its launch hook', async () => {
    const stage = setStage();
    stage.group.hooks[0]!.heartbeatSeconds = 120;
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(10 * minute);
    expect(stage.group.lifecycleState).toBe('Pending:Wait');
    stage.own.agentConnected = true;
    await stage.world.clock.run(minute);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  it.each([0, 1])('drains a node of %d tasks that cannot join, and keeps it for the investigation', async (tasks) => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 120 }, leave: { drainSeconds: 7200 } }));
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    if (tasks > 0) stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(2 * hour);
    expect(stage.status().join.state).not.toBe('joined');
    expect(stage.group.lifecycleState).toBe('Pending:Wait');
    expect(stage.world.instance.state).toBe('running');
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });

  // The departure was over before ECS knew the node, which was ACTIVE and got tasks some seconds
  // later.
  it('drains a node before ECS knows it, or while ECS is silent', async () => {
    const stage = setStage();
    const { cluster } = stage.world;
    const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
    [cluster.instances, stage.world.localAgent] = [[], undefined];
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(2 * minute);
    [cluster.instances, stage.world.localAgent] = [instances, localAgent];
    stage.world.calls.fails('drain', new Unavailable('throttled'));
    await stage.world.clock.run(hour);
    stage.world.calls.heals();
    // drain.ts polls every 15 s, and may just have begun the longest pause of such a poll.
    const { clock } = stage.world;
    const latest = clock.uptime() + slowingAfter(hour, 15_000) * 15_000;
    while (stage.own.status !== 'DRAINING' && clock.uptime() < latest) await clock.run(1_000);
    expect(stage.own.status).toBe('DRAINING');
    await clock.run(minute);
    expect(stage.departure()).toMatchObject({ ending: 'remain', phase: 'done' });
    await agent.stop();
  });

  it('ends a node that was drained while it launched, which also ends its joining', async () => {
    const stage = setStage(configOf({ join: { timeoutSeconds: 3600 } }));
    stage.group.begin('launch');
    stage.own.agentConnected = false;
    const agent = stage.agent();
    await stage.world.clock.run(30_000);
    ask(stage, 'leave', false);
    await stage.world.clock.run(minute);
    ask(stage, 'leave');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.group.hooks[0]!.ended).toBe('ABANDON');
  });

  it('keeps a node that leaves for a full disk, until the disk was well again', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    ask(stage, 'stay');
    await run(3 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  // Seed 810014350: it became ACTIVE in between, and ECS could place tasks on it.
  // On a busy machine, the departure saw the request before the watcher did.
  it.each([
    ['at once', 0],
    ['late', 4 * minute],
  ])('keeps a node DRAINING whose departure for maintenance it takes back: seen %s', async (_, lateMs) => {
    const stage = setStage(configOf({ maintenance: { pollSeconds: 10 } }));
    const { world } = stage;
    const agent = stage.agent();
    await world.clock.run(minute);
    const event = { id: 'instance-event-1', code: 'instance-retirement', state: 'active' as const, description: '' };
    world.instance.events = [{ id: event.id, code: event.code }];
    world.metadata.maintenance = [{ ...event, notBefore: stage.host.clock.now() + 3_600_000 }];
    const check = vi.spyOn(operator, 'check');
    // As soon as the node has left its registrar: before that, the departure is just replaced.
    world.calls.onCall = ({ verb }) => {
      if (verb !== 'close' || world.machine.files.has(paths.request)) return;
      if (lateMs > 0) check.mockResolvedValue({ kind: 'well' });
      ask(stage, 'leave', false);
    };
    await world.clock.run(minute + lateMs);
    check.mockRestore();
    await world.clock.run(10 * minute);
    expect(stage.departure().cause).toBe('operator');
    expect(stage.deregistered).not.toEqual([]);
    expect(stage.own.status).toBe('DRAINING');
    expect(world.calls.of('activate')).toEqual([]);
    expect(world.instance.state).toBe('running');
    await agent.stop();
  });

  it('keeps a node DRAINING although its disk, which drained it too, is freed', async () => {
    const { stage, run, agent } = await inService(lazily());
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(9 * minute);
    ask(stage, 'leave', false);
    await run(minute);
    expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'tasks' });
    stage.fillDisk(40);
    await run(hour);
    expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.world.instance.state).toBe('running');
    ask(stage, 'stay');
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  // Its disk was freed while a rebalance kept it drained. When nearly full again, the node was
  // terminated as if it had never been freed.
  it.each(['a person', 'a rebalance'])(
    'keeps a node drained for %s while its disk is freed, and again when the disk is nearly full',
    async (who) => {
      const { stage, run, agent } = await inService(
        lazily({ rebalance: { action: 'drain', undoSeconds: 7200, pollSeconds: 30 } }),
      );
      stage.fillDisk(94);
      await run(4 * minute);
      expect(stage.deeds()).toContain('queueToLeave');
      if (who === 'a person') ask(stage, 'leave', false);
      else stage.world.metadata.rebalanceNotice = '2030-01-01T00:04:00Z';
      await run(minute);
      stage.fillDisk(54);
      await run(10 * minute);
      stage.fillDisk(82);
      await run(hour);
      expect(stage.departure()).toMatchObject({
        cause: who === 'a person' ? 'operator' : 'rebalance',
        ending: 'remain',
      });
      expect(stage.world.instance.state).toBe('running');
      expect(stage.own.status).toBe('DRAINING');
      if (who === 'a person') ask(stage, 'stay');
      else await run(hour);
      await run(5 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.own.attributes.size).toBe(0);
      await agent.stop();
    },
  );
});
