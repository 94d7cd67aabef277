/** The templates of the functions that look after a fleet, deployed to moto. */

import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readArgs } from '../../commands/fleet/lambda.ts';
import { fleetCommandNamed } from '../../commands/fleet/table-fleet.ts';
import { sweepPermissions } from '../../iam/fleet-permissions.ts';
import { fleetPolicy } from '../../iam/fleet-policy.ts';
import { serviceSizePermissions } from '../../iam/service-size-permissions.ts';
import { patienceMs } from '../../fleet/size-service.ts';
import { makeLambdaZip, pack } from '../../scripts/lambda/zip.ts';
import { lintPolicies } from './rig/parliament.ts';
import { allowances, bySid } from './rig/policies.ts';
import { resolveAll, type Resources } from './rig/resolve.ts';
import { openAccount, type Account } from './rig/stack.ts';
import { deploy, readRole } from './rig/stacks.ts';

/** The AWS CLI is a second of processor time a call. */
const patient = 240_000;
const place = { partition: 'aws', region: 'us-east-1', account: '123456789012' };
const stackId = 'abababab-1111-4111-8111-111111111111';

const size = { ClusterName: 'prod', CodeBucket: 'code' };
const stacks = {
  'size-web': { file: 'service-size.yaml', parameters: { ...size, ServiceName: 'web' } },
  'size-api': {
    file: 'service-size.yaml',
    parameters: { ...size, ServiceName: 'api', SpareNodes: '2', MaxTasks: '9', Rate: 'rate(5 minutes)', Apply: 'true' },
  },
  looking: { file: 'sweep.yaml', parameters: size },
  acting: {
    file: 'sweep.yaml',
    parameters: {
      ...size,
      GroupName: 'prod-nodes',
      OpsWorksStackId: stackId,
      OpsWorksRegion: 'eu-west-1',
      OpsWorksEndpoint: 'https://opsworks.example.com',
      OlderThan: '30',
      MaxNodes: '3',
      Rate: 'rate(1 day)',
      Apply: 'true',
    },
  },
} as const;
type Stack = keyof typeof stacks;

interface FunctionConfiguration {
  FunctionName: string;
  FunctionArn: string;
  Handler: string;
  Runtime: string;
  Environment: { Variables: Record<string, string> };
}

let account: Account;
let zip: Uint8Array;
// Asked for once: each call of the AWS CLI is a second of processor time.
let functions: FunctionConfiguration[];
let rules: { Name: string; ScheduleExpression: string; State: string }[];
let logGroups: { logGroupName: string; retentionInDays?: number }[];
let resolved: Record<Stack, Resources>;

beforeAll(async () => {
  account = await openAccount();
  await account.aws('s3api', 'create-bucket', '--bucket', 'code');
  const folder = await mkdtemp(join(tmpdir(), 'code-'));
  const file = join(folder, 'zip');
  await writeFile(file, pack({ 'lambda.js': Buffer.from('exports.serviceSize = async () => ({});') }));
  await account.aws('s3api', 'put-object', '--bucket', 'code', '--key', 'ecs-node-lambda.zip', '--body', file);
  await rm(folder, { recursive: true });
  ({ zip } = await makeLambdaZip());
  for (const [name, stack] of Object.entries(stacks)) await deploy(account, 'create-stack', { name, ...stack });
  ({ Functions: functions } = await account.aws<{ Functions: typeof functions }>('lambda', 'list-functions'));
  ({ Rules: rules } = await account.aws<{ Rules: typeof rules }>('events', 'list-rules'));
  ({ logGroups } = await account.aws<{ logGroups: typeof logGroups }>('logs', 'describe-log-groups'));
  const all = await resolveAll(Object.entries(stacks).map(([stack, order]) => ({ stack, ...order })));
  resolved = Object.fromEntries(Object.keys(stacks).map((name, index) => [name, all[index]])) as typeof resolved;
}, patient);
afterAll(() => account.close());

const functionOf = (stack: Stack) =>
  functions.find(({ FunctionName }) => FunctionName.startsWith(`${stack}-Function-`))!;

/** Values are strings, which moto does not make of numbers. */
function environmentOf(stack: Stack): Record<string, string> {
  const { Variables } = functionOf(stack).Environment;
  return Object.fromEntries(Object.entries(Variables).map(([name, value]) => [name, String(value)]));
}

describe('a swept cluster', () => {
  test('gives the command an environment that it takes, and changes nothing until it may', () => {
    const command = fleetCommandNamed('sweep');
    expect(readArgs(command, environmentOf('looking')).flags).toEqual({
      json: true,
      cluster: 'prod',
      'older-than': '120',
      max: '1',
      apply: false,
    });
    expect(readArgs(command, environmentOf('acting')).flags).toEqual({
      json: true,
      cluster: 'prod',
      group: ['prod-nodes'],
      'opsworks-stack': stackId,
      'opsworks-region': 'eu-west-1',
      'older-than': '30',
      max: '3',
      apply: true,
    });
    expect(environmentOf('acting')).toMatchObject({ AWS_ENDPOINT_URL_OPSWORKS: 'https://opsworks.example.com' });
  });

  test('allows the policy of "ecs-node policy --for sweep", and OpsWorks only on the named stack', async () => {
    const isOpsWorks = ({ action }: { action: string }) => action.startsWith('opsworks:');
    const needed = sweepPermissions.filter((permission) => !isOpsWorks(permission));
    const looking = await readRole(account, 'looking-Role-');
    expect(Object.keys(looking).toSorted()).toEqual(['ecs-node', 'log']);
    const subject = { cluster: 'prod', service: '*', apply: false };
    expect(allowances(looking['ecs-node']!)).toEqual(allowances(fleetPolicy(needed, subject, place)));

    const acting = await readRole(account, 'acting-Role-');
    expect(Object.keys(acting).toSorted()).toEqual(['ecs-node', 'ecs-node-changes', 'log']);
    const all = allowances(acting['ecs-node']!, acting['ecs-node-changes']!);
    const named = { ...subject, group: 'prod-nodes', apply: true };
    expect(all.filter((each) => !isOpsWorks(each))).toEqual(allowances(fleetPolicy(needed, named, place)));
    const actions = sweepPermissions.filter(isOpsWorks).map(({ action }) => action);
    expect(all.filter(isOpsWorks).map(({ action }) => action)).toEqual(actions.toSorted());
    for (const { Resource } of all.filter(isOpsWorks)) {
      expect(Resource).toBe(`arn:aws:opsworks:eu-west-1:123456789012:stack/${stackId}/`);
    }
    expect(
      await lintPolicies({ ...looking, changes: acting['ecs-node-changes']!, acting: acting['ecs-node']! }),
    ).toEqual([]);
  });
});

describe('sized services', () => {
  test('each have a stack, with an environment that the command takes, and nothing is changed until it may be', () => {
    const command = fleetCommandNamed('service-size');
    expect(readArgs(command, environmentOf('size-web')).flags).toEqual({
      json: true,
      cluster: 'prod',
      service: ['web'],
      spare: '1',
      min: '2',
      apply: false,
    });
    expect(readArgs(command, environmentOf('size-api')).flags).toMatchObject({
      service: ['api'],
      spare: '2',
      max: '9',
      apply: true,
    });
  });

  test('allow the policy of "ecs-node policy --for service-size", and change only their own service', async () => {
    for (const [stack, service, apply] of [
      ['size-web', 'web', false],
      ['size-api', 'api', true],
    ] as const) {
      const role = await readRole(account, `${stack}-Role-`);
      expect(Object.keys(role).toSorted()).toEqual(['ecs-node', 'log']);
      const subject = { cluster: 'prod', service, apply };
      expect(bySid(role['ecs-node']!)).toEqual(bySid(fleetPolicy(serviceSizePermissions, subject, place)));
      expect(await lintPolicies(role)).toEqual([]);
    }
  });

  test('are given up on AWS by the function itself, which says so before its time is up', () => {
    const seconds = Number(resolved['size-web']['Function']!.Properties['Timeout']);
    expect(seconds * 1_000).toBeGreaterThan(patienceMs + 5_000);
  });
});

test.each([
  ['size-web', 'rate(1 minute)'],
  ['size-api', 'rate(5 minutes)'],
  ['looking', 'rate(1 hour)'],
  ['acting', 'rate(1 day)'],
] as const)('%s is run by its schedule, as a handler that the zip has', async (stack, rate) => {
  const { FunctionArn, Handler, Runtime } = functionOf(stack);
  expect(Runtime).toBe('nodejs24.x');
  const [file, exported] = Handler.split('.');
  const loaded: { exports: Record<string, unknown> } = { exports: {} };
  const code = Buffer.from(unzipSync(zip)[`${file}.js`]!).toString();
  runInThisContext(`(function (module, require) {${code}\n})`)(loaded, createRequire(import.meta.url));
  expect(loaded.exports[exported!]).toBeTypeOf('function');

  const rule = rules.find(({ Name }) => Name.startsWith(`${stack}-Schedule-`))!;
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
  ['size-web', 'service-size'],
  ['looking', 'sweep'],
] as const)('%s is watched: its log does not grow for ever, and failures raise an alarm', (stack, name) => {
  expect(logGroups).toContainEqual(
    expect.objectContaining({ logGroupName: `/ecs-node/${stack}/${name}`, retentionInDays: 30 }),
  );
  expect(resolved[stack]['Alarm']!.Properties).toMatchObject({
    Namespace: 'AWS/Lambda',
    MetricName: 'Errors',
    Dimensions: [{ Name: 'FunctionName', Value: 'Function' }],
  });
});

test('two stacks for two services have alarms of two names', () => {
  const names = (['size-web', 'size-api'] as const).map((stack) => resolved[stack]['Alarm']!.Properties['AlarmName']);
  expect(names).toEqual(['ecs-node prod service-size web', 'ecs-node prod service-size api']);
});
