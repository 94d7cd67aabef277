/**
 * The cluster's template: sound, deployed, updated to a new image, and its nodes allowed what they
 * ask for and no more.
 */

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { departureMetrics } from '../../agent/departure/report-departure.ts';
import { metricsOf } from '../../agent/publish.ts';
import { parseConfig } from '../../config/config.ts';
import { readArgs } from '../../commands/fleet/lambda.ts';
import { fleetCommandNamed } from '../../commands/fleet/table-fleet.ts';
import { sweepPermissions } from '../../iam/fleet-permissions.ts';
import { fleetPolicy } from '../../iam/fleet-policy.ts';
import { policyFor } from '../../iam/policy.ts';
import { serviceSizePermissions } from '../../iam/service-size-permissions.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { patienceMs } from '../../fleet/size-service.ts';
import { makeLambdaZip, pack } from '../../scripts/lambda/zip.ts';
import { unzipSync } from 'fflate';
import { parse } from 'yaml';
import { openAccount, type Account } from './rig/stack.ts';
import { readTemplate } from './rig/template.ts';

const run = promisify(execFile);
/**
 * The AWS CLI is a second of processor time a call, and moto makes its images when it is first
 * asked.
 */
const patient = 240_000;
const template = readTemplate();
let account: Account;
let network: { subnets: string; securityGroup: string };
let images: string[];

beforeAll(async () => {
  account = await openAccount();
  const { Subnets } = await account.aws<{ Subnets: { SubnetId: string }[] }>('ec2', 'describe-subnets');
  const { SecurityGroups } = await account.aws<{ SecurityGroups: { GroupId: string }[] }>(
    'ec2',
    'describe-security-groups',
  );
  network = {
    subnets: Subnets.slice(0, 2)
      .map(({ SubnetId }) => SubnetId)
      .join(','),
    securityGroup: SecurityGroups[0]!.GroupId,
  };
  const found = await account.aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
  images = found.Images.slice(0, 2).map(({ ImageId }) => ImageId);
  await bake(images[0]!);
}, patient);
afterAll(() => account.close());

async function bake(image: string): Promise<void> {
  await account.aws(
    'ssm',
    'put-parameter',
    '--name',
    '/ami/ecs/latest',
    '--type',
    'String',
    '--overwrite',
    '--value',
    image,
  );
}

async function deploy(
  verb: 'create-stack' | 'update-stack',
  name: string,
  given: Record<string, string>,
  text?: string,
): Promise<void> {
  const values = { SubnetIds: network.subnets, SecurityGroupIds: network.securityGroup, ...given };
  const parameters = Object.entries(values).map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }));
  const body = [
    '--template-body',
    text ?? (await readFile('cloudformation/cluster.yaml', 'utf8')),
    '--capabilities',
    'CAPABILITY_IAM',
  ];
  await account.aws('cloudformation', verb, '--stack-name', name, ...body, '--parameters', JSON.stringify(parameters));
}

interface Group {
  AutoScalingGroupName: string;
  MinSize: number;
  MaxSize: number;
  DesiredCapacity: number;
  LaunchTemplate?: { LaunchTemplateId: string; Version: string };
  MixedInstancesPolicy: {
    LaunchTemplate: {
      LaunchTemplateSpecification: { LaunchTemplateId: string; Version: string };
      Overrides: { InstanceType: string }[];
    };
  };
}

async function readGroup(stack: string): Promise<Group> {
  const found = await account.aws<{ AutoScalingGroups: Group[] }>('autoscaling', 'describe-auto-scaling-groups');
  return found.AutoScalingGroups.find((group) => group.AutoScalingGroupName.startsWith(`${stack}-NodeGroup-`))!;
}

/** The names of a role's policies, and what the one for ecs-node allows. */
async function readRole(
  prefix: string,
  name = 'ecs-node',
): Promise<{ names: string[]; allowed: ReturnType<typeof policyFor> }> {
  const { Roles } = await account.aws<{ Roles: { RoleName: string }[] }>('iam', 'list-roles');
  const role = ['--role-name', Roles.find(({ RoleName }) => RoleName.startsWith(prefix))!.RoleName];
  const { PolicyNames: names } = await account.aws<{ PolicyNames: string[] }>('iam', 'list-role-policies', ...role);
  const { PolicyDocument: document } = await account.aws<{ PolicyDocument: string | ReturnType<typeof policyFor> }>(
    'iam',
    'get-role-policy',
    ...role,
    '--policy-name',
    name,
  );
  // Of a role itself as text, and Python's way of writing it: near enough to YAML.
  const allowed = typeof document === 'string' ? (parse(document) as ReturnType<typeof policyFor>) : document;
  return { names, allowed };
}

interface LaunchData {
  ImageId: string;
  InstanceType: string;
  KeyName?: string;
  UserData: string;
  IamInstanceProfile: { Name: string };
  MetadataOptions: Record<string, unknown>;
  BlockDeviceMappings: { DeviceName: string; Ebs: Record<string, unknown> }[];
}

/** What a node that the group launches now is made from. */
async function readLaunchData(stack: string): Promise<LaunchData> {
  const group = await readGroup(stack);
  const { LaunchTemplateId, Version } =
    group.LaunchTemplate ?? group.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification;
  const words = ['--launch-template-id', LaunchTemplateId, '--versions', Version];
  const found = await account.aws<{ LaunchTemplateVersions: { LaunchTemplateData: LaunchData }[] }>(
    'ec2',
    'describe-launch-template-versions',
    ...words,
  );
  return found.LaunchTemplateVersions[0]!.LaunchTemplateData;
}

const userData = ({ UserData }: LaunchData) => Buffer.from(UserData, 'base64').toString('utf8');

test('cfn-lint has nothing to say', async () => {
  const { stdout } = await run('cfn-lint', ['cloudformation/cluster.yaml']).catch((error: { stdout: string }) => error);
  expect(stdout).toBe('');
});

test('the most nodes there may be are twice those there are, whatever their number', () => {
  const sizes = Object.entries(template.Mappings.Twice);
  expect(sizes.map(([size]) => Number(size))).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  expect(sizes.filter(([size, { Nodes }]) => Number(Nodes) !== 2 * Number(size))).toEqual([]);
});

test('the example of a parameter file has parameters that the template knows, and all that it needs', async () => {
  const text = await readFile('cloudformation/parameters.example.json', 'utf8');
  const given = (JSON.parse(text) as { ParameterKey: string }[]).map(({ ParameterKey }) => ParameterKey);
  expect(given.filter((name) => !(name in template.Parameters))).toEqual([]);
  const needed = Object.entries(template.Parameters).filter(([, { Default }]) => Default === undefined);
  expect(given).toEqual(expect.arrayContaining(needed.map(([name]) => name)));
});

describe('a new cluster, with the least one can say', () => {
  beforeAll(() => deploy('create-stack', 'least', { EcsClusterName: 'prod', ClusterSize: '3' }), patient);

  test('stands: all that moto can make is made', async () => {
    const { Stacks } = await account.aws<{
      Stacks: { StackStatus: string; Outputs: { OutputKey: string; OutputValue: string }[] }[];
    }>('cloudformation', 'describe-stacks', '--stack-name', 'least');
    expect(Stacks[0]!.StackStatus).toBe('CREATE_COMPLETE');
    const outputs = Object.fromEntries(
      Stacks[0]!.Outputs.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]),
    );
    expect(outputs).toMatchObject({ ClusterName: 'prod', GroupMaxSize: '6', ImageId: images[0] });
    const { StackResourceSummaries } = await account.aws<{ StackResourceSummaries: { ResourceType?: string }[] }>(
      'cloudformation',
      'list-stack-resources',
      '--stack-name',
      'least',
    );
    const types = StackResourceSummaries.map(({ ResourceType }) => ResourceType);
    // Functions are there only where somebody asks for them.
    expect(types.filter((type) => /Lambda|Logs|Events/.test(type ?? ''))).toEqual([]);
    expect(types).toEqual(
      expect.arrayContaining([
        'AWS::ECS::Cluster',
        'AWS::IAM::Role',
        'AWS::IAM::InstanceProfile',
        'AWS::EC2::LaunchTemplate',
        'AWS::AutoScaling::AutoScalingGroup',
        'AWS::CloudWatch::Dashboard',
      ]),
    );
  });

  test('has room for a rolling update', async () => {
    expect(await readGroup('least')).toMatchObject({ MinSize: 3, MaxSize: 6, DesiredCapacity: 3 });
  });

  test('launches nodes from the image, without IMDSv1, with metadata out of the reach of tasks', async () => {
    expect(await readLaunchData('least')).toMatchObject({
      ImageId: images[0],
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, InstanceMetadataTags: 'enabled' },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 100, VolumeType: 'gp3', Encrypted: true } }],
    });
  });

  test("gives nodes one line of user data that ecs-node accepts, with the names of the group's own hooks", async () => {
    const [shebang, command, ...rest] = userData(await readLaunchData('least')).split('\n');
    expect([shebang, ...rest]).toEqual(['#!/bin/sh', '']);
    const { config } = await configure(command!);
    expect(config).toMatchObject({ cluster: 'prod', registrar: 'ssm' });
    const hooks = template.Resources['NodeGroup']!.Properties['LifecycleHookSpecificationList'] as Record<
      string,
      string
    >[];
    expect(hooks.map((hook) => [hook['LifecycleTransition'], hook['LifecycleHookName']])).toEqual([
      ['autoscaling:EC2_INSTANCE_LAUNCHING', config.autoScaling.launchHook],
      ['autoscaling:EC2_INSTANCE_TERMINATING', config.autoScaling.terminateHook],
    ]);
  });

  test('waits for hooks as long as a node may take without a heartbeat', async () => {
    const { config } = await configure(userData(await readLaunchData('least')).split('\n')[1]!);
    const hooks = template.Resources['NodeGroup']!.Properties['LifecycleHookSpecificationList'] as Record<
      string,
      number
    >[];
    const [launch, terminate] = hooks.map((hook) => hook['HeartbeatTimeout']!);
    expect(launch).toBe(config.autoScaling.launchHookSeconds);
    expect(launch).toBeGreaterThanOrEqual(config.bootstrap.timeoutSeconds + config.join.timeoutSeconds);
    expect(terminate).toBeGreaterThanOrEqual(config.leave.drainSeconds + config.leave.deregistrationSeconds);
  });

  test('gives nodes the permissions that "ecs-node policy" prints, and no other', async () => {
    const { names, allowed } = await readRole('least-NodeRole-');
    expect(names).toEqual(['ecs-node']);
    const { config } = await configure(userData(await readLaunchData('least')).split('\n')[1]!);
    const scope = { partition: 'aws', region: 'us-east-1', account: '123456789012', group: 'least-NodeGroup-*' };
    expect(bySid(allowed)).toEqual(bySid(policyFor(config, scope)));

    // moto attaches none, so these are read and not asked for.
    const attached = JSON.stringify(template.Resources['NodeRole']!.Properties['ManagedPolicyArns']);
    expect([...attached.matchAll(/:aws:policy\/([\w/-]+)/g)].map(([, name]) => name)).toEqual([
      'service-role/AmazonEC2ContainerServiceforEC2Role',
      'AmazonSSMManagedInstanceCore',
    ]);
  });

  test('a new image in the parameter reaches the next nodes by an update with the same parameters', async () => {
    await bake(images[1]!);
    // moto compares the texts of two templates and not the values in them: what shall be looked at
    // again must read differently.
    const text = (await readFile('cloudformation/cluster.yaml', 'utf8'))
      .replace('      LaunchTemplateData:\n', '      VersionDescription: next\n      LaunchTemplateData:\n')
      .replace('      HealthCheckType: EC2\n', "      HealthCheckType: EC2\n      Cooldown: '300'\n");
    await deploy('update-stack', 'least', { EcsClusterName: 'prod', ClusterSize: '3' }, text);
    const group = await readGroup('least');
    expect(group.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.Version).toBe('2');
    expect(await readLaunchData('least')).toMatchObject({
      ImageId: images[1],
      MetadataOptions: { HttpTokens: 'required' },
    });
  });
});

describe('a parameter file of ecs-cluster-manager', () => {
  const given = {
    EcsClusterName: 'DevCluster',
    EcsAmiParameterKey: '/ami/ecs/latest',
    IamRoleInstanceProfile: 'EcsInstanceRole',
    EcsInstanceType: 'm4.large',
    EbsVolumeSize: '100',
    ClusterSize: '2',
    ClusterMaxSize: '5',
    KeyName: 'dev-cluster',
    DeploymentS3Bucket: 'ecs-deployment',
    LifecycleLaunchFunctionZip: 'ecs-lifecycle-hook-launch.zip',
    LifecycleTerminateFunctionZip: 'ecs-lifecycle-hook-terminate.zip',
    LambdaFunctionRole: 'LambdaECSScalingRole',
  };
  beforeAll(() => deploy('create-stack', 'seed', given), patient);

  test('has only parameters that are still there under their names', () => {
    const names = [...Object.keys(given), 'SubnetIds', 'SecurityGroupIds'];
    expect(names.filter((name) => !(name in template.Parameters))).toEqual([]);
  });

  test('means what it meant: sizes, key, type and profile', async () => {
    expect(await readGroup('seed')).toMatchObject({ MinSize: 2, MaxSize: 5 });
    expect(await readLaunchData('seed')).toMatchObject({
      InstanceType: 'm4.large',
      KeyName: 'dev-cluster',
      IamInstanceProfile: { Name: 'EcsInstanceRole' },
    });
  });
});

describe('spot and several types', () => {
  const given = {
    EcsClusterName: 'spot',
    SecondInstanceType: 'm6i.large',
    OnDemandBaseCapacity: '1',
    OnDemandPercentage: '0',
  };
  beforeAll(
    () =>
      deploy('create-stack', 'spot', {
        ...given,
        EcsInstanceType: 'm7i.large',
        NodeFlags: '--set spot.marginSeconds=30',
      }),
    patient,
  );

  test('are mixed as asked, and further flags reach the node', async () => {
    expect((await readGroup('spot')).MixedInstancesPolicy).toMatchObject({
      LaunchTemplate: { Overrides: [{ InstanceType: 'm7i.large' }, { InstanceType: 'm6i.large' }] },
      InstancesDistribution: { OnDemandBaseCapacity: 1, OnDemandPercentageAboveBaseCapacity: 0 },
    });
    const { config } = await configure(userData(await readLaunchData('spot')).split('\n')[1]!);
    expect(config.spot.marginSeconds).toBe(30);
  });
});

test('the template is small enough to be given as it is, without a bucket', async () => {
  expect((await readFile('cloudformation/cluster.yaml')).length).toBeLessThan(51_200);
});

describe('a fleet that functions look after', () => {
  const given = { EcsClusterName: 'sized', FleetCodeBucket: 'code', SizedService: 'web', SweepRate: 'rate(1 hour)' };
  const scope = { partition: 'aws', region: 'us-east-1', account: '123456789012' };
  beforeAll(async () => {
    await account.aws('s3api', 'create-bucket', '--bucket', 'code');
    const folder = await mkdtemp(join(tmpdir(), 'code-'));
    const file = join(folder, 'zip');
    await writeFile(file, pack({ 'lambda.js': Buffer.from('exports.serviceSize = async () => ({});') }));
    await account.aws('s3api', 'put-object', '--bucket', 'code', '--key', 'ecs-node-lambda.zip', '--body', file);
    await rm(folder, { recursive: true });
    ({ zip } = await makeLambdaZip());
    await deploy('create-stack', 'sized', given);
    await deploy('create-stack', 'acting', {
      ...given,
      EcsClusterName: 'acting',
      SizedServiceSpare: '2',
      SizedServiceMax: '9',
      ServiceSizeApply: 'true',
      ServiceSizeRate: 'rate(5 minutes)',
      SweepApply: 'true',
    });
    ({ Functions: functions } = await account.aws<{ Functions: typeof functions }>('lambda', 'list-functions'));
    ({ Rules: rules } = await account.aws<{ Rules: typeof rules }>('events', 'list-rules'));
    ({ logGroups } = await account.aws<{ logGroups: typeof logGroups }>('logs', 'describe-log-groups'));
  }, patient);
  // Asked for once: each call of the AWS CLI is a second of processor time.
  let zip: Uint8Array;
  let functions: FunctionConfiguration[];
  let rules: { Name: string; ScheduleExpression: string; State: string }[];
  let logGroups: { logGroupName: string; retentionInDays?: number }[];

  interface FunctionConfiguration {
    FunctionName: string;
    FunctionArn: string;
    Handler: string;
    Runtime: string;
    Timeout: number;
    Environment: { Variables: Record<string, string> };
  }

  type Which = 'ServiceSize' | 'Sweep';

  const functionOf = (stack: string, which: Which) =>
    functions.find(({ FunctionName }) => FunctionName.startsWith(`${stack}-${which}Function-`))!;

  /** Values are strings, which moto does not make of numbers. */
  function environmentOf(stack: string, which: Which): Record<string, string> {
    const { Variables } = functionOf(stack, which).Environment;
    return Object.fromEntries(Object.entries(Variables).map(([name, value]) => [name, String(value)]));
  }

  test('is swept with an environment that the command takes, and nothing is changed until it shall be', async () => {
    const command = fleetCommandNamed('sweep');
    const { AutoScalingGroupName: group } = await readGroup('sized');
    expect(readArgs(command, environmentOf('sized', 'Sweep')).flags).toEqual({
      json: true,
      cluster: 'sized',
      group: [group],
      apply: false,
    });
    expect(readArgs(command, environmentOf('acting', 'Sweep')).flags).toMatchObject({ apply: true });
  });

  test('is swept with what "ecs-node policy --for sweep" prints, for its own group and without OpsWorks', async () => {
    const needed = sweepPermissions.filter(({ action }) => !action.startsWith('opsworks:'));
    const expected = (stack: string, apply: boolean) => {
      const policy = fleetPolicy(needed, { cluster: stack, service: '*', apply }, scope);
      return allowances(policy).map(({ Resource, ...rest }) => ({
        ...rest,
        Resource: String(Resource).replace('autoScalingGroupName/*', `autoScalingGroupName/${stack}-NodeGroup-*`),
      }));
    };
    const sized = await readRole('sized-SweepRole-');
    expect(sized.names.toSorted()).toEqual(['ecs-node', 'log']);
    expect(allowances(sized.allowed)).toEqual(expected('sized', false));
    const acting = await readRole('acting-SweepRole-');
    expect(acting.names.toSorted()).toEqual(['ecs-node', 'ecs-node-deeds', 'log']);
    const deeds = await readRole('acting-SweepRole-', 'ecs-node-deeds');
    expect(allowances(acting.allowed, deeds.allowed)).toEqual(expected('acting', true));
  });

  test('gets an environment that the sizing command takes, and changes nothing until it is told to', () => {
    const command = fleetCommandNamed('service-size');
    expect(readArgs(command, environmentOf('sized', 'ServiceSize')).flags).toEqual({
      json: true,
      cluster: 'sized',
      service: 'web',
      spare: '1',
      min: '2',
      apply: false,
    });
    expect(readArgs(command, environmentOf('acting', 'ServiceSize')).flags).toMatchObject({
      spare: '2',
      max: '9',
      apply: true,
    });
  });

  test('may do what "ecs-node policy --for service-size" prints, and change something only where it shall', async () => {
    for (const [stack, apply] of [
      ['sized', false],
      ['acting', true],
    ] as const) {
      const { names, allowed } = await readRole(`${stack}-ServiceSizeRole-`);
      expect(names.toSorted()).toEqual(['ecs-node', 'log']);
      const subject = { cluster: stack, service: 'web', apply };
      expect(bySid(allowed)).toEqual(bySid(fleetPolicy(serviceSizePermissions, subject, scope)));
    }
  });

  test.each([
    ['ServiceSize', 'rate(5 minutes)'],
    ['Sweep', 'rate(1 hour)'],
  ] as const)('%s is run by its schedule, as a handler that the zip has', async (which, rate) => {
    const { FunctionArn, Handler, Runtime } = functionOf('acting', which);
    expect(Runtime).toBe('nodejs24.x');
    const [file, exported] = Handler.split('.');
    const loaded: { exports: Record<string, unknown> } = { exports: {} };
    const code = Buffer.from(unzipSync(zip)[`${file}.js`]!).toString();
    runInThisContext(`(function (module, require) {${code}\n})`)(loaded, createRequire(import.meta.url));
    expect(loaded.exports[exported!]).toBeTypeOf('function');

    const rule = rules.find(({ Name }) => Name.startsWith(`acting-${which}Schedule-`))!;
    expect(rule).toMatchObject({ ScheduleExpression: rate, State: 'ENABLED' });
    const { Targets } = await account.aws<{ Targets: { Arn: string }[] }>(
      'events',
      'list-targets-by-rule',
      '--rule',
      rule.Name,
    );
    expect(Targets.map(({ Arn }) => Arn)).toEqual([FunctionArn]);
  });

  test.each([
    ['ServiceSize', 'service-size'],
    ['Sweep', 'sweep'],
  ] as const)('%s is watched: its log does not grow for ever, and failures raise an alarm', (which, name) => {
    expect(logGroups).toContainEqual(
      expect.objectContaining({ logGroupName: `/ecs-node/sized/${name}`, retentionInDays: 30 }),
    );
    const { Namespace, MetricName, Dimensions } = template.Resources[`${which}Alarm`]!.Properties;
    expect({ Namespace, MetricName, Dimensions }).toEqual({
      Namespace: 'AWS/Lambda',
      MetricName: 'Errors',
      Dimensions: [{ Name: 'FunctionName', Value: { Ref: `${which}Function` } }],
    });
  });

  test('has time to give up on AWS by itself', () => {
    expect(Number(template.Resources['ServiceSizeFunction']!.Properties['Timeout']) * 1_000).toBeGreaterThan(
      patienceMs + 5_000,
    );
  });
});

test('alarms look at metrics that nodes publish, with the dimensions that they publish them with', () => {
  const config = parseConfig({ cluster: 'prod' });
  const died = { instanceId: 'i-1', startedAt: 0, entered: {} } as unknown as DepartureState;
  const disk = {
    path: '/',
    filesystem: '/dev/xvda1',
    mountPath: '/',
    totalBytes: 2,
    usedBytes: 1,
    freeBytes: 1,
    totalInodes: 2,
    freeInodes: 1,
  };
  const memory = { totalBytes: 2, availableBytes: 1, swapTotalBytes: 2, swapFreeBytes: 1 };
  const published = [
    ...departureMetrics(config, { ...died, cause: 'bootstrap-failed' }, 0),
    ...departureMetrics(config, { ...died, cause: 'join-failed' }, 0),
    ...metricsOf({
      instanceId: 'i-1',
      cluster: 'prod',
      group: 'group',
      disks: [disk],
      memory,
      failingChores: 1,
      at: 0,
    }),
  ].map(({ name, dimensions }) => ({ name, dimensions }));
  // What the template refers to by { Ref: … }.
  const known: Record<string, string> = { Cluster: 'prod', NodeGroup: 'group' };

  const watched = ['DiskAlarm', 'BootstrapAlarm', 'UpkeepAlarm'].flatMap((alarm) => {
    const own = template.Resources[alarm]!.Properties as Partial<Watched> & {
      Metrics?: { MetricStat?: { Metric: Watched } }[];
    };
    const { Metrics = [{ MetricStat: { Metric: own as Watched } }] } = own;
    return Metrics.flatMap(({ MetricStat }) => (MetricStat ? [MetricStat.Metric] : []));
  });
  expect(watched).toHaveLength(5);
  for (const { Namespace, MetricName, Dimensions } of watched) {
    expect(Namespace).toBe(config.metrics.namespace);
    const values = Dimensions.map(({ Name, Value }) => [Name, typeof Value === 'string' ? Value : known[Value.Ref]]);
    expect(published).toContainEqual({ name: MetricName, dimensions: Object.fromEntries(values) });
  }
});

interface Watched {
  Namespace: string;
  MetricName: string;
  Dimensions: { Name: string; Value: string | { Ref: string } }[];
}

/** What `ecs-node configure` makes of a line of user data, on a machine of its own. */
async function configure(command: string): Promise<{ config: ReturnType<typeof parseConfig> }> {
  const words = command
    .replace(/^exec ecs-node /, '')
    .trim()
    .split(/ +/);
  const root = await mkdtemp(join(tmpdir(), 'node-'));
  const env = { PATH: process.env['PATH'], AWS_EC2_METADATA_DISABLED: 'true' };
  try {
    await run(inject('binary'), [...words, '--root', root], { env });
    return { config: parseConfig(parse(await readFile(join(root, 'etc/ecs-node/config.yaml'), 'utf8'))) };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Each action by itself, with how far it reaches: however they were put into statements. */
function allowances(...policies: ReturnType<typeof policyFor>[]) {
  return policies
    .flatMap(({ Statement }) =>
      Statement.flatMap(({ Action, Sid: _sid, ...rest }) => Action.map((action) => ({ action, ...rest }))),
    )
    .toSorted((a, b) => (a.action < b.action ? -1 : 1));
}

/** The order of statements and of their actions means nothing. */
function bySid({ Statement }: ReturnType<typeof policyFor>): object {
  return Object.fromEntries(Statement.map((each) => [each.Sid, { ...each, Action: each.Action.toSorted() }]));
}
