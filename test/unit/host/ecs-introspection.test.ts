import { expect, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { openEcsAgent } from '../../../host/ecs-introspection.ts';
import { nobody, serve } from './local-server.ts';

const patient = new AbortController().signal;
const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0123456789abcdef0123456789abcdef';

test('an agent that nobody can reach is not registered, which is no trouble', async () => {
  const agent = openEcsAgent(await nobody());
  expect(await agent.readAgent(patient)).toBeUndefined();
  expect(await agent.readTasks(patient)).toBeUndefined();
});

test('an agent without an ARN has not registered yet', async () => {
  const { url } = await serve(() => ({
    body: '{"Cluster":"demo","ContainerInstanceArn":null,"Version":"Amazon ECS Agent - v1.106.1 (*1)"}',
  }));
  expect(await openEcsAgent(url).readAgent(patient)).toEqual({
    cluster: 'demo',
    version: 'Amazon ECS Agent - v1.106.1 (*1)',
  });
});

test('reads the agent and its tasks, as they are spelled on the wire', async () => {
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

test('an agent that has no tasks has none', async () => {
  const { url } = await serve(() => ({ body: '{"Tasks":null}' }));
  expect(await openEcsAgent(url).readTasks(patient)).toEqual([]);
});

test.each([
  ['fails', { status: 500 }],
  ['answers with a web page', { body: '<html>' }],
  ['answers with a list', { body: '"x"' }],
  ['answers with other things', { body: '{"Tasks":[{}]}' }],
])('an agent that %s is "could not tell", never "no tasks"', async (_, reply) => {
  const { url } = await serve(() => reply);
  await expect(openEcsAgent(url).readAgent(patient)).rejects.toThrow(Unavailable);
  await expect(openEcsAgent(url).readTasks(patient)).rejects.toThrow(Unavailable);
});
