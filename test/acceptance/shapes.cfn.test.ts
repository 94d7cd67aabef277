/** The calls of the acceptance as AWS's own CLI makes and reads them, by its models. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { templateOf } from '../../scripts/acceptance/fault-injection.ts';
import { startSimulator, type Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';

let simulator: Simulator | undefined;
afterEach(async () => simulator?.close());

async function open(): Promise<(...args: string[]) => Promise<Record<string, unknown>>> {
  simulator = await startSimulator({
    settings: { ssm: { onlineAfterMs: 0 } },
    onCommand: async (_, script) => ({ code: 3, stdout: script, stderr: 'no' }),
  });
  const env = {
    ...simulator.operatorEnvironment(),
    PATH: process.env['PATH'],
    AWS_PAGER: '',
    AWS_DEFAULT_REGION: 'us-east-1',
  };
  return async (...args) => {
    const { stdout } = await promisify(execFile)('aws', [...args, '--output', 'json'], { env });
    return stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
  };
}

test('an experiment of Fault Injection Service is made, run, read and deleted', async () => {
  const aws = await open();
  const { id } = await simulator!.verbs.launch({ purchase: 'spot' });
  const request = templateOf(
    `arn:aws:ec2:us-east-1:123456789012:instance/${id}`,
    'arn:aws:iam::123456789012:role/fault-injection',
  );
  const made = await aws('fis', 'create-experiment-template', '--cli-input-json', JSON.stringify(request));
  const template = (made['experimentTemplate'] as { id: string }).id;
  const started = await aws('fis', 'start-experiment', '--experiment-template-id', template);
  const experiment = (started['experiment'] as { id: string }).id;
  expect(await aws('fis', 'get-experiment', '--id', experiment)).toMatchObject({
    experiment: { id: experiment, experimentTemplateId: template, state: { status: 'completed' } },
  });
  await aws('fis', 'delete-experiment-template', '--id', template);
  expect(simulator!.world.instances.get(id)?.notices.spot?.action).toBe('terminate');
});

test('a command of Systems Manager is sent, and its output read', async () => {
  const aws = await open();
  const { id } = await simulator!.verbs.launch();
  await waitFor('managed', () => simulator!.world.managed.get(id)?.ping === 'Online');
  const sent = await aws(
    'ssm',
    'send-command',
    '--instance-ids',
    id,
    '--document-name=AWS-RunShellScript',
    '--parameters={"commands":["a","b"]}',
  );
  const { CommandId } = sent['Command'] as { CommandId: string };
  const read = () => aws('ssm', 'get-command-invocation', '--command-id', CommandId, '--instance-id', id);
  await waitFor('it has run', async () => (await read())['Status'] !== 'InProgress');
  expect(await read()).toMatchObject({
    Status: 'Failed',
    ResponseCode: 3,
    StandardOutputContent: 'a\nb',
    StandardErrorContent: 'no',
  });
});

test('an instance refresh is started, and read until it is over', async () => {
  const aws = await open();
  const [old] = await simulator!.verbs.scaleTo('ecs-nodes', 1);
  const group = ['--auto-scaling-group-name', 'ecs-nodes'];
  await waitFor(
    'in service',
    () => simulator!.world.groups.get('ecs-nodes')?.members.get(old!.id)?.state === 'InService',
  );
  const preferences = '{"MinHealthyPercentage":0,"InstanceWarmup":0}';
  const { InstanceRefreshId: id } = await aws(
    'autoscaling',
    'start-instance-refresh',
    ...group,
    '--preferences',
    preferences,
  );
  const read = async () =>
    (await aws('autoscaling', 'describe-instance-refreshes', ...group))['InstanceRefreshes'] as { Status: string }[];
  await waitFor('over', async () => (await read())[0]?.Status === 'Successful');
  expect(await read()).toMatchObject([{ InstanceRefreshId: id, PercentageComplete: 100, InstancesToUpdate: 0 }]);
  expect(simulator!.world.groups.get('ecs-nodes')?.members.has(old!.id)).toBe(false);
});
