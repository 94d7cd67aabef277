import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
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
