import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { openAws, query, self, wire } from '../aws.ts';
import { someConfirmed } from '../../../../fakes/confirmed.ts';
import { patient } from './answers.ts';

test('termination names this instance, asks for a replacement, and nothing else', async () => {
  const { cloud, last } = await openAws(() => query('TerminateInstanceInAutoScalingGroup', ''));
  await cloud.terminateInGroup(someConfirmed, patient);
  expect(last()).toMatchObject({ InstanceId: self, ShouldDecrementDesiredCapacity: 'false' });
  await cloud.reportUnhealthy(someConfirmed, patient);
  expect(last()).toMatchObject({ InstanceId: self, HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: 'false' });
  await cloud.terminateSelf(someConfirmed, patient).catch(() => {});
  expect(last()).toMatchObject({ Action: 'TerminateInstances', 'InstanceId.1': self });
  expect(last()).not.toHaveProperty('InstanceId.2');
});

test('a hook that is not active differs from a refusal', async () => {
  const { cloud, calls } = await openAws(() =>
    wire.query('ValidationError', `No active Lifecycle Action found with instance ID ${self}`),
  );
  expect(await cloud.completeHook('web', 'launch', 'CONTINUE', patient)).toBe(false);
  expect(await cloud.heartbeat('web', 'launch', patient)).toBe(false);
  expect(calls()).toEqual(['CompleteLifecycleAction', 'RecordLifecycleActionHeartbeat']);
  const { cloud: other } = await openAws(() => wire.query('ValidationError', 'AutoScalingGroup name not found'));
  await expect(other.completeHook('web', 'launch', 'CONTINUE', patient)).rejects.toThrow(Refused);
});

test('reads the history of a group only as far back as requested', async () => {
  const activity = (what: string, at: string, status = 'Successful') =>
    `<member><Description>${what}</Description><StartTime>${at}</StartTime><StatusCode>${status}</StatusCode><ActivityId>a</ActivityId><AutoScalingGroupName>web</AutoScalingGroupName><Cause>c</Cause></member>`;
  const pages = [
    [
      activity('Launching a new EC2 instance: i-0000000000000000c', '2030-01-01T03:00:00Z', 'Cancelled'),
      activity('Updating something else', '2030-01-01T02:30:00Z'),
      activity('Terminating EC2 instance: i-0000000000000000b', '2030-01-01T02:00:00Z', 'InProgress'),
    ],
    [activity('Launching a new EC2 instance: i-0000000000000000a', '2030-01-01T00:00:00Z')],
  ];
  const { cloud, calls } = await openAws(() =>
    query(
      'DescribeScalingActivities',
      `<Activities>${pages.shift()?.join('') ?? ''}</Activities><NextToken>more</NextToken>`,
    ),
  );
  expect(await cloud.readActivities('web', Date.UTC(2030, 0, 1, 1), patient)).toEqual([
    { kind: 'launch', instanceId: 'i-0000000000000000c', at: Date.UTC(2030, 0, 1, 3), succeeded: false },
    { kind: 'terminate', instanceId: 'i-0000000000000000b', at: Date.UTC(2030, 0, 1, 2), succeeded: true },
  ]);
  expect(calls()).toHaveLength(2);
});

test("hooks have AWS's limits when the answer omits them", async () => {
  const { cloud } = await openAws(() =>
    query(
      'DescribeLifecycleHooks',
      `<LifecycleHooks><member><LifecycleHookName>in</LifecycleHookName><LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition></member>
       <member><LifecycleHookName>out</LifecycleHookName><LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition><HeartbeatTimeout>60</HeartbeatTimeout><GlobalTimeout>6000</GlobalTimeout><DefaultResult>CONTINUE</DefaultResult></member></LifecycleHooks>`,
    ),
  );
  expect(await cloud.readHooks('web', patient)).toEqual([
    { name: 'in', transition: 'launch', heartbeatSeconds: 3600, globalSeconds: 172_800, defaultResult: 'ABANDON' },
    { name: 'out', transition: 'terminate', heartbeatSeconds: 60, globalSeconds: 6000, defaultResult: 'CONTINUE' },
  ]);
});

test.each([
  ['no list', ''],
  ['another instance', '<AutoScalingInstances><member><InstanceId>i-0bad</InstanceId></member></AutoScalingInstances>'],
  [
    'no state',
    `<AutoScalingInstances><member><InstanceId>${self}</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName></member></AutoScalingInstances>`,
  ],
])('an answer of Auto Scaling with %s does not mean that the node is in no group', async (_, inside) => {
  const { cloud } = await openAws(() => query('DescribeAutoScalingInstances', inside));
  await expect(cloud.readMembership(patient)).rejects.toBeInstanceOf(Unavailable);
  const { cloud: alone } = await openAws(() =>
    query('DescribeAutoScalingInstances', '<AutoScalingInstances></AutoScalingInstances>'),
  );
  expect(await alone.readMembership(patient)).toBeUndefined();
});
