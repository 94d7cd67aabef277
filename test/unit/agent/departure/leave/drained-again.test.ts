import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { ask, inService, minute } from '../../running/in-service.ts';

/** A node that leaves with a task that no service moves away. */
async function whileItLeaves() {
  const life = await inService();
  const { stage, run } = life;
  const addTask = () => stage.world.cluster.addTask(stage.own.arn, { group: 'family:job' });
  addTask();
  ask(stage, 'leave');
  await run(minute);
  expect(stage.own.status).toBe('DRAINING');
  return { ...life, addTask, drains: () => stage.deeds().filter((deed) => deed === 'drain').length };
}

// The call that undid an earlier departure had timed out. It took effect after DRAINING was set
// again: the node got tasks until its deadline, and ended with them.
describe('a node that leaves, and that a late call sets ACTIVE', () => {
  it('is DRAINING again when a task comes', async () => {
    const { stage, run, agent, addTask } = await whileItLeaves();
    stage.own.status = 'ACTIVE';
    await run(minute);
    addTask();
    await run(75_000);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  it('is DRAINING again when its agent starts again', async () => {
    const { stage, run, agent, addTask } = await whileItLeaves();
    await agent.stop();
    stage.own.status = 'ACTIVE';
    addTask();
    const next = stage.agent();
    await run(20_000);
    expect(stage.own.status).toBe('DRAINING');
    await next.stop();
  });

  it('tries again when ECS is silent', async () => {
    const { stage, run, agent, addTask } = await whileItLeaves();
    stage.own.status = 'ACTIVE';
    stage.world.calls.fails('cloud.drain', new Unavailable('throttled'));
    addTask();
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    stage.world.calls.heals();
    await run(minute);
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
  });

  it('leaves the tasks that came the same time to end as the others', async () => {
    const { stage, run, agent, addTask } = await whileItLeaves();
    const { clock, instance } = stage.world;
    const { drainSeconds } = stage.config.leave;
    await run(5 * minute);
    stage.own.status = 'ACTIVE';
    addTask();
    await run(75_000);
    expect(stage.own.status).toBe('DRAINING');
    const drainedAt = clock.uptime();
    while (instance.state === 'running') await run(10_000);
    expect((clock.uptime() - drainedAt) / 1000).toBeGreaterThan(drainSeconds - 75);
    await agent.stop();
  });

  it('asks for DRAINING once while no task comes (control)', async () => {
    const { run, agent, drains } = await whileItLeaves();
    await run(5 * minute);
    expect(drains()).toBe(1);
    await agent.stop();
  });
});
