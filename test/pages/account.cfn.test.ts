/** The pages' commands of the AWS CLI, as they stand there, in an account that moto plays. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { sorted, watchedBy, watchedByTemplate } from '../examples/alarm-facts.ts';
import { openAccount, type Account } from '../cloudformation/rig/stack.ts';
import { plan } from './plan.ts';
import { inUse, provideGroupAndRole, provideImage } from './provided.ts';

/** A call of the AWS CLI takes a second, and moto makes its images at the first one. */
const patient = 240_000;
const region = 'eu-west-1';
/** The names of things that the reader of a page has already. */
const own = { GROUP: 'my-group', ROLE: 'nodes', ACCOUNT: '123456789012' };
/** The variables that the pages' commands have set so far. */
const variables: Record<string, string> = {};

let account: Account;
let folder: string;
/** The pages' ids of subnets and security groups, and those that moto has. */
let ids: Record<string, string>;

const aws = <T>(...words: string[]) => account.aws<T>(...words, '--region', region);

beforeAll(async () => {
  account = await openAccount();
  folder = await mkdtemp(join(tmpdir(), 'account-'));
  await symlink(inject('binary'), join(folder, 'ecs-node'));
  await symlink(resolve('cloudformation'), join(folder, 'cloudformation'));
  const { Subnets } = await aws<{ Subnets: { SubnetId: string }[] }>('ec2', 'describe-subnets');
  const { SecurityGroups } = await aws<{ SecurityGroups: { GroupId: string }[] }>('ec2', 'describe-security-groups');
  const [first, second] = Subnets.map(({ SubnetId }) => SubnetId);
  ids = {
    'subnet-0123456789abcdef0': first!,
    'subnet-0fedcba9876543210': second!,
    'sg-0123456789abcdef0': SecurityGroups[0]!.GroupId,
  };
  await provideImage(aws, first!);
  await provideGroupAndRole(aws, own, first!);
}, patient);
afterAll(async () => {
  await account.close();
  await rm(folder, { recursive: true });
});

/** With the commands that write user data, which later commands use. */
const commands = plan.filter(({ page, how }) => how === 'account' || (how === 'user-data' && page !== 'README.md'));

test.each(commands)(
  '$page: $command',
  async ({ command }) => {
    const text = Object.entries(ids).reduce((done, [page, real]) => done.replaceAll(page, real), command);
    const env = {
      ...account.environment,
      ...variables,
      PATH: `${folder}:${process.env['PATH']}`,
      AWS_DEFAULT_REGION: region,
    };
    const names = [...command.matchAll(/(?:^| )([A-Z]+)=/g)].map(([, name]) => name!);
    const script = `${text}\n${names.map((name) => `echo "${name}=$${name}"`).join('\n')}`;
    const { stdout, stderr } = await promisify(execFile)('sh', ['-ec', script], { cwd: folder, env });
    expect(stderr).toBe('');
    for (const [, name, value] of stdout.matchAll(/^([A-Z]+)=(.+)$/gm)) variables[name!] = value!;
    expect(variables).toMatchObject(Object.fromEntries(names.map((name) => [name, expect.not.stringMatching('None')])));
    await (results[command.split('\n')[0]!] ?? (() => undefined))();
  },
  patient,
);

async function checkTemplate(): Promise<void> {
  const template = ['--launch-template-name', own.GROUP];
  const { LaunchTemplateVersions } = await aws<{ LaunchTemplateVersions: { LaunchTemplateData: LaunchData }[] }>(
    'ec2',
    'describe-launch-template-versions',
    ...template,
    '--versions',
    '1',
    '2',
  );
  const [first, second] = LaunchTemplateVersions.map(({ LaunchTemplateData }) => LaunchTemplateData);
  expect(second!.MetadataOptions).toEqual({
    HttpTokens: 'required',
    HttpPutResponseHopLimit: 1,
    InstanceMetadataTags: 'enabled',
  });
  expect(Buffer.from(second!.UserData, 'base64').toString()).toBe(
    '#!/bin/sh\nexec ecs-node configure --cluster my-cluster --registrar ssm --set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true\n',
  );
  // Unlike EC2, moto takes nothing from the source version, and launches no node with user data.
  const data = JSON.stringify({ ...first, MetadataOptions: second!.MetadataOptions });
  await aws('ec2', 'create-launch-template-version', ...template, '--launch-template-data', data);
}

/** Looks at the change that a command has made, by the command's first line. */
const results: Record<string, () => Promise<void>> = {
  'aws cloudformation wait stack-create-complete --region eu-west-1 --stack-name ecs-try': async () => {
    const { clusterArns } = await aws<{ clusterArns: string[] }>('ecs', 'list-clusters');
    expect(clusterArns).toEqual([`arn:aws:ecs:${region}:${own.ACCOUNT}:cluster/try`]);
  },
  'aws cloudformation delete-stack --region eu-west-1 --stack-name ecs-try': async () => {
    const { StackSummaries } = await aws<{ StackSummaries: object[] }>('cloudformation', 'list-stacks');
    expect(StackSummaries).toMatchObject([{ StackName: 'ecs-try', StackStatus: 'DELETE_COMPLETE' }]);
  },
  'aws ssm delete-parameters --region eu-west-1 --names $(aws ssm get-parameters-by-path --region eu-west-1 --path /ami/ecs-try \\':
    async () => {
      const { Parameters } = await aws<{ Parameters: object[] }>(
        'ssm',
        'get-parameters-by-path',
        '--path',
        '/ami/ecs-try',
      );
      expect(Parameters).toEqual([]);
      const { Parameter } = await aws<{ Parameter: object }>('ssm', 'get-parameter', '--name', inUse);
      expect(Parameter).toMatchObject({ Name: inUse });
    },
  [`aws ec2 create-launch-template-version --region "$REGION" --launch-template-id "$TEMPLATE" --source-version '$Latest' \\`]:
    checkTemplate,
  'for name in ecs-node ecs-agent systems-manager; do': async () => {
    const { PolicyNames } = await aws<{ PolicyNames: string[] }>('iam', 'list-role-policies', '--role-name', own.ROLE);
    expect(PolicyNames.toSorted()).toEqual(['ecs-agent', 'ecs-node', 'systems-manager']);
    expect(await readFile(join(folder, 'ecs-node.json'), 'utf8')).toContain(`autoScalingGroupName/${own.GROUP}`);
  },
};

test('the group has the two hooks of the page', async () => {
  const { LifecycleHooks } = await aws<{ LifecycleHooks: { LifecycleHookName: string }[] }>(
    'autoscaling',
    'describe-lifecycle-hooks',
    '--auto-scaling-group-name',
    own.GROUP,
  );
  expect(LifecycleHooks.map(({ LifecycleHookName }) => LifecycleHookName).toSorted()).toEqual([
    'ecs-node-launch',
    'ecs-node-terminate',
  ]);
});

test('the group launches one node of the newest version', async () => {
  const { AutoScalingGroups } = await aws<{ AutoScalingGroups: { DesiredCapacity: number }[] }>(
    'autoscaling',
    'describe-auto-scaling-groups',
    '--auto-scaling-group-names',
    own.GROUP,
  );
  expect(AutoScalingGroups).toMatchObject([{ DesiredCapacity: 1, LaunchTemplate: { Version: '$Latest' } }]);
});

test('the role has only the policies of the page', async () => {
  const { AttachedPolicies } = await aws<{ AttachedPolicies: object[] }>(
    'iam',
    'list-attached-role-policies',
    '--role-name',
    own.ROLE,
  );
  expect(AttachedPolicies).toEqual([]);
});

test('events of the cluster go to the log that "fleet --history" reads, and the alarms exist', async () => {
  const { Targets } = await aws<{ Targets: object[] }>('events', 'list-targets-by-rule', '--rule', rule);
  const Arn = `arn:aws:logs:${region}:${own.ACCOUNT}:log-group:/ecs-node/my-cluster/events`;
  expect(Targets).toEqual([{ Id: 'log', Arn }]);
  const { resourcePolicies } = await aws<{ resourcePolicies: { policyDocument: string }[] }>(
    'logs',
    'describe-resource-policies',
  );
  expect(JSON.parse(resourcePolicies[0]!.policyDocument)).toMatchObject({ Statement: [{ Resource: `${Arn}:*` }] });
  const { MetricAlarms } = await aws<{ MetricAlarms: { AlarmName: string }[] }>('cloudwatch', 'describe-alarms');
  expect(sorted(watchedBy(Object.fromEntries(MetricAlarms.map((each) => [each.AlarmName, asResource(each)]))))).toEqual(
    watchedByTemplate('my-cluster', own.GROUP),
  );
});

const rule = 'ecs-node-my-cluster-events';
const asResource = (Properties: object) => ({ Type: 'AWS::CloudWatch::Alarm', Properties });

interface LaunchData {
  UserData: string;
  MetadataOptions: object;
}
