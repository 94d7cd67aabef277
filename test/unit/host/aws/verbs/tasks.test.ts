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

test('names the services that lack tasks, ten in a call', async () => {
  const arns = Array.from({ length: 11 }, (_, index) => `s${index}`);
  const { cloud, calls } = await openAws((asked) => {
    if (callOf(asked) === 'ListServices') return json({ serviceArns: arns });
    const { services } = JSON.parse(asked.body) as { services: string[] };
    return json({
      services: services.map((serviceName) => ({
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
