/** The CDK example: compiled, synthesised, linted, deployed to moto, and equal to cluster.yaml. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Policy } from '../../iam/policy.ts';
import { bySid } from '../cloudformation/rig/policies.ts';
import { openAccount, type Account } from '../cloudformation/rig/stack.ts';
import { bootWith } from '../cloudformation/rig/user-data.ts';
import { sorted, watchedBy, watchedByTemplate } from './alarm-facts.ts';
import { group, policyNames, printPolicy, scope } from './cli-policies.ts';
import { factsOf, factsOfTemplate } from './group-facts.ts';

const patient = 240_000;
const folder = 'examples/cdk';

interface Template {
  Resources: Record<string, { Type: string; Properties: Record<string, unknown> }>;
}

let out: string;
let file: string;
let template: Template;
/** The template of the example as it stands, for a cluster that exists. */
let beside: Template;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'cdk-'));
  const { context } = JSON.parse(await readFile(`${folder}/cdk.json`, 'utf8')) as { context: object };
  beside = JSON.parse(await readFile(await synthesise('beside', context), 'utf8')) as Template;
  file = await synthesise('example', { ...context, createCluster: true });
  template = JSON.parse(await readFile(file, 'utf8')) as Template;
}, patient);

/** As the cdk command runs the program, with the folder and the context in its environment. */
async function synthesise(name: string, context: object): Promise<string> {
  const env = { ...process.env, CDK_OUTDIR: join(out, name), CDK_CONTEXT_JSON: JSON.stringify(context) };
  await promisify(execFile)(process.execPath, ['app.ts'], { cwd: folder, env });
  return join(out, name, 'prod-nodes.template.json');
}

afterAll(() => rm(out, { recursive: true, force: true }));

test(
  'has no error of types',
  async () => {
    const run = promisify(execFile)('node_modules/.bin/tsc', [], { cwd: folder });
    const { stdout } = await run.catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  },
  patient,
);

test(
  'cfn-lint has nothing to say of the template',
  async () => {
    const { stdout } = await promisify(execFile)('cfn-lint', [file]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  },
  patient,
);

test('the group is the one of cloudformation/cluster.yaml', () => {
  expect(factsOf(template.Resources)).toEqual(factsOfTemplate());
});

test('the alarms watch the metrics of cloudformation/cluster.yaml', () => {
  const group = Object.keys(template.Resources).find((id) => id === 'NodeGroup')!;
  const named = JSON.parse(
    JSON.stringify(template.Resources).replaceAll(`{"Ref":"${group}"}`, '"the-group"'),
  ) as object;
  expect(sorted(watchedBy(named as Template['Resources']))).toEqual(watchedByTemplate('prod', 'the-group'));
});

test('a cluster that exists is neither created, nor deleted, nor given other capacity providers', () => {
  const types = Object.values(beside.Resources).map(({ Type }) => Type);
  expect(types.filter((type) => type.startsWith('AWS::ECS::'))).toEqual([]);
  expect(types).toContain('AWS::AutoScaling::AutoScalingGroup');
});

test.each(policyNames)('the role allows exactly what "ecs-node policy" prints: %s', async (name) => {
  const role = Object.values(template.Resources).find(({ Type }) => Type === 'AWS::IAM::Role')!;
  const policies = role.Properties['Policies'] as { PolicyName: string; PolicyDocument: unknown }[];
  expect(policies.map(({ PolicyName }) => PolicyName)).toEqual(policyNames);
  const found = filled(policies.find(({ PolicyName }) => PolicyName === name)!.PolicyDocument) as Policy;
  // CDK writes a list of one as its member.
  const Statement = found.Statement.map((each) => ({ ...each, Action: [each.Action].flat() }));
  expect(bySid({ ...found, Statement })).toEqual(bySid(await printPolicy(inject('binary'), name)));
});

test('nodes find the cluster in their user data', async () => {
  const launch = Object.values(template.Resources).find(({ Type }) => Type === 'AWS::EC2::LaunchTemplate')!;
  const { UserData } = launch.Properties['LaunchTemplateData'] as { UserData: { 'Fn::Base64': string } };
  expect(await bootWith(UserData['Fn::Base64'], ({ config }) => config)).toMatchObject({
    cluster: 'prod',
    registrar: 'ssm',
    ecs: { settings: { ECS_AWSVPC_BLOCK_IMDS: 'true' } },
    events: { bus: 'default' },
  });
});

test(
  'is created and deleted by CloudFormation, as moto plays it',
  async () => {
    const account = await openAccount();
    try {
      await provideParameters(account);
      const deployed = await synthesise('deployed', {
        cluster: 'prod',
        createCluster: true,
        ...(await networkOf(account)),
      });
      const stack = ['--stack-name', 'ecs-prod'];
      const body = ['--template-body', `file://${deployed}`, '--capabilities', 'CAPABILITY_IAM'];
      await account.aws('cloudformation', 'create-stack', ...stack, ...body);
      const { Stacks } = await account.aws<{ Stacks: { StackStatus: string }[] }>(
        'cloudformation',
        'describe-stacks',
        ...stack,
      );
      expect(Stacks.map(({ StackStatus }) => StackStatus)).toEqual(['CREATE_COMPLETE']);
      expect(await groupsOf(account)).toMatchObject([
        { AutoScalingGroupName: group, MinSize: 2, MaxSize: 4, DesiredCapacity: 2 },
      ]);
      await account.aws('cloudformation', 'delete-stack', ...stack);
      expect(await groupsOf(account)).toEqual([]);
    } finally {
      await account.close();
    }
  },
  patient,
);

async function groupsOf(account: Account): Promise<object[]> {
  const found = await account.aws<{ AutoScalingGroups: object[] }>('autoscaling', 'describe-auto-scaling-groups');
  return found.AutoScalingGroups;
}

async function networkOf(account: Account): Promise<object> {
  const { Subnets } = await account.aws<{ Subnets: { SubnetId: string }[] }>('ec2', 'describe-subnets');
  const { SecurityGroups } = await account.aws<{ SecurityGroups: { GroupId: string }[] }>(
    'ec2',
    'describe-security-groups',
  );
  return {
    subnets: Subnets.slice(0, 2).map(({ SubnetId }) => SubnetId),
    securityGroups: SecurityGroups.slice(0, 1).map(({ GroupId }) => GroupId),
  };
}

/** The image, and the version that `cdk bootstrap` leaves in an account. */
async function provideParameters(account: Account): Promise<void> {
  const { Images } = await account.aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  const values = { '/ami/ecs/latest': Images[0]!.ImageId, '/cdk-bootstrap/hnb659fds/version': '21' };
  for (const [name, value] of Object.entries(values))
    await account.aws('ssm', 'put-parameter', '--type', 'String', '--name', name, '--value', value);
}

/** CDK joins the parts of an ARN; the pseudo parameters get the values of the printed policy. */
function filled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(filled);
  if (typeof value !== 'object' || value === null) return value;
  const { Ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  const pseudo: Record<string, string> = {
    'AWS::Partition': scope.partition,
    'AWS::Region': scope.region,
    'AWS::AccountId': scope.account,
  };
  if (Ref !== undefined) return pseudo[Ref];
  if (join) return join[1].map(filled).join(join[0]);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each)]));
}
