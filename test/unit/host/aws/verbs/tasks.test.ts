import { expect, test } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { callOf, json, openAws } from '../aws.ts';
import { patient, arn } from './answers.ts';

test('a task that is listed but not described may still be there', async () => {
  const { cloud } = await openAws((asked) =>
    json(callOf(asked) === 'ListTasks' ? { taskArns: ['t1'] } : { tasks: [], failures: [] }),
  );
  await expect(cloud.readTasks('demo', arn, patient)).rejects.toBeInstanceOf(Unavailable);
});

test('stopping tasks are there until they have stopped', async () => {
  const { cloud } = await openAws((asked) => {
    const { desiredStatus } = JSON.parse(asked.body) as { desiredStatus?: string };
    if (callOf(asked) === 'ListTasks') return json({ taskArns: desiredStatus === 'RUNNING' ? ['t1'] : ['t2', 't3'] });
    const task = (taskArn: string, lastStatus: string, wish: string) => ({
      taskArn,
      containerInstanceArn: arn,
      lastStatus,
      desiredStatus: wish,
      group: 'service:web',
    });
    return json({
      tasks: [
        task('t1', 'RUNNING', 'RUNNING'),
        task('t2', 'DEPROVISIONING', 'STOPPED'),
        task('t3', 'STOPPED', 'STOPPED'),
      ],
    });
  });
  expect((await cloud.readTasks('demo', arn, patient)).map((task) => task.arn)).toEqual(['t1', 't2']);
});

test.each([undefined, null, ''])(
  'a task with the status %j counts as running, and hides no other',
  async (lastStatus) => {
    const { cloud } = await openAws((asked) => {
      const { desiredStatus } = JSON.parse(asked.body) as { desiredStatus?: string };
      if (callOf(asked) === 'ListTasks') return json({ taskArns: desiredStatus === 'RUNNING' ? ['t1', 't2'] : [] });
      return json({
        tasks: [
          { taskArn: 't1', lastStatus, containerInstanceArn: arn },
          { taskArn: 't2', lastStatus: 'RUNNING', containerInstanceArn: arn },
        ],
      });
    });
    expect((await cloud.readTasks('demo', arn, patient)).map((task) => [task.arn, task.lastStatus])).toEqual([
      ['t1', 'UNKNOWN'],
      ['t2', 'RUNNING'],
    ]);
  },
);

test('the protection of every task is read, a hundred a call', async () => {
  const { cloud, server } = await openAws((asked) => {
    const { tasks } = JSON.parse(asked.body) as { tasks: string[] };
    return json({ protectedTasks: tasks.map((taskArn) => ({ taskArn, protectionEnabled: true })), failures: [] });
  });
  const arns = Array.from({ length: 250 }, (_, at) => `t${at}`);
  expect(await cloud.readProtectedTasks('demo', arns, patient)).toEqual(arns);
  expect(server.asked.map(({ body }) => (JSON.parse(body) as { tasks: string[] }).tasks.length)).toEqual([
    100, 100, 50,
  ]);
});

const asked = ['t1', 't2'];
const isProtected = (taskArn: string, protectionEnabled?: boolean) => ({ taskArn, protectionEnabled });

// A protected task was stopped at once: one answer did not name it.
test.each([
  ['names no task', { protectedTasks: [], failures: [] }],
  ['lacks one task', { protectedTasks: [isProtected('t1', false)], failures: [] }],
  [
    'could not read one task',
    { protectedTasks: [isProtected('t1', true)], failures: [{ arn: 't2', reason: 'OTHER' }] },
  ],
  ['does not say whether one is protected', { protectedTasks: [isProtected('t1', true), isProtected('t2')] }],
])('an answer about task protection that %s leaves the protection unknown', async (_, answer) => {
  const { cloud } = await openAws(() => json(answer));
  await expect(cloud.readProtectedTasks('demo', asked, patient)).rejects.toBeInstanceOf(Unavailable);
});

test.each(['MISSING', 'TASK_NOT_FOUND', 'TASK_NOT_VALID'])(
  'a task with the failure %s has no protection',
  async (reason) => {
    const answer = { protectedTasks: [isProtected('t1', true)], failures: [{ arn: 't2', reason }] };
    const { cloud } = await openAws(() => json(answer));
    expect(await cloud.readProtectedTasks('demo', asked, patient)).toEqual(['t1']);
  },
);

test('a task that ECS neither describes nor misses may still run', async () => {
  const { cloud } = await openAws(() => json({ tasks: [], failures: [] }));
  await expect(cloud.readStopReason('demo', 't1', patient)).rejects.toBeInstanceOf(Unavailable);
  const { cloud: other } = await openAws(() => json({ tasks: [], failures: [{ arn: 't1', reason: 'MISSING' }] }));
  expect(await other.readStopReason('demo', 't1', patient)).toBeUndefined();
});

test('a task definition without a status may be ACTIVE', async () => {
  for (const answer of [{}, { taskDefinition: {} }, { taskDefinition: { taskDefinitionArn: 'logs:2' } }]) {
    const { cloud } = await openAws(() => json(answer));
    await expect(cloud.readTaskDefinition('logs', patient)).rejects.toBeInstanceOf(Unavailable);
  }
  const { cloud } = await openAws(() => json({ taskDefinition: { taskDefinitionArn: 'logs:2', status: 'INACTIVE' } }));
  expect(await cloud.readTaskDefinition('logs', patient)).toBeUndefined();
});

const definition = (name: string) => `arn:aws:ecs:eu-west-1:123456789012:task-definition/${name}`;

// One answer about another family or revision stopped the running daemon task.
test.each([
  ['logs', 'batch:9'],
  ['logs', 'logs-batch:9'],
  ['logs:2', 'logs:3'],
  [definition('logs:2'), 'batch:2'],
])('an answer about another task definition says nothing about %s (%s)', async (name, other) => {
  const answer = { taskDefinitionArn: definition(other), status: 'ACTIVE', containerDefinitions: [{ stopTimeout: 1 }] };
  const { cloud } = await openAws(() => json({ taskDefinition: answer }));
  await expect(cloud.readTaskDefinition(name, patient)).rejects.toBeInstanceOf(Unavailable);
  await expect(cloud.readStopTimeout(name, 30_000, patient)).rejects.toBeInstanceOf(Unavailable);
});

test.each(['logs', 'logs:2', definition('logs:2')])('%s names a task definition', async (name) => {
  const answer = {
    taskDefinitionArn: definition('logs:2'),
    status: 'ACTIVE',
    containerDefinitions: [{ stopTimeout: 7 }],
  };
  const { cloud } = await openAws(() => json({ taskDefinition: answer }));
  expect(await cloud.readTaskDefinition(name, patient)).toBe(definition('logs:2'));
  expect(await cloud.readStopTimeout(name, 30_000, patient)).toBe(7_000);
});

test('a service that ECS lists and does not describe may lack tasks', async () => {
  const { cloud } = await openAws((each) =>
    json(callOf(each) === 'ListServices' ? { serviceArns: ['s1'] } : { services: [], failures: [] }),
  );
  await expect(cloud.readUnsteadyServices('demo', patient)).rejects.toBeInstanceOf(Unavailable);
});

test('names the services that lack tasks, ten in a call', async () => {
  const arns = Array.from({ length: 11 }, (_, index) => `s${index}`);
  const { cloud, calls } = await openAws((asked) => {
    if (callOf(asked) === 'ListServices') return json({ serviceArns: arns });
    const { services } = JSON.parse(asked.body) as { services: string[] };
    return json({
      services: services.map((serviceName) => ({
        serviceArn: serviceName,
        serviceName,
        status: 'ACTIVE',
        desiredCount: 2,
        runningCount: serviceName === 's10' ? 1 : 2,
      })),
    });
  });
  expect(await cloud.readUnsteadyServices('demo', patient)).toEqual(['s10']);
  expect(calls()).toEqual(['ListServices', 'DescribeServices', 'DescribeServices']);
});
