import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
import { someBalancer } from '../../../fakes/cloud/balancers.ts';
import { targetGroup } from '../departure/leave/orders.ts';
import { configOf, setStage } from '../stage.ts';
import { minute, hour, inService } from './in-service.ts';

describe('after a reboot', () => {
  // In no group, with a role that may not terminate: the last method is the power-off. A person
  // started the machine again, and it stayed DRAINING for ever.
  it.each(['maintenance', 'ecs-agent', 'join-failed'] as const)(
    'a machine that was powered off for %s, which is over, becomes ACTIVE',
    async (cause) => {
      const { stage, run, agent } = await inService();
      const { world } = stage;
      [world.group, world.metadata.targetState] = [undefined, undefined];
      world.calls.fails('terminateSelf', new Refused('no', { code: 'UnauthorizedOperation' }));
      if (cause === 'maintenance') {
        const event = { id: 'event-1', code: 'instance-retirement', state: 'active', description: '' } as const;
        [world.metadata.maintenance, world.instance.events] = [[event], [event]];
      } else [stage.own.agentConnected, world.localAgent] = [false, undefined];
      await run(hour);
      expect(world.machine.power).toBe('off');
      expect(stage.own.status).toBe('DRAINING');
      await agent.stop();
      world.machine.files.set(paths.departure, renderState({ ...stage.departure(), cause }));
      world.calls.heals();
      [world.metadata.maintenance, world.instance.events] = [[], []];
      world.machine.power = 'on';
      const next = stage.agent(world.reboot());
      stage.own.agentConnected = true;
      world.localAgent = { cluster: 'demo', containerInstanceArn: stage.own.arn, version: '1' };
      await run(30 * minute);
      await next.stop();
      expect(stage.own.status).toBe('ACTIVE');
    },
  );

  // The ECS agent had only just started, and ECS did not list it yet. In life 440001454, that was
  // the second source, and the node left its target group.
  it.each([
    ['joins', 10_000],
    ['is given up once more', Infinity],
  ])('a node that could not join has its whole time again, and %s', async (outcome, connectsAfterMs) => {
    const stage = setStage(configOf({ leave: { targetGroups: [targetGroup] } }));
    const { clock, balancers, calls, localAgent } = stage.world;
    balancers.targetGroups.set(targetGroup, someBalancer(1_000));
    [stage.own.agentConnected, stage.world.localAgent] = [false, undefined];
    calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.departure) calls.crashAt(1, 'after');
    };
    stage.agent();
    await clock.run(16 * minute);
    calls.onCall = undefined;
    expect(stage.departure()).toMatchObject({ cause: 'join-failed' });
    const next = stage.agent(stage.world.reboot());
    clock.schedule(connectsAfterMs, () => {
      stage.own.agentConnected = true;
      stage.world.localAgent = localAgent;
    });
    await clock.run(14 * minute);
    expect(balancers.targetGroups.get(targetGroup)!.registered).toBe(true);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.status().join.state).toBe(outcome === 'joins' ? 'joined' : 'joining');
    if (outcome === 'joins') return next.stop();
    expect(await clock.finish(next.done, 30 * minute)).toMatchObject({ cause: 'join-failed', phase: 'done' });
  });

  // EMFILE or EIO for one read of departure.json hid the departure, and the node stayed DRAINING.
  // The first read is that of the start, the second the one before the node becomes ACTIVE.
  it.each([
    ['a departure that one read did not show is undone when its event is over', 1],
    ['a departure that the read before its undoing did not show is undone all the same', 2],
  ])('%s', async (_, failing) => {
    const { stage, run, agent } = await inService();
    const { metadata, calls } = stage.world;
    metadata.targetState = 'Terminated';
    await run(minute / 2);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
    metadata.targetState = 'InService';
    let reads = 0;
    calls.onCall = ({ verb, args }) => {
      if (verb === 'readText' && args[0] === paths.departure && ++reads === failing)
        throw new Unavailable('EMFILE: too many open files');
    };
    const next = stage.agent(stage.world.reboot());
    await run(10 * minute);
    await next.stop();
    expect(reads).toBeGreaterThan(1);
    expect(stage.own.status).toBe('ACTIVE');
  });
});
