/** The pages' commands of the AWS CLI, as they stand there, in an account that moto plays. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openAccount, type Account } from '../cloudformation/rig/stack.ts';
import { planned } from './plan.ts';

/** A call of the AWS CLI takes a second, and moto makes its images at the first one. */
const patient = 240_000;
const region = 'eu-west-1';
/** The pages' names of what is the reader's. */
const own = { CLUSTER: 'prod', GROUP: 'mine', ROLE: 'nodes', ACCOUNT: '123456789012', REGION: region };

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
  await provideImage();
  await provideGroupAndRole(first!);
}, patient);
afterAll(async () => {
  await account.close();
  await rm(folder, { recursive: true });
});

/** `packer build` has written the image's id. */
async function provideImage(): Promise<void> {
  const { Images } = await aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  await aws('ssm', 'put-parameter', '--name', '/ami/ecs/latest', '--type', 'String', '--value', Images[0]!.ImageId);
}

/** The reader has a group and a role. */
async function provideGroupAndRole(subnet: string): Promise<void> {
  const trust = { Version: '2012-10-17', Statement: [] };
  await aws('iam', 'create-role', '--role-name', own.ROLE, '--assume-role-policy-document', JSON.stringify(trust));
  const { Images } = await aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  const data = JSON.stringify({ ImageId: Images[0]!.ImageId, InstanceType: 'm5.large' });
  await aws('ec2', 'create-launch-template', '--launch-template-name', 'mine', '--launch-template-data', data);
  const sizes = ['--min-size', '0', '--max-size', '2'];
  const template = ['--launch-template', 'LaunchTemplateName=mine', '--vpc-zone-identifier', subnet];
  await aws('autoscaling', 'create-auto-scaling-group', '--auto-scaling-group-name', own.GROUP, ...sizes, ...template);
}

test.each(planned('account'))(
  '$page: $command',
  async ({ command }) => {
    const text = Object.entries(ids).reduce((done, [page, real]) => done.replaceAll(page, real), command);
    const env = {
      ...account.environment,
      ...own,
      PATH: `${folder}:${process.env['PATH']}`,
      AWS_DEFAULT_REGION: region,
    };
    const { stderr } = await promisify(execFile)('sh', ['-ec', text], { cwd: folder, env });
    expect(stderr).toBe('');
    await (results[command.split('\n')[0]!] ?? (() => undefined))();
  },
  patient,
);

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
  'for name in node ecs-agent systems-manager; do': async () => {
    const { PolicyNames } = await aws<{ PolicyNames: string[] }>('iam', 'list-role-policies', '--role-name', own.ROLE);
    expect(PolicyNames.toSorted()).toEqual(['ecs-node-ecs-agent', 'ecs-node-node', 'ecs-node-systems-manager']);
    expect(await readFile(join(folder, 'node.json'), 'utf8')).toContain(`autoScalingGroupName/${own.GROUP}`);
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
