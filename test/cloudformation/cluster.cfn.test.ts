/** The cluster's template: linted, deployed to moto, and each parameter held to its meaning. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commonFields, eventFields, eventTypes } from '../../core/events/event-schema.ts';
import { ecsAgentPermissions, systemsManagerPermissions } from '../../iam/agent-permissions.ts';
import { fleetPolicy } from '../../iam/fleet-policy.ts';
import { policyFor, type Policy } from '../../iam/policy.ts';
import { lintPolicies } from './rig/parliament.ts';
import { bySid } from './rig/policies.ts';
import { resolveAll, type Order, type Resources } from './rig/resolve.ts';
import { openAccount, type Account } from './rig/stack.ts';
import { deploy, readGroup, readLaunchData, readRole } from './rig/stacks.ts';
import { readTemplate } from './rig/template.ts';
import { bootWith } from './rig/user-data.ts';

/** A call of the AWS CLI takes a second, and moto makes its images at the first one. */
const patient = 240_000;
const template = readTemplate();
const files = ['cluster.yaml', 'sweep.yaml', 'service-size.yaml'];
const scope = { partition: 'aws', region: 'us-east-1', account: '123456789012' };

test.each(files)('%s passes cfn-lint, and is small enough to be uploaded without a bucket', async (file) => {
  const run = promisify(execFile)('cfn-lint', [`cloudformation/${file}`]);
  const { stdout } = await run.catch((error: { stdout: string }) => error);
  expect(stdout).toBe('');
  expect((await readFile(`cloudformation/${file}`)).length).toBeLessThan(51_200);
});

test.each(files)('the console shows every parameter of %s in a group, once', (file) => {
  const { Metadata, Parameters } = readTemplate(file);
  const shown = Metadata['AWS::CloudFormation::Interface'].ParameterGroups.flatMap((group) => group.Parameters);
  expect(shown.toSorted()).toEqual(Object.keys(Parameters).toSorted());
});

test('the example of a parameter file has parameters that the template knows, and all that it needs', async () => {
  const text = await readFile('cloudformation/parameters.example.json', 'utf8');
  const given = (JSON.parse(text) as { ParameterKey: string }[]).map(({ ParameterKey }) => ParameterKey);
  expect(given.filter((name) => !(name in template.Parameters))).toEqual([]);
  const needed = Object.entries(template.Parameters).filter(([, { Default }]) => Default === undefined);
  expect(given).toEqual(expect.arrayContaining(needed.map(([name]) => name)));
});

describe('a stack called ecs-prod', () => {
  let account: Account;
  let network: { SubnetIds: string; SecurityGroupIds: string };
  let images: string[];
  const own = { EcsClusterName: 'prod', ClusterSize: '3' };
  const bake = (image: string) =>
    account.aws(
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

  beforeAll(async () => {
    account = await openAccount();
    const { Subnets } = await account.aws<{ Subnets: { SubnetId: string }[] }>('ec2', 'describe-subnets');
    const { SecurityGroups } = await account.aws<{ SecurityGroups: { GroupId: string }[] }>(
      'ec2',
      'describe-security-groups',
    );
    network = {
      SubnetIds: `${Subnets[0]!.SubnetId},${Subnets[1]!.SubnetId}`,
      SecurityGroupIds: SecurityGroups[0]!.GroupId,
    };
    const found = await account.aws<{ Images: { ImageId: string }[] }>('ec2', 'describe-images');
    images = found.Images.slice(0, 2).map(({ ImageId }) => ImageId);
    await bake(images[0]!);
    await deploy(account, 'create-stack', { name: 'ecs-prod', parameters: { ...network, ...own } });
  }, patient);
  afterAll(() => account.close());

  test('is created, with everything that moto can create', async () => {
    const { Stacks } = await account.aws<{
      Stacks: { StackStatus: string; Outputs: { OutputKey: string; OutputValue: string }[] }[];
    }>('cloudformation', 'describe-stacks', '--stack-name', 'ecs-prod');
    expect(Stacks[0]!.StackStatus).toBe('CREATE_COMPLETE');
    const outputs = Object.fromEntries(
      Stacks[0]!.Outputs.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]),
    );
    expect(outputs).toMatchObject({
      ClusterName: 'prod',
      ImageId: images[0],
      EventLogName: '/ecs-node/prod/events',
      NodeRoleName: expect.stringMatching(/^ecs-prod-NodeRole-/),
      NodeRoleArn: expect.stringContaining(':role/ecs-prod-NodeRole-'),
    });
    expect(await readGroup(account, 'ecs-prod')).toMatchObject({ MinSize: 3, MaxSize: 30, DesiredCapacity: 3 });
  });

  test('launches nodes from the image, without IMDSv1, with metadata out of the reach of tasks', async () => {
    expect(await readLaunchData(account, 'ecs-prod')).toMatchObject({
      ImageId: images[0],
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, InstanceMetadataTags: 'enabled' },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 100, VolumeType: 'gp3', Encrypted: true } }],
    });
  });

  test('gives nodes a role that passes parliament', async () => {
    const role = await readRole(account, 'ecs-prod-NodeRole-');
    expect(Object.keys(role).toSorted()).toEqual(['ecs-agent', 'ecs-node', 'systems-manager']);
    expect(await lintPolicies(role)).toEqual([]);
  });

  test('takes a new image from the parameter by an update with the same parameters', async () => {
    await bake(images[1]!);
    // moto compares the templates' texts and not the values in them, so the text must differ.
    const text = (await readFile('cloudformation/cluster.yaml', 'utf8'))
      .replace('      LaunchTemplateData:\n', '      VersionDescription: next\n      LaunchTemplateData:\n')
      .replace('      HealthCheckType: !', "      Cooldown: '300'\n      HealthCheckType: !");
    await deploy(account, 'update-stack', { name: 'ecs-prod', parameters: { ...network, ...own }, text });
    const group = (await readGroup(account, 'ecs-prod'))!;
    expect(group.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.Version).toBe('2');
    expect((await readLaunchData(account, 'ecs-prod')).ImageId).toBe(images[1]);
  });

  test('is deleted, and nothing of it stays', async () => {
    await account.aws('cloudformation', 'delete-stack', '--stack-name', 'ecs-prod');
    expect(await readGroup(account, 'ecs-prod')).toBeUndefined();
    const { Roles } = await account.aws<{ Roles: object[] }>('iam', 'list-roles');
    const { logGroups } = await account.aws<{ logGroups: object[] }>('logs', 'describe-log-groups');
    expect([Roles, logGroups]).toEqual([[], []]);
  });
});

/** The parameters that a test is about; the others have their defaults. */
const cases = {
  least: {},
  'ecs-prod': {},
  seed: {
    EcsClusterName: 'DevCluster',
    EcsAmiParameterKey: '/ami/ecs/latest',
    IamRoleInstanceProfile: 'EcsInstanceRole',
    EcsInstanceType: 'm4.large',
    EbsVolumeSize: '120',
    ClusterSize: '2',
    ClusterMaxSize: '4',
    KeyName: 'dev-cluster',
    SubnetIds: 'subnet-a70508df,subnet-e009eb89',
    SecurityGroupIds: 'sg-bd9d1bd4,sg-ac9127dca',
    DeploymentS3Bucket: 'ecs-deployment',
    LifecycleLaunchFunctionZip: 'ecs-lifecycle-hook-launch.zip',
    LifecycleTerminateFunctionZip: 'ecs-lifecycle-hook-terminate.zip',
    LambdaFunctionRole: 'LambdaECSScalingRole',
  },
  large: { ClusterSize: '400', MaxHealthyPercentage: '120', RollbackAlarms: 'web 5xx,web latency' },
  scaling: { ClusterSize: '2', ClusterMaxSize: '9', ReservationTarget: '90' },
  spot: { SecondInstanceType: 'm6i.large', OnDemandBaseCapacity: '1', OnDemandPercentage: '0' },
  warm: { WarmPoolSize: '3', WarmPoolState: 'Running' },
  balanced: {
    TargetGroupArns: [1, 2]
      .map((n) => `arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/w/${n}`)
      .join(','),
    LoadBalancerName: '1234',
    SecondLoadBalancerName: 'older',
    HealthCheckType: 'ELB',
    HealthCheckGracePeriod: '90',
  },
  opsworks: {
    Registrar: 'opsworks',
    OpsWorksStackId: 'abababab-1111-4111-8111-111111111111',
    OpsWorksLayerId: 'cdcdcdcd-2222-4222-8222-222222222222',
    OpsWorksRegion: 'eu-west-1',
    OpsWorksEndpoint: 'https://opsworks.example.com/path?a=b&c=d',
  },
  stock: {
    InstallUrl: 'https://example.com/ecs-node/0.1.0/install.sh',
    Registrar: 'none',
    EventBusName: '',
    NodeEnvironment: 'HTTPS_PROXY=http://10.0.0.2:3128\nNO_PROXY=".internal, 10.0.0.0/8"',
  },
  settings: {
    EcsClusterName: '123',
    NodeSettings: `{disk: {paths: [/data, "/srv/it's $HOME \`id\`"]}, name: "{cluster} #1", spot: {marginSeconds: 30}}`,
  },
  open: {
    MetadataIpv6: 'enabled',
    ManagedPolicyArns: 'arn:aws:iam::aws:policy/A,arn:aws:iam::aws:policy/B',
    EventTopicArn: 'arn:aws:sns:us-east-1:123456789012:team',
  },
} satisfies Record<string, Record<string, string>>;
type Case = keyof typeof cases;

let resolved: Record<Case, Resources>;
beforeAll(async () => {
  const orders = Object.entries(cases).map(([stack, parameters]): Order => ({ stack, parameters }));
  const all = await resolveAll(orders);
  resolved = Object.fromEntries(Object.keys(cases).map((name, index) => [name, all[index]])) as typeof resolved;
}, patient);

const groupOf = (name: Case) => resolved[name]['NodeGroup']!;
const launchDataOf = (name: Case) =>
  resolved[name]['LaunchTemplate']!.Properties['LaunchTemplateData'] as Record<string, unknown>;
const refreshOf = (name: Case) =>
  (groupOf(name).UpdatePolicy as { AutoScalingInstanceRefresh: Record<string, unknown> }).AutoScalingInstanceRefresh;
/** A cluster is its logical id here; a real one is its name. */
const userDataOf = (name: Case) =>
  Buffer.from(String(launchDataOf(name)['UserData']), 'base64')
    .toString()
    .replace(
      "cluster: 'Cluster'",
      `cluster: '${(cases[name] as { EcsClusterName?: string }).EcsClusterName ?? 'prod'}'`,
    );
const configOf = (name: Case) => bootWith(userDataOf(name), ({ config }) => config);

describe('each parameter of ecs-cluster-manager', () => {
  test('is still there under its name', () => {
    expect(Object.keys(cases.seed).filter((name) => !(name in template.Parameters))).toEqual([]);
    const needed = Object.entries(template.Parameters).filter(([, { Default }]) => Default === undefined);
    expect(needed.map(([name]) => name).filter((name) => !(name in cases.seed))).toEqual([]);
  });

  test('EcsClusterName names the cluster that is created and that nodes join', async () => {
    expect(resolved.seed['Cluster']!.Properties).toEqual({ ClusterName: 'DevCluster' });
    expect((await configOf('seed')).cluster).toBe('DevCluster');
  });

  test('EcsAmiParameterKey holds the image of nodes; EcsInstanceType, KeyName and EbsVolumeSize are theirs', () => {
    expect(launchDataOf('seed')).toMatchObject({
      ImageId: 'ami-12345678',
      InstanceType: 'm4.large',
      KeyName: 'dev-cluster',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 120 } }],
    });
  });

  test('IamRoleInstanceProfile is the profile of nodes, and no role is made', () => {
    expect(launchDataOf('seed')['IamInstanceProfile']).toEqual({ Name: 'EcsInstanceRole' });
    expect(Object.keys(resolved.seed).filter((name) => /Role|Profile/.test(name))).toEqual([]);
  });

  test('ClusterSize is the number of nodes, and nothing changes it', () => {
    expect(groupOf('seed').Properties).toMatchObject({ MinSize: '2', DesiredCapacity: '2', MaxSize: '4' });
    const provider = resolved.seed['CapacityProvider']!.Properties['AutoScalingGroupProvider'];
    expect(provider).toMatchObject({ ManagedScaling: { Status: 'DISABLED' } });
  });

  test('SubnetIds and SecurityGroupIds are those of nodes', () => {
    expect(groupOf('seed').Properties['VPCZoneIdentifier']).toEqual(['subnet-a70508df', 'subnet-e009eb89']);
    expect(launchDataOf('seed')['SecurityGroupIds']).toEqual(['sg-bd9d1bd4', 'sg-ac9127dca']);
  });

  test('those about Lambda functions make none', () => {
    const types = Object.values(resolved.seed).map(({ Type }) => Type);
    expect(types.filter((type) => type.startsWith('AWS::Lambda'))).toEqual([]);
  });
});

test('the capacity provider has a name that ECS takes, whatever the stack is called', () => {
  expect(resolved['ecs-prod']['CapacityProvider']!.Properties['Name']).toBe('nodes-ecs-prod');
});

describe('an update', () => {
  test('replaces nodes one by one, the new one first, and leaves a person’s nodes alone', () => {
    expect(refreshOf('least')).toEqual({
      Strategy: 'Rolling',
      Preferences: {
        MinHealthyPercentage: 100,
        MaxHealthyPercentage: 100,
        SkipMatching: true,
        ScaleInProtectedInstances: 'Ignore',
        StandbyInstances: 'Ignore',
      },
    });
    expect(groupOf('least').UpdatePolicy).not.toHaveProperty('AutoScalingRollingUpdate');
  });

  test('of 400 nodes has room, may replace many at a time and is rolled back by alarms of the team', () => {
    expect(groupOf('large').Properties).toMatchObject({ MinSize: '400', MaxSize: '4000' });
    expect(refreshOf('large')['Preferences']).toMatchObject({
      MaxHealthyPercentage: 120,
      AlarmSpecification: { Alarms: ['web 5xx', 'web latency'] },
    });
  });
});

test('with a ReservationTarget, ECS chooses the size between ClusterSize and ClusterMaxSize', () => {
  expect(groupOf('scaling').Properties).toMatchObject({ MinSize: '2', MaxSize: '9' });
  expect(groupOf('scaling').Properties).not.toHaveProperty('DesiredCapacity');
  expect(resolved.scaling['CapacityProvider']!.Properties['AutoScalingGroupProvider']).toMatchObject({
    ManagedScaling: { Status: 'ENABLED', TargetCapacity: '90' },
  });
});

test('a warm pool has exactly its size, and only its nodes wait until they are out of it', async () => {
  expect(resolved.warm['WarmPool']!.Properties).toMatchObject({
    MaxGroupPreparedCapacity: '3',
    MinSize: '3',
    PoolState: 'Running',
  });
  expect((await configOf('warm')).ecs.settings).toMatchObject({ ECS_WARM_POOLS_CHECK: 'true' });
  expect(resolved.least).not.toHaveProperty('WarmPool');
  expect((await configOf('least')).ecs.settings).toEqual({ ECS_AWSVPC_BLOCK_IMDS: 'true' });
});

test('spot and several types are mixed as asked', () => {
  expect(groupOf('spot').Properties['MixedInstancesPolicy']).toMatchObject({
    LaunchTemplate: { Overrides: [{ InstanceType: 'm7i.large' }, { InstanceType: 'm6i.large' }] },
    InstancesDistribution: { OnDemandBaseCapacity: 1, OnDemandPercentageAboveBaseCapacity: '0' },
  });
});

test('load balancers are those of the group, and nodes leave them first', async () => {
  expect(groupOf('balanced').Properties).toMatchObject({
    TargetGroupARNs: cases.balanced.TargetGroupArns.split(','),
    LoadBalancerNames: ['1234', 'older'],
    HealthCheckType: 'ELB',
    HealthCheckGracePeriod: '90',
    DefaultInstanceWarmup: '90',
  });
  expect((await configOf('balanced')).leave).toMatchObject({
    targetGroups: cases.balanced.TargetGroupArns.split(','),
    loadBalancers: ['1234', 'older'],
  });
  expect((await configOf('least')).leave).toMatchObject({ targetGroups: [], loadBalancers: [] });
});

test('settings of any shape reach the node as they were given, and win', async () => {
  const config = await configOf('settings');
  expect(config).toMatchObject({
    cluster: '123',
    name: '{cluster} #1',
    disk: { paths: ['/data', "/srv/it's $HOME `id`"] },
    spot: { marginSeconds: 30 },
  });
});

test('a stock image installs ecs-node and cannot join another cluster without it', async () => {
  await bootWith(userDataOf('stock'), async ({ config, downloads, readText }) => {
    expect(downloads).toEqual([
      '-fsSL --retry 5 --retry-connrefused https://example.com/ecs-node/0.1.0/install.sh via http://10.0.0.2:3128',
    ]);
    expect(await readText('etc/ecs-node/environment')).toBe(`${cases.stock.NodeEnvironment}\n`);
    expect(config).toMatchObject({ cluster: 'prod', registrar: 'none' });
    expect(await readText('etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf')).toBe(
      '[Unit]\nConditionPathExists=/usr/bin/ecs-node\n',
    );
  });
});

test('with OpsWorks, nodes know their stack, layer and region, and the endpoint', async () => {
  await bootWith(userDataOf('opsworks'), async ({ config, readText }) => {
    expect(config).toMatchObject({
      registrar: 'opsworks',
      opsworks: {
        stack: cases.opsworks.OpsWorksStackId,
        layer: cases.opsworks.OpsWorksLayerId,
        region: 'eu-west-1',
      },
    });
    expect(await readText('etc/ecs-node/environment')).toBe(
      `AWS_ENDPOINT_URL_OPSWORKS=${cases.opsworks.OpsWorksEndpoint}\n`,
    );
  });
});

test('the metadata service answers by IPv6 where that is asked for', () => {
  expect(launchDataOf('open')['MetadataOptions']).toMatchObject({ HttpProtocolIpv6: 'enabled' });
  expect(launchDataOf('least')['MetadataOptions']).not.toHaveProperty('HttpProtocolIpv6');
});

test('managed policies of the team are attached', () => {
  expect(resolved.open['NodeRole']!.Properties['ManagedPolicyArns']).toEqual(cases.open.ManagedPolicyArns.split(','));
  expect(resolved.least['NodeRole']!.Properties).not.toHaveProperty('ManagedPolicyArns');
});

describe('the role of nodes', () => {
  const policiesOf = (name: Case) => {
    const list = resolved[name]['NodeRole']!.Properties['Policies'] as { PolicyName: string; PolicyDocument: Policy }[];
    return Object.fromEntries(list.map(({ PolicyName, PolicyDocument }) => [PolicyName, PolicyDocument]));
  };
  const withRole = (Object.keys(cases) as Case[]).filter((name) => name !== 'seed');

  test.each(withRole)('has the policy of "ecs-node policy" for the settings of: %s', async (name) => {
    const config = await configOf(name);
    const group = `${name}-NodeGroup-*`;
    expect(bySid(policiesOf(name)['ecs-node']!)).toEqual(bySid(policyFor(config, { ...scope, group })));
  });

  test('has the policies of "ecs-node policy --for" for the ECS agent and Systems Manager', () => {
    const subject = { cluster: 'prod', service: '*', apply: false };
    const { 'ecs-agent': agent, 'systems-manager': manager } = policiesOf('least');
    expect(bySid(agent!)).toEqual(bySid(fleetPolicy(ecsAgentPermissions, subject, scope)));
    expect(bySid(manager!)).toEqual(bySid(fleetPolicy(systemsManagerPermissions, subject, scope)));
    expect(Object.keys(policiesOf('stock'))).toEqual(['ecs-node', 'ecs-agent']);
  });

  test('passes parliament, whatever the parameters', async () => {
    const named = withRole.flatMap((name) =>
      Object.entries(policiesOf(name)).map(([policy, document]) => [`${name} ${policy}`, document] as const),
    );
    expect(await lintPolicies(Object.fromEntries(named))).toEqual([]);
  });
});

describe('events of nodes', () => {
  const pattern = (name: Case, rule: string) => resolved[name][rule]?.Properties['EventPattern'];

  test('are kept for 90 days, and only those of this cluster', () => {
    expect(resolved.least['EventLog']!.Properties).toMatchObject({
      LogGroupName: '/ecs-node/prod/events',
      RetentionInDays: 90,
    });
    expect(resolved.least['EventsToLog']!.Properties).toMatchObject({
      EventBusName: 'default',
      EventPattern: { source: ['ecs-node'], detail: { cluster: ['prod'] } },
    });
    expect(resolved.least).not.toHaveProperty('EventsToPeople');
  });

  test('reach people when there is a topic, except everyday ones', () => {
    expect(pattern('open', 'EventsToPeople')).toMatchObject({
      source: ['ecs-node'],
      'detail-type': [{ 'anything-but': ['joined', 'draining'] }],
    });
    expect(resolved.open['EventsToPeople']!.Properties['Targets']).toEqual([
      { Id: 'topic', Arn: cases.open.EventTopicArn },
    ]);
  });

  test('may be put on this bus alone, and only as ecs-node', () => {
    const policies = resolved.least['NodeRole']!.Properties['Policies'] as {
      PolicyName: string;
      PolicyDocument: Policy;
    }[];
    const [ours] = policies.filter(({ PolicyName }) => PolicyName === 'ecs-node');
    expect(ours!.PolicyDocument.Statement).toContainEqual({
      Sid: 'EventsOfNodes',
      Effect: 'Allow',
      Action: ['events:PutEvents'],
      Resource: 'arn:aws:events:us-east-1:123456789012:event-bus/default',
      Condition: { StringEquals: { 'events:source': 'ecs-node' } },
    });
  });

  test('are sent where the stack has a bus', async () => {
    expect(await configOf('least')).toMatchObject({ events: { bus: 'default' } });
    expect((await configOf('stock')).events.bus).toBeUndefined();
  });

  test('are none without a bus', () => {
    expect(Object.keys(resolved.stock).filter((name) => name.startsWith('Event'))).toEqual([]);
  });
});

test('rules and the dashboard name events and fields that nodes send', () => {
  const [{ 'anything-but': daily }] = (
    resolved.open['EventsToPeople']!.Properties['EventPattern'] as {
      'detail-type': [{ 'anything-but': string[] }];
    }
  )['detail-type'];
  expect(eventTypes).toEqual(expect.arrayContaining(daily));
  const body = String(resolved.least['Dashboard']!.Properties['DashboardBody']);
  const fields = [...body.matchAll(/detail\.(\w+)/g)].map(([, name]) => name);
  expect(fields).toEqual(['instanceId', 'cause', 'reason']);
  expect(Object.keys({ ...commonFields, ...eventFields.left.shape })).toEqual(expect.arrayContaining(fields));
});

test('the dashboard is JSON, and shows the last departures where there are events', async () => {
  const titles = (name: Case) => {
    const body = JSON.parse(String(resolved[name]['Dashboard']!.Properties['DashboardBody'])) as {
      widgets: { properties: { title: string } }[];
    };
    return body.widgets.map(({ properties }) => properties.title);
  };
  expect(titles('least')).toContain('Last departures');
  expect(titles('stock')).not.toContain('Last departures');
  expect(titles('least').length).toBe(titles('stock').length + 1);
});

test("the group's hooks are those that nodes complete, and wait as long as a silent node may need", async () => {
  const config = await configOf('least');
  const hooks = groupOf('least').Properties['LifecycleHookSpecificationList'] as Record<string, string | number>[];
  expect(hooks.map((hook) => [hook['LifecycleTransition'], hook['LifecycleHookName'], hook['DefaultResult']])).toEqual([
    ['autoscaling:EC2_INSTANCE_LAUNCHING', config.autoScaling.launchHook, 'ABANDON'],
    ['autoscaling:EC2_INSTANCE_TERMINATING', config.autoScaling.terminateHook, 'CONTINUE'],
  ]);
  const [launch, terminate] = hooks.map((hook) => hook['HeartbeatTimeout']!);
  expect(launch).toBe(config.autoScaling.launchHookSeconds);
  expect(launch).toBeGreaterThanOrEqual(config.bootstrap.timeoutSeconds + config.join.timeoutSeconds);
  expect(terminate).toBeGreaterThanOrEqual(config.leave.drainSeconds + config.leave.deregistrationSeconds);
});
