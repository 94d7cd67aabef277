import { expect, test } from 'vitest';
import { TakenBack } from '../../../../agent/departure/confirm.ts';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { setStage } from '../stage.ts';
import { hour, inService, minute, silencesItsGroupAtTheEnd } from './second-source/in-service.ts';

test('an agent ends with an error where its departure belongs to another machine', async () => {
  const { stage, world, agent } = await inService();
  world.metadata.identity = { ...world.identity, instanceId: 'i-0aaaaaaaaaaaaaaaa' };
  stage.fillDisk(97);
  await expect(world.clock.finish(agent.done, 2 * hour)).rejects.toThrow(/this machine is i-0aaa/);
  expect(world.instance.state).toBe('running');
  expect(world.machine.power).toBe('on');
});

// The node would wait for EC2, which never takes it, and no second source would be asked again
// about the reason for which it left its registrar.
test('a false spot notice does not take over from a departure that has left its registrar', async () => {
  const { stage, world, run, agent } = await inService();
  world.instance.spotStatus = 'fulfilled';
  silencesItsGroupAtTheEnd(world);
  stage.fillDisk(97);
  for (let seconds = 0; seconds < 600 && stage.deregistered.length === 0; seconds++) await run(1_000);
  stage.fillDisk(20);
  // The watcher withdraws its own order first.
  await run(5 * minute);
  world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
  await run(minute);
  expect(stage.departure()).toMatchObject({ cause: 'disk', phase: 'terminate' });
  world.metadata.spotNotice = undefined;
  world.calls.heals();
  await run(5 * minute);
  expect(world.instance.state).toBe('running');
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});

test('a failed bootstrap that is denied after it has drained the node makes it ACTIVE again', async () => {
  const stage = setStage();
  const { calls, machine } = stage.world;
  stage.group.lifecycleState = 'Pending:Wait';
  calls.onCall = () => {
    const isAtEnd = machine.files.has(paths.departure) && stage.departure().phase === 'terminate';
    if (isAtEnd) stage.group.lifecycleState = 'InService';
  };
  calls.fails('activate', new Unavailable('Rate exceeded'), 3);
  await expect(stage.leaves({ cause: 'bootstrap-failed', reason: 'no registrar' })).rejects.toThrow(TakenBack);
  expect(calls.of('drain')).not.toEqual([]);
  expect(stage.own.status).toBe('ACTIVE');
  expect(machine.files.has(paths.departure)).toBe(false);
  expect(stage.world.instance.state).toBe('running');
});
