/** One answer about a task is wrong, refused or lost. Not knowing stops or kills no task. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { inService } from '../../running/in-service.ts';
import { configOf, setStage } from '../../stage.ts';
import { minute } from './in-service.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });

/** A node whose ECS agent is dead waits for a batch task, and `lie` begins. */
async function withDeadAgent() {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3600 }, ecsAgent: { restarts: 0 } }));
  const { world, own } = stage;
  const { arn: taskArn } = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const { readTasks, readContainerInstance } = stage.host.cloud;
  const container = { id: 'c1', name: 'web', imageId: 'sha256:1', state: 'running', taskArn };
  world.docker.containers = [container];
  own.agentConnected = false;
  world.localAgent = undefined;
  const lie = { isTold: false };
  stage.host.cloud.readTasks = async (...all) => (lie.isTold ? [] : readTasks(...all));
  stage.host.cloud.readContainerInstance = async (...all) => {
    const known = await readContainerInstance(...all);
    return lie.isTold && known !== undefined ? { ...known, runningTasks: 0, pendingTasks: 0 } : known;
  };
  for (let i = 0; i < 2000 && stage.departure()?.phase !== 'tasks'; i++) await run(5_000);
  await run(minute);
  expect(stage.departure().phase).toBe('tasks');
  lie.isTold = true;
  return { stage, run, agent, lie, container };
}

describe('a task that ECS alone leaves out', () => {
  it.each([8_000, minute])('keeps its machine while Docker runs it, for %d ms', async (ms) => {
    const { stage, run, agent, lie } = await withDeadAgent();
    await run(ms);
    const blockers = stage.departure().blockers.join();
    lie.isTold = false;
    await run(10 * minute);
    expect(stage.deeds()).not.toContain('terminateInGroup');
    expect(stage.deregistered).toEqual([]);
    expect(blockers).toContain('container of ');
    await agent.stop();
  });

  it('keeps no machine where Docker does not run it either', async () => {
    const { stage, run, agent, container } = await withDeadAgent();
    container.state = 'exited';
    await run(minute);
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  });
});

it('a task that ECS leaves out at drainSeconds, and lists again later, is stopped before the machine ends', async () => {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
  const { world, own, group } = stage;
  const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 20_000 });
  world.docker.containers = [{ name: 'web', imageId: 'sha256:1', state: 'running', taskArn: task.arn }];
  const { readTasks } = stage.host.cloud;
  const began = stage.host.clock.uptime();
  const isLeftOut = () => stage.host.clock.uptime() - began < 2 * minute;
  stage.host.cloud.readTasks = async (...all) => (isLeftOut() ? [] : readTasks(...all));
  let then = '';
  world.calls.onCall = ({ verb }) => {
    if (verb === 'completeHook') then ||= task.lastStatus;
  };
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
  await run(20 * minute);
  expect(then).toBe('STOPPED');
  expect(stage.deeds()).toContain('stopTask');
  await agent.stop();
});

// It was not told again, and was killed with the machine after the time that it needs to stop.
it.each([
  ['for two minutes', 2 * minute, 'STOPPED'],
  ['for ever', Infinity, 'RUNNING'],
] as const)('a task is told to stop until ECS answers: silent %s', async (_what, ms, expected) => {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
  const { world, own, group } = stage;
  const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 20_000 });
  let then = '';
  let since: number | undefined;
  world.calls.onCall = ({ verb, at }) => {
    if (verb === 'completeHook') then ||= task.lastStatus;
    if (verb === 'stopTask' && at - (since ??= at) < ms) throw new Unavailable('HTTP 503');
  };
  group.begin('terminate');
  group.hooks[1]!.globalSeconds = 7200;
  world.metadata.targetState = 'Terminated';
  await run(110 * minute);
  expect(then).toBe(expected);
  await agent.stop();
});

// Any process may listen on the ECS agent's port. A forged task kept its node until the deadline.
describe('a task that ECS leaves out for minutes, and the ECS agent names', () => {
  it.each([
    ['does not run it', 'well', 'exited', true],
    ['is silent', 'hung', 'exited', false],
    ['runs it', 'well', 'running', false],
  ] as const)('keeps its machine for a minute, and no longer if Docker %s', async (_what, docker, state, ends) => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 }, docker: { action: 'log' } }));
    const { world, own, host, group } = stage;
    const agent = stage.agent();
    await world.clock.run(minute);
    const { arn: taskArn } = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    world.docker.containers = [{ name: 'web', imageId: 'sha256:1', state, taskArn }];
    host.cloud.readTasks = async () => [];
    world.docker.state = docker;
    group.begin('terminate');
    world.metadata.targetState = 'Terminated';
    await world.clock.run(minute);
    expect(stage.deeds()).not.toContain('completeHook');
    await world.clock.run(2 * minute);
    expect(stage.deeds().includes('completeHook')).toBe(ends);
    await agent.stop();
  });
});

// An ECS agent that has just started may list no task for seconds.
it('a task that the ECS agent alone leaves out keeps its machine while Docker runs it and ECS refuses', async () => {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
  const { world, own, host, group } = stage;
  const { arn: taskArn } = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.docker.containers = [{ name: 'web', imageId: 'sha256:1', state: 'running', taskArn }];
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
  await run(2 * minute);
  expect(stage.departure().phase).toBe('tasks');
  const { readTasks } = host.ecsAgent;
  host.ecsAgent.readTasks = async () => [];
  for (const verb of ['readTasks', 'readContainerInstance']) world.calls.fails(verb, denied);
  await run(30_000);
  host.ecsAgent.readTasks = readTasks;
  world.calls.heals();
  await run(5 * minute);
  expect(stage.deeds()).not.toContain('completeHook');
  expect(stage.deregistered).toEqual([]);
  await agent.stop();
});

it.each([0, 1])('a protected task is stopped no earlier after %d refusals to tell its protection', async (times) => {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 600 } }));
  const { world, own, group } = stage;
  world.cluster.addTask(own.arn, { group: 'service:web', protected: true, stopsAfterMs: Infinity });
  if (times > 0) world.calls.fails('readProtectedTasks', denied, times);
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
  await run(15 * minute);
  expect(stage.deeds()).not.toContain('stopTask');
  await agent.stop();
});

// The time of the pause counted as a refusal that lasted.
it('a protected task is stopped no earlier where the machine stands still between two refusals', async () => {
  const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 600 } }));
  const { world, own, group } = stage;
  world.cluster.addTask(own.arn, { group: 'service:web', protected: true, stopsAfterMs: Infinity });
  group.begin('terminate');
  world.metadata.targetState = 'Terminated';
  await run(11 * minute);
  expect(stage.departure().phase).toBe('tasks');
  let refusals = 0;
  world.calls.onCall = ({ verb }) => {
    if (verb !== 'readProtectedTasks' || refusals >= 2) return;
    if (++refusals === 1) setImmediate(() => world.clock.standStill(3 * minute));
    throw denied;
  };
  await run(5 * minute);
  expect(refusals).toBe(2);
  expect(stage.deeds()).not.toContain('stopTask');
  await agent.stop();
});

describe('a task with a stop timeout of ten minutes', () => {
  it.each([
    ['no fault', 'readStopTimeout', denied, 0],
    ['no fault in ecs.config', 'readText', new Error('EMFILE'), 0],
    ['one refusal', 'readStopTimeout', denied, 1],
    ['one lost answer', 'readStopTimeout', new Unavailable('HTTP 503'), 1],
    ['one failed read of ecs.config', 'readText', new Error('EMFILE'), 1],
  ] as const)('has them all after %s', async (_what, verb, error, times) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
    const { world, own, group } = stage;
    const isFile = verb === 'readText';
    const stopTimeoutMs = 10 * minute;
    const ownTimeout = isFile ? {} : { stopTimeoutMs };
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 9 * minute, ...ownTimeout });
    if (isFile) {
      world.machine.files.set(paths.ecsConfig, 'ECS_CONTAINER_STOP_TIMEOUT=10m\n');
      task.stopTimeoutMs = stopTimeoutMs;
      stage.host.cloud.readStopTimeout = async (_definition, fallbackMs) => fallbackMs;
    }
    let left: number = times;
    let then = '';
    world.calls.onCall = ({ verb: called, args }) => {
      if (called === 'completeHook') then ||= task.lastStatus;
      if (called !== verb || (isFile && args[0] !== paths.ecsConfig) || left-- <= 0) return;
      throw error;
    };
    group.begin('terminate');
    world.metadata.targetState = 'Terminated';
    await run(20 * minute);
    expect(then).toBe('STOPPED');
    await agent.stop();
  });

  // The answer left out a container's stop timeout: the hook was completed 35 s after StopTask.
  it.each([
    ['once leaves them out', 1],
    ['tells them (control)', 0],
  ])('has them all when ECS %s', async (_what, times) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
    const { world, own, group, host } = stage;
    const stopTimeoutMs = 10 * minute;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 9 * minute, stopTimeoutMs });
    const { readStopTimeout } = host.cloud;
    let left = times;
    host.cloud.readStopTimeout = async (definition, defaultMs, signal) =>
      left-- > 0 ? defaultMs : readStopTimeout(definition, defaultMs, signal);
    let then = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') then ||= task.lastStatus;
    };
    group.begin('terminate');
    world.metadata.targetState = 'Terminated';
    await run(20 * minute);
    expect(then).toBe('STOPPED');
    await agent.stop();
  });

  it.each([
    ['a silence of a minute', new Unavailable('HTTP 503'), minute, 'STOPPED'],
    ['a refusal of 45 s', denied, 45_000, 'STOPPED'],
    ['a refusal that lasts', denied, Infinity, 'STOPPING'],
    ['a silence that lasts', new Unavailable('HTTP 503'), Infinity, 'STOPPED'],
  ] as const)('has them all unless ECS refuses for long: %s', async (_what, error, ms, expected) => {
    const { stage, run, agent } = await inService(configOf({ leave: { drainSeconds: 60 } }));
    const { world, own, group } = stage;
    const stopTimeoutMs = 10 * minute;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 9 * minute, stopTimeoutMs });
    let then = '';
    let since: number | undefined;
    world.calls.onCall = ({ verb, at }) => {
      if (verb === 'completeHook') then ||= task.lastStatus;
      if (verb !== 'readStopTimeout') return;
      since ??= at;
      if (at - since < ms) throw error;
    };
    group.begin('terminate');
    world.metadata.targetState = 'Terminated';
    await run(20 * minute);
    expect(then).toBe(expected);
    await agent.stop();
  });
});
