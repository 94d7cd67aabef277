import { describe, expect, it } from 'vitest';
import type { Host } from '../../../../../core/host.ts';
import { ask, minute } from '../../running/in-service.ts';
import { configOf, setStage } from '../../stage.ts';

/** A node with a task, each of whose calls to AWS can be made to fail by a bug. */
async function withFaultyCalls() {
  const stage = setStage(configOf());
  const { world, host } = stage;
  const fault = { isOn: false };
  const wrap =
    (call: (...given: unknown[]) => unknown) =>
    async (...given: unknown[]) => {
      if (fault.isOn) throw new TypeError('x is undefined');
      return call(...given);
    };
  const verbs = Object.entries(host.cloud).map(([verb, call]) => [verb, wrap(call as never)]);
  const cloud = Object.fromEntries(verbs) as Host['cloud'];
  const agent = stage.agent({ ...host, cloud });
  await world.clock.run(minute);
  const task = world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  return { stage, world, fault, cloud, agent, task };
}

// The departure went through all its phases in an instant. The tasks ended with the machine.
describe('an unexpected failure of each call to AWS', () => {
  it.each(['operator', 'scale-in'] as const)('ends no phase that keeps the tasks (%s)', async (cause) => {
    const { stage, world, fault, cloud, agent, task } = await withFaultyCalls();
    if (cause === 'operator') ask(stage, 'leave');
    else {
      world.metadata.targetState = 'Terminated';
      stage.group.begin('terminate');
    }
    while (stage.departure()?.phase !== 'tasks') await world.clock.run(200);
    await agent.stop();
    fault.isOn = true;
    world.clock.schedule(1_000, () => (fault.isOn = false));
    const next = stage.agent({ ...world.restart(), cloud });
    await world.clock.run(5 * minute);
    expect(stage.departure()?.phase).toBe('tasks');
    expect(task.lastStatus).toBe('RUNNING');
    expect(world.calls.of('terminateInGroup')).toEqual([]);
    expect(world.calls.of('completeHook')).toEqual([]);
    await next.stop();
  });

  it('lets the node drain afterwards when a person asks it to leave meanwhile', async () => {
    const { stage, world, fault, agent } = await withFaultyCalls();
    fault.isOn = true;
    world.clock.schedule(10_000, () => (fault.isOn = false));
    ask(stage, 'leave');
    await world.clock.run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()?.phase).toBe('tasks');
    await agent.stop();
  });

  it('holds no node beyond its deadline', async () => {
    const { stage, world, fault, agent } = await withFaultyCalls();
    ask(stage, 'leave');
    while (stage.departure()?.phase !== 'tasks') await world.clock.run(200);
    fault.isOn = true;
    await world.clock.run(Math.max(0, stage.departure().deadline - world.clock.now()) + 30 * minute);
    expect(stage.departure()?.phase).not.toBe('tasks');
    await agent.stop();
  });
});
