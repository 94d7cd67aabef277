import { describe, expect, it } from 'vitest';
import { placeRequest } from '../../../../commands/leave.ts';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { configOf } from '../stage.ts';
import { minute, hour, inService, ask } from './in-service.ts';

describe('an operator', () => {
  // The restart counted as a drain. After `stay`, no part of the agent set the node ACTIVE again.
  it('brings a node back although its ECS agent was restarted meanwhile', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    ask(stage, 'leave');
    await run(minute);
    stage.own.agentConnected = false;
    stage.world.localAgent = undefined;
    await run(7 * minute);
    expect(stage.world.machine.restarted).toContain('ecs.service');
    stage.own.agentConnected = true;
    stage.world.localAgent = { cluster: 'demo', containerInstanceArn: stage.own.arn, version: '1' };
    await run(10_000);
    ask(stage, 'stay');
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('leaves no node DRAINING after "stay", or after a maintenance that EC2 withdrew, when the ECS agent restarted', async () => {
    const { stage, run, agent } = await inService(configOf({ ecsAgent: { action: 'restart' } }));
    const { metadata, cluster, machine } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const notBefore = stage.host.clock.now() + hour;
    metadata.maintenance = [
      { id: 'event-1', code: 'instance-retirement', state: 'active', notBefore, description: '' },
    ];
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    await run(8 * minute);
    expect(machine.restarted).toContain('ecs.service');
    expect(stage.own.status).toBe('DRAINING');
    metadata.maintenance = [];
    await run(3 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  const retirement = (id: string, at: number) => ({
    id,
    code: 'instance-retirement',
    state: 'active' as const,
    notBefore: at,
    description: '',
  });

  // ECS did not answer, so the request was repeated. It called off a retirement that EC2 announced
  // in between, and the node kept its tasks until EC2 took it.
  it('does not overrule an event that came after the request, which still waits for ECS', async () => {
    const { stage, run, agent } = await inService();
    const { metadata, cluster, calls, clock } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    ask(stage, 'leave', false);
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    calls.fails('activate', new Unavailable('ECS does not answer'));
    ask(stage, 'stay');
    await run(2 * minute);
    metadata.maintenance = [retirement('event-1', clock.now() + 24 * hour)];
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'maintenance', key: 'maintenance:event-1' });
    expect(stage.world.machine.files.has(paths.request)).toBe(false);
    await agent.stop();
  });

  // The overruled event was the first in the list, and the watcher reported no other.
  it('overrules the events of that time, and none that is listed behind them later', async () => {
    const { stage, run, agent } = await inService();
    const { metadata, cluster, clock } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const [first, second, third] = [24, 12, 48].map((hours, index) =>
      retirement(`event-${index}`, clock.now() + hours * hour),
    ) as [ReturnType<typeof retirement>, ReturnType<typeof retirement>, ReturnType<typeof retirement>];
    for (const listed of [[first], [first, second]]) {
      metadata.maintenance = listed;
      await run(3 * minute);
    }
    expect(stage.departure().key).toBe('maintenance:event-1');
    ask(stage, 'stay');
    await run(minute);
    metadata.maintenance = [first];
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    metadata.maintenance = [first, third];
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    metadata.maintenance = [first];
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // It had no place on the disk that was the reason to leave, and the node ended.
  it('keeps a node whose full disk takes no file', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    const { cluster, calls, clock } = stage.world;
    cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(100);
    calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && String(args[0]).startsWith('/var/')) throw new Unavailable('ENOSPC');
    };
    await run(10 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await placeRequest(stage.host.machine, clock, { action: 'stay', terminate: false }, 'its data');
    await run(3 * hour);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.deeds()).not.toContain('terminateInGroup');
    expect(stage.world.machine.files.has(paths.requestInMemory)).toBe(false);
    await agent.stop();
  });

  // Only the event behind the departure was kept, and after the reboot the node obeyed the other.
  it('overrules all events of that time over reboots', async () => {
    const { stage, run, agent } = await inService();
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const at = world.clock.now() + 240 * hour;
    world.metadata.maintenance = [retirement('event-1', at)];
    await run(3 * minute);
    world.metadata.maintenance = [retirement('event-1', at), retirement('event-2', at - hour)];
    await run(3 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'maintenance', key: 'maintenance:event-2' });
    ask(stage, 'stay');
    await run(5 * minute);
    world.calls.list.length = 0;
    let last = agent;
    for (let reboots = 0; reboots < 2; reboots++) {
      await last.stop();
      last = stage.agent(world.reboot());
      await run(hour);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.deeds()).toEqual([]);
    }
    world.metadata.maintenance = [retirement('event-1', at), retirement('event-3', at)];
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'maintenance', key: 'maintenance:event-3' });
    await last.stop();
  });

  it('cannot keep a node that Auto Scaling takes', async () => {
    const { stage, run, agent } = await inService();
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 2 * minute });
    stage.group.begin('terminate');
    stage.world.metadata.targetState = 'Terminated';
    await run(30_000);
    ask(stage, 'stay');
    await stage.world.clock.finish(agent.done, hour);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  // It had left its registrar, but its disk was well again: it became ACTIVE, and got tasks that
  // ended with it.
  it('comes too late for a node that left its registrar, which then gets no tasks', async () => {
    const { stage, run } = await inService();
    const { calls, instance } = stage.world;
    calls.delays('close', 30_000, 1);
    calls.onCall = ({ verb }) => {
      if (verb === 'close') ask(stage, 'stay');
    };
    stage.fillDisk(95);
    await run(15 * minute);
    expect(instance.state).toBe('shutting-down');
    expect(stage.world.machine.files.has(paths.request)).toBe(false);
    expect(stage.deeds()).not.toContain('activate');
  });

  // The departure was called off while it read the registration. It noted the deed after that, and
  // counted as too late: the node stayed DRAINING, and no departure ran any longer.
  it('comes in time for a node that has not left its registrar yet', async () => {
    const { stage, run, agent } = await inService();
    const { calls } = stage.world;
    calls.onCall = ({ verb, args }) => {
      if (verb !== 'readText' || args[0] !== paths.bootstrap || stage.departure()?.phase !== 'registrar') return;
      calls.delays('readText', 10_000, 1);
      calls.onCall = undefined;
      ask(stage, 'stay');
    };
    ask(stage, 'leave');
    await run(5 * minute);
    expect(stage.deregistered).toEqual([]);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure().undoneAt).toBeDefined();
    await agent.stop();
  });

  // The drain call was still under way when the node became ACTIVE: it stayed DRAINING for ever.
  it('keeps a node while its disk is being treated', async () => {
    const { stage, run, agent } = await inService(configOf({ disk: { leave: false } }));
    stage.world.calls.delays('drain', 10_000, 1);
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'drain') ask(stage, 'stay');
    };
    stage.fillDisk(95);
    await run(hour);
    expect(stage.deeds()).toContain('drain');
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });

  it('keeps a node while it waits in the leave queue', async () => {
    const { stage, run, agent } = await inService();
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'queueToLeave') ask(stage, 'stay');
    };
    await run(hour);
    expect(stage.deeds()).toContain('queueToLeave');
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.world.instance.state).toBe('running');
    await agent.stop();
  });

  // The disk kept the node DRAINING until a person called it off. A reboot event that came and was
  // withdrawn later kept it DRAINING for ever.
  it('keeps a node in service in spite of its disk, also after a withdrawn maintenance', async () => {
    const { stage, run, agent } = await inService(configOf({ disk: { leave: false } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(10_000);
    expect(stage.own.status).toBe('ACTIVE');
    stage.world.metadata.maintenance = [
      {
        id: 'event-1',
        code: 'instance-retirement',
        state: 'active',
        notBefore: stage.host.clock.now() + hour,
        description: '',
      },
    ];
    await run(3 * minute);
    expect(stage.own.status).toBe('DRAINING');
    stage.world.metadata.maintenance = [];
    await run(3 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // After the stop it came back DRAINING and in no registrar, and was neither terminated nor
  // brought back.
  it.each([true, false])(
    'is obeyed after a spot stop that took over the departure, as long as the request stands: %s',
    async (stands) => {
      const { stage, run } = await inService();
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      ask(stage, 'leave');
      await run(10_000);
      stage.world.metadata.spotNotice = { action: 'stop', at: stage.host.clock.now() + 120_000 };
      await run(110_000);
      expect(stage.departure()).toMatchObject({ cause: 'spot', ending: 'await' });
      expect(stage.departure().returns).toBeUndefined();
      stage.world.metadata.spotNotice = undefined;
      if (!stands) stage.world.machine.files.delete(paths.request);
      const agent = stage.agent(stage.world.reboot());
      await run(15 * minute);
      expect(stage.deeds().includes('terminateInGroup')).toBe(stands);
      expect(stage.deeds().includes('activate')).toBe(!stands);
      await agent.stop();
    },
  );

  it('is obeyed after a reboot, and a departure called off before is not begun again', async () => {
    const { stage, run } = await inService();
    ask(stage, 'leave', false);
    await run(minute);
    const host = stage.world.reboot();
    const agent = stage.agent(host);
    await run(2 * minute);
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The next departure overwrote the only memory of it, and the node drained and ended itself.
  it.each(['nothing', 'another stay', 'a false target state'])(
    'holds against a retirement over reboots, with %s in between',
    async (between) => {
      const { stage, run, agent } = await inService();
      const { metadata, instance, clock } = stage.world;
      const notBefore = clock.now() + 240 * hour;
      const event = {
        id: 'event-1',
        code: 'instance-retirement',
        state: 'active',
        notBefore,
        description: '',
      } as const;
      [metadata.maintenance, instance.events] = [[event], [event]];
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      await run(3 * minute);
      expect(stage.departure().cause).toBe('maintenance');
      ask(stage, 'stay');
      await run(minute);
      if (between === 'another stay') {
        ask(stage, 'leave', false);
        await run(minute);
        ask(stage, 'stay');
      } else if (between !== 'nothing') metadata.targetState = 'Terminated';
      await run(minute);
      metadata.targetState = 'InService';
      await run(minute);
      await agent.stop();
      stage.world.calls.list.length = 0;
      let next = stage.agent(stage.world.reboot());
      await run(10 * minute);
      await next.stop();
      next = stage.agent(stage.world.reboot());
      await run(10 * minute);
      expect(stage.deeds()).toEqual([]);
      expect(stage.own.status).toBe('ACTIVE');
      await next.stop();
    },
  );

  // The order stopped the undoing, and the repeated `stay` called that newer order off.
  it('calls no order off that comes while a person brings the node back', async () => {
    const { stage, run, agent } = await inService(configOf({ maintenance: { pollSeconds: 10 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(95);
    await run(3 * minute);
    stage.world.calls.delays('readLeaveQueue', 25_000, 1);
    stage.world.calls.onCall = ({ verb }) => {
      if (verb !== 'readLeaveQueue') return;
      const [id, code, state, description] = ['event-1', 'instance-retirement', 'active', 'scheduled'] as const;
      stage.world.metadata.maintenance = [{ id, code, state, description }];
    };
    ask(stage, 'stay');
    await run(2 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'maintenance', phase: 'tasks' });
    expect(stage.departure().undoneAt).toBeUndefined();
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });
});
