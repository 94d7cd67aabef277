import { expect, test } from 'vitest';
import { openStopTimes, parseStopTimeout, refusalLastsMs } from '../../../../agent/departure/stop-time.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { definitionArn } from '../../../fakes/cloud/cluster.ts';
import { never, setStage } from '../stage.ts';

const key = 'ECS_CONTAINER_STOP_TIMEOUT';

/** The times are those of the agent's parseDockerStopTimeout, with Go's time.ParseDuration. */
test.each([
  ['2m', 120_000],
  ['1h30m', 5_400_000],
  ['.5h', 1_800_000],
  ['1.m', 60_000],
  ['+10m', 600_000],
  ['600000000us', 600_000],
  ['600000000µs', 600_000],
  ['120000000000ns', 120_000],
  ['1ms', 1_000],
  ['0.0000000001h', 1_000],
  ['-5s', 1_000],
  ['2562047h', 9_223_369_200_000],
  ['2562048h', 30_000],
  ['0', 30_000],
  ['+0', 30_000],
  ['0s', 30_000],
  ['0.6ns0.6ns', 30_000],
  ['', 30_000],
  ['10', 30_000],
  ['.s', 30_000],
  ['--1s', 30_000],
  ['1e3s', 30_000],
  ['1.5.5s', 30_000],
  ['1h 30m', 30_000],
  ['10m # ten', 30_000],
  ['"20m"', 30_000],
])('the stop timeout %j is %d ms, as for the ECS agent', (value, ms) => {
  expect(parseStopTimeout(`ECS_CLUSTER=demo\n${key}=${value}\n`)).toBe(ms);
});

test('the last assignment counts', () => {
  expect(parseStopTimeout(`${key}=10m\n# ${key}=3m\n ${key}=20m \r\n`)).toBe(1_200_000);
});

// ecs-init cuts each line at its first "=", and neither strips nor expands anything.
test.each([`${key} = 10m`, `export ${key}=10m`, `MY_${key}=10m`, `${key}: 10m`])(
  '%j sets no stop timeout, as for ecs-init',
  (line) => {
    expect(parseStopTimeout(line)).toBe(30_000);
  },
);

const denied = new Refused('not authorized', { code: 'AccessDeniedException' });

test.each([
  ['silent', new Unavailable('throttled'), 120_000, 3, 605_000],
  ['closed to this role for a moment', denied, 2_000, 3, 605_000],
  ['closed to this role', denied, 60_000, 2, 35_000],
])(
  'where ECS is %s, the time of a task is the default, and ECS is asked again only if it may answer',
  async (_, error, lastsMs, calls, ms) => {
    const { host, world, own } = setStage();
    world.cluster.addTask(own.arn, { stopTimeoutMs: 600_000 });
    const times = openStopTimes(host, 'demo');
    const look = () => world.clock.finish(times.longestMs([{ definition: definitionArn('web', '1') }], never));
    world.calls.fails('readStopTimeout', error);
    expect(await look()).toBe(35_000);
    await world.clock.run(lastsMs);
    expect(await look()).toBe(35_000);
    world.calls.heals();
    expect([await look(), await look()]).toEqual([ms, ms]);
    expect(world.calls.of('readStopTimeout')).toHaveLength(calls);
  },
);

// One answer that left out a container's stop timeout stood for good.
test.each([
  ['tells the whole time then', 600_000, 605_000],
  ['tells less then', 1_000, 125_000],
  ['does not answer then', new Unavailable('throttled'), 125_000],
  ['refuses then', denied, 125_000],
  ['hangs then', 'hangs', 125_000],
] as const)('ECS is asked once more for a task that was told to stop, and it %s', async (_, second, ms) => {
  const { host, world } = setStage();
  const times = openStopTimes(host, 'demo');
  let calls = 0;
  host.cloud.readStopTimeout = async () => {
    calls += 1;
    if (calls === 1) return 120_000;
    if (second === 'hangs') return new Promise(() => {});
    if (typeof second !== 'number') throw second;
    return second;
  };
  const tasks = [{ definition: definitionArn('web', '1') }];
  const look = (unknownMs?: number) => world.clock.finish(times.longestMs(tasks, never, unknownMs));
  expect([await look(), await look(600_000), calls]).toEqual([125_000, 125_000, 1]);
  await world.clock.run(5_000);
  expect([await look(), calls]).toEqual([125_000, 1]);
  const began = world.clock.uptime();
  expect([await look(600_000), calls]).toEqual([ms, 2]);
  expect(world.clock.uptime() - began).toBeLessThanOrEqual(5_000);
  await world.clock.run(60_000);
  expect([await look(600_000), await look(), calls]).toEqual([ms, ms, 2]);
});

test('a failed read of ecs.config keeps no default', async () => {
  const { host, world, own } = setStage();
  world.cluster.addTask(own.arn);
  world.machine.files.set(paths.ecsConfig, `${key}=10m\n`);
  const times = openStopTimes(host, 'demo');
  const look = () => world.clock.finish(times.longestMs([{ definition: definitionArn('web', '1') }], never));
  world.calls.fails('readText', new Error('EMFILE'));
  expect(await look()).toBe(35_000);
  world.calls.heals();
  expect(await look()).toBe(605_000);
});

test('a task counts as protected while ECS is silent, and as unprotected where the role may not ask', async () => {
  const { host, world, own } = setStage();
  const service = world.cluster.addTask(own.arn, { protected: true });
  world.cluster.addTask(own.arn, { group: 'family:batch' });
  const times = openStopTimes(host, 'demo');
  const tasks = await world.clock.finish(host.cloud.readTasks('demo', own.arn, never));
  const look = async () => [...(await world.clock.finish(times.protectionOf(tasks, never))).possible];
  expect(await look()).toEqual([service.arn]);
  service.protected = false;
  expect(await look()).toEqual([service.arn]);
  await world.clock.run(refusalLastsMs);
  expect(await look()).toEqual([]);
  world.calls.fails('readProtectedTasks', new Unavailable('throttled'), 1);
  expect(await look()).toEqual([service.arn]);
  world.calls.fails('readProtectedTasks', denied, 1);
  expect([await look(), await look()]).toEqual([[service.arn], []]);
  world.calls.fails('readProtectedTasks', denied);
  expect(await look()).toEqual([service.arn]);
  await world.clock.run(refusalLastsMs);
  expect(await look()).toEqual([]);
  world.calls.heals();
  service.protected = true;
  expect(await look()).toEqual([service.arn]);
});
