import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../config/config.ts';
import { permissions, permissionsFor } from '../../../iam/permissions.ts';
import { explainFleetPolicy, fleetPolicy, type FleetPermission } from '../../../iam/fleet-policy.ts';
import { explainPolicy, policyFor } from '../../../iam/policy.ts';
import { serviceSizePermissions } from '../../../iam/service-size-permissions.ts';
import { openStage } from './stage.ts';

const place = { partition: 'aws', region: 'eu-west-1', account: '123456789012', group: 'nodes' };
const stack = 'abababab-1111-4111-8111-111111111111';
const everything = parseConfig({
  cluster: 'prod',
  registrar: 'opsworks',
  opsworks: { stack, layer: 'ecs', region: 'us-east-1' },
  autoScaling: { launchHook: 'launch', terminateHook: 'terminate' },
  leave: {
    targetGroups: ['arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef'],
    loadBalancers: ['old'],
    steadyClusterSeconds: 60,
  },
  containerEnvironment: { enabled: true },
  daemonTasks: { definitions: ['logspout', 'arn:aws:ecs:eu-west-1:123456789012:task-definition/datadog:3'] },
});
const least = parseConfig({
  cluster: 'prod',
  terminationProtection: 'keep',
  disk: { leave: false },
  ecsAgent: { action: 'log' },
  leave: { atDeadline: 'leave-tasks' },
  metrics: { enabled: false },
  autoScaling: { launchHook: '', terminateHook: '' },
});

const byName = parseConfig({ cluster: 'prod', registrar: 'opsworks', opsworks: { stack: 'web', layer: 'ecs' } });

/** Files that read a whole fleet, each with its table. `test/unit/fleet` has those of a sweep. */
const fleetRooms: Readonly<Record<string, readonly FleetPermission[]>> = {
  'fleet/fleet-services.ts': serviceSizePermissions,
};

/** Files that serve one node. Probes of doctor try actions of the same table. */
function filesOfNode(): string[] {
  const all = readdirSync('host/aws', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return all.filter((name) => !/^(fleet|examine)\/|(^|\/)(fleet-\w+|examine)\.ts$/.test(name));
}

/** Each call names its own action, for messages. */
function actionsIn(files: readonly string[]): string[] {
  const text = files.map((name) => readFileSync(`host/aws/${name}`, 'utf8')).join('\n');
  return [...new Set([...text.matchAll(/'((?!tag:)[a-z0-9-]+:[A-Z][A-Za-z]+)'/g)].map(([, action]) => action!))];
}

test('the table has every action that host/aws calls, and no other', () => {
  const called = actionsIn(filesOfNode());
  expect(called.length).toBeGreaterThan(30);
  const listed = permissions.filter(({ by }) => by === undefined).map(({ action }) => action);
  expect(new Set(listed).size).toBe(listed.length);
  expect(listed.toSorted()).toEqual(called.toSorted());
});

test("each fleet command's table has every action that its folder calls, and no other", () => {
  for (const [room, table] of Object.entries(fleetRooms)) {
    const listed = table.map(({ action }) => action);
    const called = actionsIn([room, 'ecs/list-container-instances.ts']);
    expect(listed.toSorted(), room).toEqual(called.toSorted());
  }
});

test('the actions of a fleet command that change something are named, and limited to their targets', () => {
  const at = { cluster: 'prod', service: 'web' };
  for (const table of Object.values(fleetRooms)) {
    const changing = (apply: boolean) =>
      fleetPolicy(table, { ...at, apply }, place).Statement.flatMap(({ Action, Resource }) =>
        Action.filter((action) => !/:(Describe|List|Get)/.test(action)).map((action) => ({ action, Resource })),
      );
    expect(changing(false)).toEqual([]);
    expect(changing(true).length).toBeGreaterThan(0);
    for (const { action, Resource } of changing(true)) expect(Resource, action).not.toBe('*');
    expect(explainFleetPolicy(table)).toHaveLength(table.length);
  }
});

test('only the sized service may be changed', () => {
  const { Statement } = fleetPolicy(serviceSizePermissions, { cluster: 'prod', service: 'web', apply: true }, place);
  expect(Statement.find(({ Action }) => Action.includes('ecs:UpdateService'))).toEqual({
    Sid: 'OnTheService',
    Effect: 'Allow',
    Action: ['ecs:DescribeServices', 'ecs:UpdateService'],
    Resource: 'arn:aws:ecs:eu-west-1:123456789012:service/prod/web',
  });
});

/** Where IAM has another word than the API. */
const otherNames: Readonly<Record<string, string>> = { ListBucket: 'ListObjectsV2' };

test('each SDK command that host/aws sends is granted under its own name', () => {
  for (const name of filesOfNode()) {
    const text = readFileSync(`host/aws/${name}`, 'utf8');
    const sent = new Set([...text.matchAll(/new (\w+)Command\(/g)].map(([, command]) => command));
    const asked = new Set(
      [...text.matchAll(/'(?!tag:)[a-z0-9-]+:([A-Z]\w+)'/g)].map(([, action]) => otherNames[action!] ?? action),
    );
    expect(asked, name).toEqual(sent);
  }
});

test('a node gets no permission that its configuration does not need', () => {
  const actions = permissionsFor(least).map(({ action }) => action);
  expect(actions).toContain('ec2:TerminateInstances');
  for (const service of ['opsworks', 'ssm', 'cloudwatch', 'elasticloadbalancing']) {
    expect(actions.filter((action) => action.startsWith(`${service}:`))).toEqual([]);
  }
  for (const action of ['ecs:StopTask', 'ec2:ModifyInstanceAttribute', 'autoscaling:CompleteLifecycleAction']) {
    expect(actions).not.toContain(action);
  }
});

// The node of a full disk queues to drain, and one that a person drains marks its record.
test('a node may write and read its attributes even where no watcher replaces it', () => {
  const watchers = { disk: { leave: false }, ecsAgent: { action: 'log' }, docker: { action: 'log' } };
  const actions = permissionsFor(parseConfig({ cluster: 'a', ...watchers })).map(({ action }) => action);
  for (const action of ['ecs:ListAttributes', 'ecs:PutAttributes', 'ecs:DeleteAttributes', 'ec2:DescribeInstances'])
    expect(actions).toContain(action);
});

test('actions that EC2 can limit to the node itself are limited to it', () => {
  const { Statement } = policyFor(everything, place);
  const actions = Statement.flatMap(({ Action }) => Action).filter((action) => action.startsWith('ec2:'));
  // These read, and EC2 has no resource for them.
  const unlimited = ['Tags', 'Instances', 'InstanceStatus', 'SpotInstanceRequests'].map(
    (what) => `ec2:Describe${what}`,
  );
  expect(actions).toEqual(expect.arrayContaining(unlimited));
  for (const action of actions.filter((each) => !unlimited.includes(each))) {
    const statement = Statement.find(({ Action }) => Action.includes(action));
    expect(statement?.Resource, action).toBe('arn:aws:ec2:eu-west-1:123456789012:instance/*');
    expect(statement?.Condition?.['ArnEquals'], action).toEqual({
      'ec2:SourceInstanceARN': 'arn:aws:ec2:*:*:instance/${ec2:InstanceID}',
    });
  }
  expect(actions).toContain('ec2:DescribeInstanceAttribute');
});

test('no changing action is granted on every resource', () => {
  for (const config of [everything, least, byName]) {
    for (const { Action, Resource, Condition } of policyFor(config, place).Statement) {
      if (Resource !== '*' || Condition !== undefined) continue;
      for (const action of Action) expect(action).toMatch(/:(Describe|List|Get)/);
    }
  }
});

test('the policy is valid for IAM: each action once, each Sid once and alphanumeric, no empty list', () => {
  for (const config of [everything, least, byName]) {
    const { Statement } = policyFor(config, place);
    const sids = Statement.map(({ Sid }) => Sid);
    expect(new Set(sids).size).toBe(sids.length);
    for (const sid of sids) expect(sid).toMatch(/^[A-Za-z0-9]+$/);
    const actions = Statement.flatMap(({ Action }) => Action);
    expect(new Set(actions).size).toBe(actions.length);
    for (const { Action, Resource } of Statement) expect(Math.min(Action.length, Resource.length)).toBeGreaterThan(0);
    // IAM's limit for a managed policy, white space not counted.
    expect(JSON.stringify(policyFor(config, place)).length).toBeLessThan(6144);
  }
});

test.each([
  ['sweep', 'the policy covers every cluster'],
  ['sweep --cluster prod --apply', undefined],
  ['fleet --cluster prod --apply', '--apply adds no permission here: these only read, or are needed anyway'],
  ['systems-manager', undefined],
])('a policy for %s has the warning: %s', async (words, warning) => {
  const stage = await openStage();
  const environment = { AWS_EC2_METADATA_DISABLED: 'true' };
  const { logged, end } = await stage.run(['policy', '--for', ...words.split(' '), '--group', 'web'], { environment });
  expect(logged.map(({ message }) => message)).toEqual(warning === undefined ? [] : [warning]);
  expect(end).toBe(0);
});

test('each action is explained in one line', () => {
  const lines = explainPolicy(everything);
  expect(lines).toHaveLength(permissionsFor(everything).length);
  expect(lines.find((line) => line.startsWith('opsworks:RegisterInstance'))).toMatch(/installer/);
});

test('pulled documents may be read at their source and nowhere else', () => {
  const read = (source: string) =>
    policyFor(parseConfig({ cluster: 'prod', refresh: { source } }), place)
      .Statement.filter(({ Action }) => Action.some((action) => /^s3:|^ssm:GetParameters/.test(action)))
      .map(({ Action, Resource, Condition }) => [Action[0], Resource, Condition?.['StringEquals']]);
  expect(read('ssm:/ecs/web/')).toEqual([
    ['ssm:GetParametersByPath', 'arn:aws:ssm:eu-west-1:123456789012:parameter/ecs/web', undefined],
    ['ssm:GetParameters', 'arn:aws:ssm:eu-west-1:123456789012:parameter/ecs/web/*', undefined],
  ]);
  expect(read('s3://ours/ecs/web')).toEqual([
    ['s3:ListBucket', 'arn:aws:s3:::ours', { 's3:prefix': 'ecs/web/' }],
    ['s3:GetObject', 'arn:aws:s3:::ours/ecs/web/*', undefined],
  ]);
  expect(read('s3://ours')).toEqual([
    ['s3:ListBucket', 'arn:aws:s3:::ours', { 's3:prefix': '' }],
    ['s3:GetObject', 'arn:aws:s3:::ours/*', undefined],
  ]);
});

test('a stack given by id limits the policy; one given by name needs the list of all', () => {
  const resourceOf = (config: typeof everything, action: string) =>
    policyFor(config, place).Statement.find(({ Action }) => Action.includes(action))?.Resource;
  const own = `arn:aws:opsworks:us-east-1:123456789012:stack/${stack}/`;
  expect(resourceOf(everything, 'opsworks:DescribeStacks')).toBe(own);
  expect(resourceOf(everything, 'opsworks:AssignInstance')).toBe(own);
  const typed = { ...everything, opsworks: { ...everything.opsworks, stack: stack.toUpperCase() } };
  expect(resourceOf(typed, 'opsworks:AssignInstance')).toBe(own);
  expect(resourceOf(byName, 'opsworks:DescribeStacks')).toBe('*');
  expect(resourceOf(byName, 'opsworks:AssignInstance')).toBe('arn:aws:opsworks:eu-west-1:123456789012:stack/*/');
});

test('daemon tasks may be started from the configured definitions only, and only in the cluster', () => {
  const { Statement } = policyFor(everything, place);
  expect(Statement.filter(({ Action }) => Action.includes('ecs:StartTask'))).toEqual([
    {
      Sid: 'StartingTheConfiguredTasksInTheCluster',
      Effect: 'Allow',
      Action: ['ecs:StartTask'],
      Resource: [
        'arn:aws:ecs:eu-west-1:123456789012:task-definition/logspout:*',
        'arn:aws:ecs:eu-west-1:123456789012:task-definition/datadog:3',
      ],
      Condition: { ArnLike: { 'ecs:cluster': 'arn:aws:ecs:eu-west-1:123456789012:cluster/prod' } },
    },
  ]);
  expect(explainPolicy(everything).join('\n')).toMatch(/ecs:StartTask .*iam:PassRole/);
  const none = parseConfig({ cluster: 'prod', leave: { atDeadline: 'leave-tasks' }, daemonTasks: { definitions: [] } });
  const actions = permissionsFor(none).map(({ action }) => action);
  expect(actions).toContain('ecs:StopTask');
  expect(actions).not.toContain('ecs:StartTask');
});
