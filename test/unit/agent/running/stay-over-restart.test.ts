import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { configOf } from '../stage.ts';
import { minute, hour, inService, ask } from './in-service.ts';

const withTask = async (drainSeconds: number) => {
  const on = await inService(configOf({ leave: { drainSeconds } }));
  on.stage.world.cluster.addTask(on.stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  return on;
};

async function leavingForItsDisk() {
  const on = await withTask(900);
  on.stage.fillDisk(97);
  await on.run(7 * minute);
  expect(on.stage.departure()).toMatchObject({ cause: 'disk', ending: 'terminate' });
  return on;
}

async function leavingForMaintenance() {
  const on = await withTask(300);
  const { metadata, instance, clock } = on.stage.world;
  const notBefore = clock.now() + 240 * hour;
  const event = { id: 'event-1', code: 'instance-retirement', state: 'active', notBefore, description: '' } as const;
  [metadata.maintenance, instance.events] = [[event], [event]];
  await on.run(2 * minute);
  expect(on.stage.departure()).toMatchObject({ cause: 'maintenance', ending: 'terminate' });
  return on;
}

// The next agent went on with the departure on disk. It stopped the tasks and ended the node, which
// was ACTIVE.
describe('`ecs-node stay` holds over a restart of the agent', () => {
  it('while it waits for ECS', async () => {
    const { stage, run, agent } = await leavingForItsDisk();
    stage.world.calls.fails('activate', new Unavailable('ECS does not answer'));
    ask(stage, 'stay');
    await run(10_000);
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await run(minute / 2);
    stage.world.calls.heals('activate');
    await run(30 * minute);
    await next.stop();
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.own.status).toBe('ACTIVE');
  });

  it('when the agent is killed after ACTIVE, and before it has noted that', async () => {
    const { stage, run } = await leavingForMaintenance();
    const { calls } = stage.world;
    let killed: ReturnType<typeof stage.world.restart> | undefined;
    calls.onCall = ({ verb, args }) => {
      if (verb === 'writeText' && args[0] === paths.departure && String(args[1]).includes('undoneAt'))
        killed ??= stage.world.restart();
    };
    ask(stage, 'stay');
    await run(20_000);
    calls.onCall = undefined;
    expect(killed).toBeDefined();
    expect(stage.departure().undoneAt).toBeUndefined();
    const next = stage.agent(killed);
    await run(20 * minute);
    await next.stop();
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.own.status).toBe('ACTIVE');
  });

  it('when the disk took no note of it', async () => {
    const { stage, run, agent } = await leavingForMaintenance();
    const { calls, machine } = stage.world;
    ask(stage, 'stay');
    machine.files.set(paths.requestInMemory, machine.files.get(paths.request)!);
    machine.files.delete(paths.request);
    calls.onCall = ({ verb, args }) => {
      const path = String(args[0]);
      if (path.startsWith('/var/') && (verb === 'writeText' || (verb === 'remove' && machine.files.has(path))))
        throw new Unavailable('EROFS: read-only file system');
    };
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(machine.files.has(paths.requestInMemory)).toBe(false);
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await run(20 * minute);
    await next.stop();
    expect(stage.deeds()).not.toContain('stopTask');
    expect(stage.own.status).toBe('ACTIVE');
  });

  // The node cannot stay any more, whatever the person wants.
  it('but a departure that has left its registrar goes on', async () => {
    const { stage, run, agent } = await leavingForMaintenance();
    for (const verb of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'])
      stage.world.calls.fails(verb, new Unavailable('no answer'));
    await run(10 * minute);
    expect(stage.departure()).toMatchObject({ phase: 'terminate' });
    ask(stage, 'stay');
    await run(10_000);
    await agent.stop();
    stage.world.calls.heals();
    const next = stage.agent(stage.world.restart());
    await run(10 * minute);
    await next.stop();
    expect(stage.world.instance.state).not.toBe('running');
  });
});
