/** A node that its group takes back into the warm pool: a scale-in with a reuse policy. */

import { describe, expect, it } from 'vitest';
import { Refused } from '../../../../core/errors.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { configOf } from '../stage.ts';
import { inService, minute } from './in-service.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });

describe('a node on its way back into its warm pool', () => {
  it.each([
    ['as AWS documents it', 'terminate'],
    ['if AWS waited for the launch hook', 'launch'],
  ] as const)(
    'keeps the hook alive that waits until its task has stopped, and completes it (%s)',
    async (_how, waits) => {
      const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 1800 } }));
      const { metadata, cluster } = stage.world;
      const task = cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
      metadata.targetState = 'Warmed:Running';
      await run(5_000);
      stage.group.beginReturn('Running', waits);
      const hook = stage.group.hooks.find(({ transition }) => transition === waits)!;
      await run(19 * minute);
      expect([hook.active, task.lastStatus]).toEqual([true, 'STOPPING']);
      await run(10 * minute);
      expect(hook.ended).toBe('CONTINUE');
      expect(task.lastStatus).toBe('STOPPED');
      expect(stage.group.lifecycleState).toBe('Warmed:Running');
      expect(stage.departure()).toMatchObject({ returns: true, phase: 'done' });
      await agent.stop();
    },
  );

  it('keeps the hook alive after its agent was restarted', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 1800 } }));
    stage.world.cluster.addTask(stage.own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
    stage.world.metadata.targetState = 'Warmed:Running';
    stage.group.beginReturn('Running', 'launch');
    await run(2 * minute);
    await agent.stop();
    const next = stage.agent();
    await run(30 * minute);
    expect(stage.group.hooks[0]!.ended).toBe('CONTINUE');
    await next.stop();
  });

  it('asks again while AWS does not know the hook yet', async () => {
    const { stage, run, agent } = await inService();
    stage.group.hookLagMs = 60_000;
    stage.world.metadata.targetState = 'Warmed:Stopped';
    stage.group.beginReturn('Stopped');
    await run(5 * minute);
    expect(stage.group.hooks.map(({ ended }) => ended)).toEqual([undefined, 'CONTINUE']);
    await agent.stop();
  });

  // An idle node reached the last phase before the group had begun to wait.
  it('waits until its group asks for the hook', async () => {
    const { stage, run, agent } = await inService();
    stage.world.metadata.targetState = 'Warmed:Stopped';
    stage.group.lifecycleState = 'Warmed:Pending';
    await run(2 * minute);
    stage.group.beginReturn('Stopped');
    await run(minute);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });

  it('completes its terminate hook, and no launch hook, if its role may not read its state', async () => {
    const { stage, run, agent } = await inService();
    const { world, group } = stage;
    world.metadata.tags = { [groupTag]: group.name };
    world.calls.fails('readMembership', denied);
    world.metadata.targetState = 'Warmed:Stopped';
    group.beginReturn('Stopped');
    await run(5 * minute);
    expect(group.hooks.map(({ ended }) => ended)).toEqual([undefined, 'CONTINUE']);
    expect(new Set(world.calls.of('completeHook').map(({ args }) => args[1]))).toEqual(new Set(['terminate']));
    await agent.stop();
  });
});
