/** A node in its cluster whose join check may not run: another user can change its program. */

import { expect, it } from 'vitest';
import { Refused } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
import { bootedFirst, configOf, setStage, type Stage } from '../stage.ts';

const minute = 60_000;

const check = '/opt/ready';

function setNode(isUnguarded: boolean): Stage {
  const stage = setStage(configOf({ join: { checks: [{ command: [check] }] } }));
  stage.world.machine.programs.set(check, () => {
    if (isUnguarded) throw new Refused(`${check}: it belongs to user 99`, { code: 'Unguarded' });
    return { code: 1, tail: 'not ready' };
  });
  return stage;
}

function hasJoinedBefore(stage: Stage): void {
  const { instanceId } = stage.world.identity;
  bootedFirst(stage, 'boot-of-last-month');
  const content = renderState({ instanceId, bootId: 'boot-of-last-month', cluster: 'demo' });
  stage.world.machine.files.set(paths.joined, content);
}

// It waited for its check without an end, and nothing looked at its disk.
it.each([
  ['a rebooted node whose check may not run', true, hasJoinedBefore],
  ['a new node whose check may not run', true, bootedFirst],
  ['a rebooted node whose check fails (control)', false, hasJoinedBefore],
])('a full disk of %s is noticed', async (_what, isUnguarded, prepare) => {
  const stage = setNode(isUnguarded);
  prepare(stage);
  const agent = stage.agent();
  await stage.world.clock.run(minute);
  stage.fillDisk(99);
  for (let n = 0; n < 180 && stage.departure()?.cause !== 'disk'; n++) await stage.world.clock.run(minute);
  expect(stage.departure()?.cause).toBe('disk');
  await agent.stop();
});

it('a new node whose check may not run keeps its launch hook, and joins when a person mends it', async () => {
  const stage = setNode(true);
  bootedFirst(stage);
  const { world, group } = stage;
  group.begin('launch');
  const agent = stage.agent();
  await world.clock.run(180 * minute);
  expect(group.hooks[0]!.ended).toBeUndefined();
  expect(new Set(stage.deeds())).toEqual(new Set(['run']));
  world.machine.programs.set(check, () => ({ code: 0, tail: '' }));
  await world.clock.run(5 * minute);
  expect(group.hooks[0]!.ended).toBe('CONTINUE');
  expect(stage.status().join.state).toBe('joined');
  await agent.stop();
});

// The ECS agent of a node that waits in a warm pool is silent on purpose.
it('a node that goes back into a warm pool while its check may not run is not ended', async () => {
  const stage = setNode(true);
  bootedFirst(stage);
  const { world, own } = stage;
  const agent = stage.agent();
  await world.clock.run(minute);
  world.metadata.targetState = 'Warmed:Running';
  stage.group.lifecycleState = 'Warmed:Running';
  world.localAgent = undefined;
  own.agentConnected = false;
  await world.clock.run(180 * minute);
  expect(stage.status().join.state).toBe('in warm pool');
  expect(stage.departure()?.cause).not.toBe('ecs-agent');
  expect(world.machine.restarted).toEqual([]);
  expect(world.instance.state).toBe('running');
  await agent.stop();
});

// While a launched node joins, its ECS agent may be silent for as long as `join.timeoutSeconds`.
it.each([
  ['joined late after a reboot', 20],
  ['joined at once after a reboot (control)', 0],
])('a node that %s joins again from a warm pool like a new one', async (_what, lateMinutes) => {
  const stage = setStage(configOf({ join: { timeoutSeconds: 900 } }));
  hasJoinedBefore(stage);
  const { world, own, group } = stage;
  const { localAgent } = world;
  const setConnected = (isConnected: boolean) => {
    own.agentConnected = isConnected;
    world.localAgent = isConnected ? localAgent : undefined;
  };
  setConnected(false);
  const agent = stage.agent();
  await world.clock.run(lateMinutes * minute);
  setConnected(true);
  await world.clock.run(10 * minute);
  expect(stage.status().join.state).toBe('joined');
  world.metadata.targetState = 'Warmed:Running';
  group.beginReturn('Running');
  await world.clock.run(5 * minute);
  expect(stage.departure()).toMatchObject({ returns: true, phase: 'done' });
  world.machine.restarted.length = 0;
  setConnected(false);
  group.begin('launch');
  world.metadata.targetState = 'InService';
  await world.clock.run(14 * minute);
  expect(stage.status().join.state).toBe('joining');
  expect(world.machine.restarted).toEqual([]);
  await agent.stop();
});
