import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { openEcsAgent } from '../../../host/ecs-introspection.ts';
import { nowhere, serve } from './local-server.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

const patient = new AbortController().signal;
const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0123456789abcdef0123456789abcdef';

test('an ECS agent that does not listen counts as not registered, without an error', async () => {
  const agent = openEcsAgent(nowhere);
  expect(await agent.readAgent(patient)).toBeUndefined();
  expect(await agent.readTasks(patient)).toBeUndefined();
});

test('an ECS agent without an ARN counts as not registered', async () => {
  const { url } = await serve(() => ({
    body: '{"Cluster":"demo","ContainerInstanceArn":null,"Version":"Amazon ECS Agent - v1.106.1 (*1)"}',
  }));
  expect(await openEcsAgent(url).readAgent(patient)).toEqual({
    cluster: 'demo',
    version: 'Amazon ECS Agent - v1.106.1 (*1)',
  });
});

test('reads the ECS agent and its tasks from the real format', async () => {
  const { url, asked } = await serve(({ path }) =>
    path === '/v1/metadata'
      ? { body: JSON.stringify({ Cluster: 'demo', ContainerInstanceArn: arn, Version: '1.106.1' }) }
      : {
          body: JSON.stringify({
            Tasks: [
              {
                Arn: 't1',
                DesiredStatus: 'STOPPED',
                KnownStatus: 'RUNNING',
                Family: 'web',
                Version: '7',
                Containers: [],
              },
              { Arn: 't2', DesiredStatus: 'RUNNING', Family: 'new', Version: '1' },
            ],
          }),
        },
  );
  const agent = openEcsAgent(url);
  expect(await agent.readAgent(patient)).toEqual({ cluster: 'demo', containerInstanceArn: arn, version: '1.106.1' });
  expect(await agent.readTasks(patient)).toEqual([
    { arn: 't1', family: 'web', version: '7', desiredStatus: 'STOPPED', knownStatus: 'RUNNING', containers: [] },
    { arn: 't2', family: 'new', version: '1', desiredStatus: 'RUNNING', knownStatus: '', containers: [] },
  ]);
  expect(asked.map(({ path }) => path)).toEqual(['/v1/metadata', '/v1/tasks']);
});

test('a task without an ARN, and an entry that is no task, hide no other task', async () => {
  const running = { DesiredStatus: 'RUNNING', KnownStatus: 'RUNNING', Family: 'web', Version: '7' };
  const { url } = await serve(() => ({ body: JSON.stringify({ Tasks: [{ ...running, Arn: 't1' }, running, null] }) }));
  const tasks = await openEcsAgent(url).readTasks(patient);
  expect(tasks?.map(({ arn, family, knownStatus }) => [arn, family, knownStatus])).toEqual([
    ['t1', 'web', 'RUNNING'],
    ['', 'web', 'RUNNING'],
    ['', '', ''],
  ]);
});

test('an empty task list means no tasks', async () => {
  const { url } = await serve(() => ({ body: '{"Tasks":null}' }));
  expect(await openEcsAgent(url).readTasks(patient)).toEqual([]);
});

test.each([
  ['fails', { status: 500 }],
  ['answers with a web page', { body: '<html>' }],
  ['answers with an empty object', { body: '{}' }],
  ['answers with its list of commands', { body: '{"AvailableCommands":["/v1/metadata","/v1/tasks"]}' }],
  ['answers with a list', { body: '"x"' }],
  ['answers with other things', { body: '{"Tasks":[{}]}' }],
])('an ECS agent that %s means "could not tell", never "no tasks"', async (_, reply) => {
  const { url } = await serve(() => reply);
  await expect(openEcsAgent(url).readAgent(patient)).rejects.toThrow(Unavailable);
  await expect(openEcsAgent(url).readTasks(patient)).rejects.toThrow(Unavailable);
});

const cluster = 'arn:aws:ecs:us-east-1:123456789012:cluster/demo';

const serveCluster = async (Cluster: string) =>
  serve(() => ({ body: JSON.stringify({ Cluster, ContainerInstanceArn: arn }) }));

// Any program may answer on this port before the ECS agent listens.
test.each(['other\nMAINPID=1', 'demo\n', `${cluster}\n`, 'two words', 'x'.repeat(256), ''])(
  'an ECS agent whose cluster is %j, which no cluster can be called, means "could not tell"',
  async (name) => {
    const { url } = await serveCluster(name);
    await expect(openEcsAgent(url).readAgent(patient)).rejects.toThrow(/has no Cluster/);
  },
);

test.each(['Demo-1_a', 'x'.repeat(255), cluster])('the cluster may be %s', async (name) => {
  const { url } = await serveCluster(name);
  expect(await openEcsAgent(url).readAgent(patient)).toMatchObject({ cluster: name });
});

/** Recorded from a real agent (test/samples/ecs-agent). */
async function readSample(name: string, change: (task: Record<string, unknown>) => void = () => {}) {
  const { task } = JSON.parse(readFileSync(`test/samples/ecs-agent/${name}.json`, 'utf8')) as {
    task: Record<string, unknown>;
  };
  change(task);
  const { url } = await serve(() => ({ body: JSON.stringify({ Tasks: [task] }) }));
  const tasks = await openEcsAgent(url).readTasks(patient);
  return tasks?.[0]?.containers ?? [];
}

const portsOf = (containers: Awaited<ReturnType<typeof readSample>>) =>
  containers.map(({ name, ports }) => [
    name,
    ports.map(({ containerPort, hostPort }) => `${containerPort}:${hostPort}`),
  ]);

describe('the ports of a real ECS agent', () => {
  test('are empty for a task without containers', async () => {
    expect(await readSample('task-pending-no-container')).toEqual([]);
  });

  test.each(['task-pending-before-create', 'task-pending-created-static-port-listed'])(
    '%s: omit a static port that is listed before its container runs',
    async (sample) => {
      expect(portsOf(await readSample(sample))).toEqual([['web', []]]);
    },
  );

  test('include a started container while its neighbours still start', async () => {
    expect(portsOf(await readSample('task-pending-some-started'))).toEqual([
      ['sidecar', ['7002:32773', '7002:32773']],
      ['slow', []],
      ['ess', []],
    ]);
  });

  test.each([
    ['task-running-hostnet', [['web', ['8082:8082']]]],
    ['task-running-mixed0', [['m', ['8081:19000', '8081:19000', '9010:32768', '9010:32768']]]],
    ['task-running-rp', [['m', ['9010:32808', '9010:32808']]]],
  ])('%s: include every port', async (sample, ports) => {
    expect(portsOf(await readSample(sample))).toEqual(ports);
  });

  test('count once the task runs when an old ECS agent gives no start time', async () => {
    const withoutStart = (task: Record<string, unknown>) => {
      for (const container of task['Containers'] as Record<string, unknown>[]) delete container['StartedAt'];
    };
    expect(portsOf(await readSample('task-running-rp', withoutStart))).toEqual([['m', ['9010:32808', '9010:32808']]]);
    expect(portsOf(await readSample('task-pending-some-started', withoutStart))).toContainEqual(['sidecar', []]);
  });

  test("have the task's own address in awsvpc mode, not the node's", async () => {
    const awsvpc = (task: Record<string, unknown>) => {
      for (const container of task['Containers'] as Record<string, unknown>[])
        container['Networks'] = [{ NetworkMode: 'awsvpc', IPv4Addresses: ['10.0.7.9'] }];
    };
    expect(await readSample('task-running-web', awsvpc)).toMatchObject([{ address: '10.0.7.9' }]);
    expect((await readSample('task-running-web'))[0]).not.toHaveProperty('address');
  });
});
