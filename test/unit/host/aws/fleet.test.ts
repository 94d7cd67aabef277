import type { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import type { ECSClient } from '@aws-sdk/client-ecs';
import type { OpsWorksClient } from '@aws-sdk/client-opsworks';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { openLog } from '../../../../core/log.ts';
import { openAwsCall, type AwsCall } from '../../../../host/aws/fault.ts';
import { openContainerInstanceReads } from '../../../../host/aws/fleet/container-instances.ts';
import { openFleetNodes } from '../../../../host/aws/fleet/open.ts';
import { openRecords } from '../../../../host/aws/opsworks/fleet-records.ts';
import { openReports } from '../../../../host/aws/fleet/reports.ts';
import { withRetry } from '../../../../host/aws/fleet/paging.ts';
import { chunks, everyPage } from '../../../../host/aws/pages.ts';
import { openFleetSession } from '../../../../host/aws/session/fleet-session.ts';
import { openClock } from '../../../../host/clock.ts';
import { openFakeClock } from '../../../fakes/clock.ts';
import { serve } from '../local-server.ts';
import { json, keys } from './aws.ts';

const log = openLog(
  () => {},
  () => 0,
);
const callAws = openAwsCall('of a test', log);
const { signal } = new AbortController();

/** A client that answers by the name of the command. */
const clientOf = <T>(answers: Record<string, (input: never) => unknown>): T =>
  ({
    send: async (command: object & { input: never }) => answers[command.constructor.name]?.(command.input),
  }) as T;

const instance = (id: string) => ({
  containerInstanceArn: `arn:${id}`,
  ec2InstanceId: id,
  status: 'ACTIVE',
  agentConnected: true,
  runningTasksCount: 0,
  pendingTasksCount: 0,
  registeredAt: new Date(0),
});

test("the clock of AWS is known after an answer, however wrong this machine's is", async () => {
  const ahead = new Date(Date.now() + 3 * 3_600_000).toUTCString();
  const server = await serve(() => ({
    ...json({ clusters: [{ clusterName: 'prod', status: 'ACTIVE', registeredContainerInstancesCount: 3 }] }),
    headers: { 'content-type': 'application/x-amz-json-1.1', date: ahead },
  }));
  const region = 'eu-west-1';
  const session = openFleetSession(region, { AWS_ENDPOINT_URL: server.url, ...keys }, log);
  const fleet = openFleetNodes(session, { region }, openClock(), log);
  onTestFinished(() => fleet.close());
  expect(fleet.clockOffsetMs()).toBe(0);
  await fleet.readContainerInstanceCount('prod', signal);
  expect(Math.round(fleet.clockOffsetMs() / 60_000)).toBe(180);
});

describe('container instances', () => {
  const read = (describeAnswer: object, arns = ['arn:i-a', 'arn:i-b']) => {
    const client = clientOf<ECSClient>({
      ListContainerInstancesCommand: () => ({ containerInstanceArns: arns }),
      DescribeContainerInstancesCommand: () => describeAnswer,
    });
    return openContainerInstanceReads(client, callAws).readContainerInstances('prod', signal);
  };

  test('do not break the answer when they leave between two calls', async () => {
    const failures = [{ arn: 'arn:i-b', reason: 'MISSING' }];
    expect(await read({ containerInstances: [instance('i-a')], failures })).toMatchObject([{ instanceId: 'i-a' }]);
  });

  test.each([
    ['fewer came than were asked for', { containerInstances: [instance('i-a')], failures: [] }],
    ['one could not be told', { containerInstances: [instance('i-a')], failures: [{ reason: 'INTERNAL' }] }],
    ['the list is missing', {}],
    [
      'one lacks whether its agent is connected',
      { containerInstances: [{ ...instance('i-a'), agentConnected: undefined }, instance('i-b')] },
    ],
  ])('are unknown when %s', async (_title, answer) => {
    await expect(read(answer)).rejects.toThrow(Unavailable);
  });

  test('name the notes of version 0.1.0, without their values', async () => {
    const attributes = [
      { name: 'ecs-node.sweep.disconnected', value: '17' },
      { name: 'ecs.os-type', value: 'linux' },
    ];
    const [own] = await read({ containerInstances: [{ ...instance('i-a'), attributes }] }, ['arn:i-a']);
    expect(own!.oldNotes).toEqual(['ecs-node.sweep.disconnected']);
  });

  test.each([
    [['17'], 17],
    [['17', '19', 'no time'], 19],
    [['Infinity'], 0],
    [[undefined], 0],
  ])('say since when the node is queued to leave: %j', async (values, leavesSince) => {
    const attributes = values.map((value, index) => ({ name: `ecs-node.leave.${index}`, value }));
    const [own] = await read({ containerInstances: [{ ...instance('i-a'), attributes }] }, ['arn:i-a']);
    expect(own).toMatchObject({ leavesSince, oldNotes: [] });
  });
});

describe('the search in other clusters', () => {
  const find = (clusterArns: string[] | undefined, registered: Record<string, string[]> = {}) => {
    const searched: unknown[] = [];
    const client = clientOf<ECSClient>({
      ListClustersCommand: ({ nextToken = 0 }: { nextToken?: number }) => ({
        clusterArns: clusterArns?.slice(nextToken, Number(nextToken) + 100),
        ...(Number(nextToken) + 100 < (clusterArns?.length ?? 0) && { nextToken: Number(nextToken) + 100 }),
      }),
      ListContainerInstancesCommand: ({ cluster, filter }: { cluster: string; filter: string }) => {
        searched.push([cluster, filter]);
        return { containerInstanceArns: registered[cluster] };
      },
    });
    const found = openContainerInstanceReads(client, callAws).readOtherClusterOf('prod', 'i-a', signal);
    return { found, searched };
  };
  const arnOf = (name: string) => `arn:aws:ecs:eu-west-1:123456789012:cluster/${name}`;
  const many = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);
  const none = (names: string[]) => Object.fromEntries(names.map((name) => [name, []]));

  test('asks each of them for the one instance, and never the own cluster', async () => {
    const { found, searched } = find(['a', 'prod', 'b'].map(arnOf), none(['a', 'b']));
    expect(await found).toBeUndefined();
    expect(searched).toEqual([
      ['a', 'ec2InstanceId == i-a'],
      ['b', 'ec2InstanceId == i-a'],
    ]);
    expect(await find(['a', 'prod', 'b'].map(arnOf), { a: [], b: ['arn:x'] }).found).toBe('b');
  });

  test('reads a hundred of them, over two pages', async () => {
    const names = many(100);
    const { found, searched } = find([...names, 'prod'].map(arnOf), none(names));
    expect(await found).toBeUndefined();
    expect(searched).toHaveLength(100);
  });

  test.each([
    ['the list is missing', undefined, {}],
    ['the list lacks the own cluster', ['a'], none(['a'])],
    ['the list is empty', [], {}],
    ['there are more than a hundred', [...many(101), 'prod'], none(many(101))],
    ['one of them gives no list', ['prod', 'a', 'b'], none(['a'])],
  ])('knows nothing when %s', async (_title, names, registered) => {
    await expect(find(names?.map(arnOf), registered).found).rejects.toThrow(Unavailable);
  });
});

describe('OpsWorks records', () => {
  const stack = { StackId: '11111111-1111-4111-8111-111111111111', Name: 'web', Region: 'eu-west-1' };
  const record = {
    InstanceId: 'r',
    Ec2InstanceId: 'i-a',
    InfrastructureClass: 'ec2',
    CreatedAt: '2020-01-01T00:00:00+00:00',
  };
  const read = (name: string, stacks: object[], instances: object[] = [record]) => {
    const client = clientOf<OpsWorksClient>({
      DescribeStacksCommand: () => ({ Stacks: stacks }),
      DescribeInstancesCommand: () => ({ Instances: instances }),
    });
    return openRecords(client, callAws, 'eu-west-1').readRecords(name, signal);
  };

  test('cover only EC2 instances that have registered', async () => {
    const others = [
      { ...record, InfrastructureClass: 'on-premises' },
      { ...record, InfrastructureClass: undefined },
      { ...record, Ec2InstanceId: undefined },
    ];
    expect(await read('web', [stack], [record, ...others])).toMatchObject([{ id: 'r', instanceId: 'i-a' }]);
  });

  test.each([
    ['there is no such stack', []],
    ['two stacks are called so', [stack, { ...stack, StackId: '2' }]],
    ['the stack is of another region', [{ ...stack, Region: 'us-east-1' }]],
  ])('are refused when %s', async (_title, stacks) => {
    await expect(read('web', stacks)).rejects.toThrow(Refused);
  });
});

test('the fullest of several disks is reported, with the latest time', async () => {
  const disk = (MountPath: string) => ({
    Dimensions: [
      { Name: 'InstanceId', Value: 'i-a' },
      { Name: 'MountPath', Value: MountPath },
    ],
  });
  const client = clientOf<CloudWatchClient>({
    ListMetricsCommand: () => ({ Metrics: [disk('/'), disk('/data')] }),
    GetMetricDataCommand: () => ({
      MetricDataResults: [
        { Id: 'd0', Values: [91, 10], Timestamps: [new Date(1_000), new Date(0)] },
        { Id: 'd1', Values: [20], Timestamps: [new Date(5_000)] },
      ],
    }),
  });
  const reports = await openReports(client, callAws).readReports('System/Linux', ['i-a'], 10_000, signal);
  expect(reports).toEqual([{ instanceId: 'i-a', usedPercent: 91, at: 5_000 }]);
});

describe('pages and retries', () => {
  test('end a list that never ends', async () => {
    await expect(everyPage(async () => ({ items: [1], next: 'again' }))).rejects.toThrow(/in a circle/);
    let page = 0;
    await expect(everyPage(async () => ({ items: [1], next: `${++page}` }))).rejects.toThrow(/does not end/);
    expect(page).toBe(500);
  });

  test('lose nothing at the borders of portions', () => {
    expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
    expect(chunks([], 2)).toEqual([]);
  });

  test('repeat a call for at most a minute, and no refused one', async () => {
    const clock = openFakeClock();
    let calls = 0;
    const failing =
      (error: Error): AwsCall =>
      async () => {
        calls++;
        throw error;
      };
    const send = async () => {};
    const throttled = withRetry(failing(new Unavailable('throttled')), clock, log)('ecs:X', '*', signal, send);
    const outcome = expect(throttled).rejects.toThrow(Unavailable);
    await clock.finish(throttled.catch(() => {}));
    await outcome;
    expect(calls).toBeGreaterThan(3);
    calls = 0;
    const refused = withRetry(failing(new Refused('no')), clock, log)('ecs:X', '*', signal, send);
    await expect(refused).rejects.toThrow(Refused);
    expect(calls).toBe(1);
  });
});
