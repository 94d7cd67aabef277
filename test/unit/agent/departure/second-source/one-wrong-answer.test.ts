/** A node that really leaves, and one source that is wrong for one answer or some seconds. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import type { MaintenanceEvent } from '../../../../../core/host.ts';
import { inService } from '../../running/in-service.ts';
import { configOf, type Stage } from '../../stage.ts';
import { minute } from './in-service.ts';

const day = 24 * 60 * minute;
const denied = new Refused('not authorized', { code: 'AccessDenied' });

/** Its group begins to terminate it, and it has a task that ends only when it is told to. */
function beginScaleIn({ world, own, group }: Stage, task: Parameters<typeof world.cluster.addTask>[1] = {}) {
  const added = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity, ...task });
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
  return added;
}

describe('a task is told again to stop', () => {
  // It counted as told. The task ran on until its machine ended, and was killed.
  it.each([
    [1, 'STOPPED'],
    [4, 'STOPPED'],
    [5, 'RUNNING'],
  ])('after %d refusals: it is %s when the hook is completed', async (times, status) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
    let then = '';
    stage.world.calls.fails('stopTask', denied, times);
    const task = beginScaleIn(stage, { stopsAfterMs: 20_000 });
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') then ||= task.lastStatus;
    };
    await run(30 * minute);
    expect(stage.world.calls.of('stopTask')).toHaveLength(Math.min(times + 1, 5));
    expect(then).toBe(status);
    await agent.stop();
  });
});

describe('a task is not stopped early', () => {
  it.each([0, 1, 3])('when ECS leaves its protection out of %d answers', async (times) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 600 } }));
    beginScaleIn(stage, { group: 'service:web', protected: true });
    await run(12 * minute);
    const { cloud } = stage.host;
    const { readProtectedTasks } = cloud;
    let left = times;
    cloud.readProtectedTasks = async (...all) => (left-- > 0 ? [] : readProtectedTasks(...all));
    await run(2 * minute);
    expect(left).toBeLessThan(0);
    expect(stage.deeds()).not.toContain('stopTask');
    await agent.stop();
  });

  it('when ECS leaves its protection out of the only answer in the time for draining', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 10 } }));
    const { cloud } = stage.host;
    const { readProtectedTasks } = cloud;
    let left = 1;
    cloud.readProtectedTasks = async (...all) => (left-- > 0 ? [] : readProtectedTasks(...all));
    beginScaleIn(stage, { group: 'service:web', protected: true });
    await run(5 * minute);
    expect(left).toBeLessThan(0);
    expect(stage.deeds()).not.toContain('stopTask');
    await agent.stop();
  });

  // Auto Scaling's own limit for the hook is 100 times its heartbeat timeout, or 48 hours.
  it.each([30_000, 300])('when one answer says that the hook has %d s', async (globalSeconds) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 900 } }));
    const { cloud } = stage.host;
    const { readHooks } = cloud;
    let left = 1;
    cloud.readHooks = async (...all) => {
      const hooks = await readHooks(...all);
      return left-- > 0 ? hooks.map((hook) => ({ ...hook, globalSeconds })) : hooks;
    };
    beginScaleIn(stage);
    await run(12 * minute);
    expect(left).toBeLessThan(0);
    expect(stage.deeds()).not.toContain('stopTask');
    await agent.stop();
  });

  /** EC2 retires the instance in two weeks. */
  async function retiring(saidInMs: number) {
    const node = await inService(configOf({ leave: { drainSeconds: 900 } }));
    const { world, own, host } = node.stage;
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const [id, code] = ['instance-event-1', 'instance-retirement'];
    const say = (ms: number) => {
      const event: MaintenanceEvent = {
        id,
        code,
        state: 'active',
        notBefore: host.clock.now() + ms,
        description: '',
      };
      world.metadata.maintenance = [event];
    };
    world.instance.events = [{ id, code, startsInMs: 14 * day }];
    say(saidInMs);
    return { ...node, say };
  }

  it.each([14 * day, 90_000])('when the metadata alone date a retirement in %d ms', async (ms) => {
    const { stage, run, agent } = await retiring(ms);
    await run(5 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'maintenance', phase: 'tasks' });
    expect(stage.deeds()).not.toContain('stopTask');
    await agent.stop();
  });

  it('when the metadata date a retirement wrongly for ten seconds', async () => {
    const { stage, run, agent, say } = await retiring(3 * minute);
    for (let i = 0; i < 120 && stage.departure()?.phase !== 'tasks'; i++) await run(1_000);
    await run(10_000);
    say(14 * day);
    await run(8 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    await agent.stop();
  });

  it('but in time where the metadata and EC2 date its retirement in ten minutes', async () => {
    const { stage, run, agent } = await retiring(10 * minute);
    stage.world.instance.events = [{ id: 'instance-event-1', code: 'instance-retirement', startsInMs: 10 * minute }];
    await run(8 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    await run(2 * minute);
    expect(stage.deeds()).toContain('stopTask');
    await agent.stop();
  });
});

describe('the terminate hook', () => {
  // The next heartbeat came after 15 minutes, and the hook had timed out after five.
  it.each([0, 1])('does not time out after %d answers with a heartbeat timeout that is too long', async (times) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3000 } }));
    const { cloud } = stage.host;
    const { readHooks } = cloud;
    let left = times;
    cloud.readHooks = async (...all) => {
      const hooks = await readHooks(...all);
      return left-- > 0 ? hooks.map((hook) => ({ ...hook, heartbeatSeconds: 3600 })) : hooks;
    };
    const task = beginScaleIn(stage, { group: 'service:web' });
    stage.group.hooks[1]!.heartbeatSeconds = 300;
    await run(35 * minute);
    expect(stage.world.instance.state).toBe('running');
    task.lastStatus = 'STOPPED';
    await run(5 * minute);
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

describe('the machine does not end under a task', () => {
  // The ECS agent and Docker are dead, which is the cause itself. Only ECS is left.
  it.each([0, 8_000, 50_000])('that ECS leaves out for %d ms while Docker is silent', async (ms) => {
    const { stage, run, agent } = await inService(
      configOf({ leave: { drainSeconds: 3600 }, ecsAgent: { restarts: 0 }, docker: { action: 'log' } }),
    );
    const { world, own, host } = stage;
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    own.agentConnected = false;
    world.localAgent = undefined;
    world.calls.fails('readContainers', new Unavailable('silent'));
    world.docker.state = 'hung';
    const { readTasks, readContainerInstance } = host.cloud;
    let lies = false;
    host.cloud.readTasks = async (...all) => (lies ? [] : readTasks(...all));
    host.cloud.readContainerInstance = async (...all) => {
      const known = await readContainerInstance(...all);
      return lies && known !== undefined ? { ...known, runningTasks: 0, pendingTasks: 0 } : known;
    };
    for (let i = 0; i < 2000 && stage.departure()?.phase !== 'tasks'; i++) await run(5_000);
    await run(minute);
    expect(stage.departure().phase).toBe('tasks');
    lies = true;
    await run(ms);
    lies = false;
    await run(5 * minute);
    expect(stage.deeds()).not.toContain('terminateInGroup');
    await agent.stop();
  });

  // ListTasks and the ECS agent learn of it some seconds later.
  it('if ECS has placed it right before DRAINING', async () => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 600 } }));
    const { world, own, group } = stage;
    group.begin('terminate');
    world.metadata.targetState = 'Terminated';
    for (let i = 0; i < 600 && own.status !== 'DRAINING'; i++) await run(100);
    await run(3_000);
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    await run(5 * minute);
    expect(stage.departure().phase).toBe('tasks');
    expect(group.hooks[1]!.ended).toBeUndefined();
    await agent.stop();
  });
});

it.each([0, 1])(
  'a departure for a full disk is not undone when ECS leaves its entry out of %d answers',
  async (times) => {
    const { stage, run, agent } = await inService(configOf());
    const { attributes } = stage.own;
    let left = times;
    stage.world.calls.onCall = ({ verb }) => {
      if (verb !== 'readContainerInstance' || stage.departure()?.phase !== 'terminate') return;
      if (left-- > 0) attributes.delete('ecs-node.leave.disk');
      else attributes.set('ecs-node.leave.disk', '1');
    };
    stage.fillDisk(97);
    await run(20 * minute);
    expect(left).toBeLessThan(0);
    expect(stage.deeds()).not.toContain('activate');
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  },
);
