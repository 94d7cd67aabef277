import { expect, test } from 'vitest';
import { openStopTimes } from '../../../../agent/departure/stop-time.ts';
import { mergeSights, openTaskSight } from '../../../../agent/departure/task-sight.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { never, setStage } from '../stage.ts';

// One empty list of ECS ended the machine under its tasks.
test.each([
  ['is silent', new Unavailable('throttled'), false],
  ['may not be read by this role', new Refused('denied', { code: 'AccessDenied' }), true],
])('an empty list of ECS alone counts, after it lasted, where the record %s: %s', async (_, error, isSure) => {
  const { host, world, own } = setStage();
  world.localAgent = undefined;
  world.calls.fails('readContainerInstance', error);
  const look = openTaskSight(host, { cluster: 'demo', arn: own.arn }, openStopTimes(host, 'demo'));
  const sure = async () => (await world.clock.finish(look(never))).sure;
  expect(await sure()).toBe(false);
  await world.clock.run(2_000);
  expect(await sure()).toBe(false);
  await world.clock.run(4_000);
  expect(await sure()).toBe(isSure);
});

test('a task that the ECS agent names is none after ECS has left it out for a minute, each time anew', async () => {
  const { host, world, own } = setStage();
  const add = () => world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const task = add();
  const { readTasks } = host.cloud;
  const answer: { kind: 'empty' | 'true' | 'silent' } = { kind: 'empty' };
  host.cloud.readTasks = async (...all) => {
    if (answer.kind === 'silent') throw new Unavailable('HTTP 503');
    return answer.kind === 'empty' ? [] : readTasks(...all);
  };
  const look = openTaskSight(host, { cluster: 'demo', arn: own.arn }, openStopTimes(host, 'demo'));
  /** Looks every two seconds, as the departure does. */
  const unlistedAfter = async (seconds: number, kind: typeof answer.kind) => {
    answer.kind = kind;
    for (let n = 0; n < seconds / 2; n++) {
      await world.clock.finish(look(never));
      await world.clock.run(2_000);
    }
    return (await world.clock.finish(look(never))).unlisted;
  };
  expect(await unlistedAfter(50, 'empty')).toEqual([task.arn]);
  expect(await unlistedAfter(20, 'true')).toEqual([]);
  expect(await unlistedAfter(58, 'empty')).toEqual([task.arn]);
  // The last answer does not last while no other follows it.
  expect(await unlistedAfter(60, 'silent')).toEqual([task.arn]);
  expect(await unlistedAfter(90, 'empty')).toEqual([]);
  const other = add();
  expect(await unlistedAfter(2, 'empty')).toEqual([other.arn]);
  expect(await unlistedAfter(90, 'empty')).toEqual([]);
});

// A further task began the minute of the first one anew: the node waited until its deadline.
test.each([true, false])(
  'a task that only the ECS agent names is none after a minute, whatever it names beside it (%s)',
  async (isFollowed) => {
    const { host, world, own } = setStage();
    const add = () => world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity }).arn;
    const first = add();
    host.cloud.readTasks = async () => [];
    const look = openTaskSight(host, { cluster: 'demo', arn: own.arn }, openStopTimes(host, 'demo'));
    const unlistedAfter = async (seconds: number) => {
      for (let n = 0; n < seconds / 2; n++) {
        await world.clock.finish(look(never));
        await world.clock.run(2_000);
      }
      return (await world.clock.finish(look(never))).unlisted;
    };
    expect(await unlistedAfter(50)).toEqual([first]);
    const further = isFollowed ? [add()] : [];
    expect(await unlistedAfter(30)).toEqual(further);
    expect(await unlistedAfter(50)).toEqual([]);
  },
);

// A container of a task that ECS names counted as one more task, and StopTask waited for its name.
test('with a dead ECS agent, ECS alone names each task that Docker runs', async () => {
  const { host, world, own } = setStage();
  world.localAgent = undefined;
  const { arn: taskArn } = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.docker.containers = [{ name: 'web', imageId: 'sha256:1', state: 'running', taskArn }];
  const look = openTaskSight(host, { cluster: 'demo', arn: own.arn }, openStopTimes(host, 'demo'));
  const { blockers, unlisted, sure } = await world.clock.finish(look(never));
  expect({ blockers, unlisted, sure }).toEqual({
    blockers: [expect.stringContaining('family:batch')],
    unlisted: [],
    sure: true,
  });
});

test('a look asks Docker once about a task that ECS leaves out, also after a minute', async () => {
  const { host, world, own } = setStage();
  world.localAgent = undefined;
  const { arn: taskArn } = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.docker.containers = [{ name: 'web', imageId: 'sha256:1', state: 'running', taskArn }];
  host.cloud.readTasks = async () => [];
  const look = openTaskSight(host, { cluster: 'demo', arn: own.arn }, openStopTimes(host, 'demo'));
  let looks = 0;
  for (; looks < 45; looks++) {
    const { unlisted, sure } = await world.clock.finish(look(never));
    expect({ unlisted, sure }).toEqual({ unlisted: [taskArn], sure: false });
    await world.clock.run(2_000);
  }
  expect(world.calls.of('readContainers')).toHaveLength(looks);
});

test('the tasks of two records of a node are waited for together', () => {
  const task = { ...setStage().world.cluster.addTask('', {}), arn: 'x', definition: 'web:1' };
  const sight = {
    blockers: ['a'],
    listed: [task],
    unlisted: ['y'],
    protectedArns: new Set(['p']),
    daemonArns: ['d'],
    sure: true,
  };
  const other = {
    blockers: ['a', 'b'],
    listed: [],
    unlisted: ['x', 'y'],
    protectedArns: new Set(['q']),
    daemonArns: ['d', 'e'],
    sure: true,
  };
  expect(mergeSights([sight, other])).toEqual({
    blockers: ['a', 'b'],
    listed: [task],
    unlisted: ['y'],
    protectedArns: new Set(['p', 'q']),
    daemonArns: ['d', 'e'],
    sure: true,
  });
  for (const both of [
    [sight, { ...other, sure: false }],
    [{ ...sight, sure: false }, other],
  ])
    expect(mergeSights(both).sure).toBe(false);
});
