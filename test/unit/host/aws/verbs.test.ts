import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Cloud } from '../../../../core/host.ts';
import { nobody } from '../local-server.ts';
import { callOf, json, openAws, query, self, wire } from './aws.ts';
import { someConfirmed } from '../../../fakes/confirmed.ts';

const patient = new AbortController().signal;
const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/1';
const otherArn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/2';

test('each service uses its own endpoint variable, else the common one', async () => {
  const { cloud, server } = await openAws(() => json({ InstanceInformationList: [] }), {
    AWS_ENDPOINT_URL: await nobody(),
  });
  await expect(cloud.readPing(patient)).rejects.toThrow(/ECONNREFUSED/);
  const { cloud: own } = await openAws(() => json({ InstanceInformationList: [] }), {
    AWS_ENDPOINT_URL: await nobody(),
    AWS_ENDPOINT_URL_SSM: server.url,
  });
  expect(await own.readPing(patient)).toBeUndefined();
  expect(server.asked.map(callOf)).toEqual(['DescribeInstanceInformation']);
});

test('every call is signed, for the region of the instance', async () => {
  const { cloud, server } = await openAws(() => json({ InstanceInformationList: [] }));
  await cloud.readPing(patient);
  expect(server.asked[0]?.headers.authorization).toMatch(/Credential=AKIDEXAMPLE\/\d+\/us-east-1\/ssm\/aws4_request/);
});

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

const own = {
  containerInstanceArn: arn,
  ec2InstanceId: self,
  status: 'ACTIVE',
  agentConnected: true,
  runningTasksCount: 2,
};

test('a container instance with a known ARN costs one call; a look-up costs two', async () => {
  const { cloud, calls } = await openAws((asked) =>
    json(callOf(asked).startsWith('List') ? { containerInstanceArns: [arn] } : { containerInstances: [own] }),
  );
  const expected = {
    arn,
    status: 'ACTIVE',
    agentConnected: true,
    runningTasks: 2,
    pendingTasks: 0,
    queuedFor: [],
    registeredAt: 0,
    others: [],
  };
  expect(await cloud.readContainerInstance('demo', arn, patient)).toEqual(expected);
  expect(calls()).toEqual(['DescribeContainerInstances']);
  expect(await cloud.readContainerInstance('demo', undefined, patient)).toEqual(expected);
  expect(calls().slice(1)).toEqual(['ListContainerInstances', 'DescribeContainerInstances']);
});

test('a container instance carries its own entry in the leave queue', async () => {
  const attributes = [{ name: 'ecs.os-type', value: 'linux' }, { name: 'ecs-node.leave.disk', value: '1' }, {}];
  const { cloud } = await openAws(() => json({ containerInstances: [{ ...own, attributes }] }));
  expect(await cloud.readContainerInstance('demo', arn, patient)).toMatchObject({ queuedFor: ['disk'] });
});

test('an ARN from a copied image, which belongs to another machine, does not count', async () => {
  const { cloud } = await openAws((asked) =>
    json(
      callOf(asked).startsWith('List')
        ? { containerInstanceArns: [] }
        : { containerInstances: [{ ...own, ec2InstanceId: 'i-00000000000000bad' }] },
    ),
  );
  expect(await cloud.readContainerInstance('demo', arn, patient)).toBeUndefined();
});

// Six of six nodes ended within seconds of each other: with closed introspection ports a `200 {}`
// read as "ECS does not know me".
test.each([
  ['nothing', {}],
  ['nothing about the record', { containerInstances: [], failures: [] }],
  ['another record', { containerInstances: [{ ...own, containerInstanceArn: otherArn }], failures: [] }],
  ['a list that is none', { containerInstances: own, failures: [] }],
  ['a failure that is not about absence', { containerInstances: [], failures: [{ arn, reason: 'INTERNAL' }] }],
  ['a record without its instance', { containerInstances: [{ ...own, ec2InstanceId: undefined }] }],
  ['a record whose connection is a word', { containerInstances: [{ ...own, agentConnected: 'false' }] }],
  ['a record without a status', { containerInstances: [{ ...own, status: null }] }],
  ['null instead of a record', { containerInstances: [null] }],
])('an answer of ECS that holds %s does not mean unknown or disconnected', async (_, answer) => {
  const { cloud } = await openAws((asked) =>
    json(callOf(asked).startsWith('List') ? { containerInstanceArns: [arn] } : answer),
  );
  await expect(cloud.readContainerInstance('demo', arn, patient)).rejects.toBeInstanceOf(Unavailable);
  await expect(cloud.readContainerInstance('demo', undefined, patient)).rejects.toBeInstanceOf(Unavailable);
});

test.each([
  ['readContainerInstance', (cloud: Cloud) => cloud.readContainerInstance('demo', undefined, patient)],
  ['ownsContainerInstance', (cloud: Cloud) => cloud.ownsContainerInstance('demo', arn, patient)],
  ['drain', (cloud: Cloud) => cloud.drain('demo', arn, patient)],
  ['activate', (cloud: Cloud) => cloud.activate('demo', arn, patient)],
  ['readTasks', (cloud: Cloud) => cloud.readTasks('demo', arn, patient)],
  ['readClusterHealth', (cloud: Cloud) => cloud.readClusterHealth('demo', patient)],
  ['readUnsteadyServices', (cloud: Cloud) => cloud.readUnsteadyServices('demo', patient)],
  ['readLeaveQueue', (cloud: Cloud) => cloud.readLeaveQueue('demo', 'disk', patient)],
  // OpsWorks's record was "gone", and Systems Manager "did not see" the node: it ended itself.
  ['readRegistration', (cloud: Cloud) => cloud.readRegistration('r1', patient)],
  ['findRegistration', (cloud: Cloud) => cloud.findRegistration('s1', patient)],
  ['readStack', (cloud: Cloud) => cloud.readStack('demo', patient)],
  ['readLayer', (cloud: Cloud) => cloud.readLayer('s1', 'ecs', patient)],
  ['readPing', (cloud: Cloud) => cloud.readPing(patient)],
])('an empty answer to %s means nothing', async (_, call) => {
  const { cloud } = await openAws(() => json({}));
  await expect(call(cloud)).rejects.toBeInstanceOf(Unavailable);
});

test.each([
  ['readOwnTags', '<DescribeTagsResponse/>', (cloud: Cloud) => cloud.readOwnTags(patient)],
  [
    'readOwnTags',
    '<DescribeTagsResponse><tagSet><item><resourceId>i-0bad</resourceId><key>ecs-node:keep</key></item></tagSet></DescribeTagsResponse>',
    (cloud: Cloud) => cloud.readOwnTags(patient),
  ],
  [
    'readTerminationProtection',
    '<DescribeInstanceAttributeResponse/>',
    (cloud: Cloud) => cloud.readTerminationProtection(patient),
  ],
])('an answer of EC2 to %s that is empty, or about another instance, says nothing: %s', async (_, body, call) => {
  const { cloud } = await openAws(() => ({ body }));
  await expect(call(cloud)).rejects.toBeInstanceOf(Unavailable);
});

test('how far away an event of EC2 is counts by the clock of EC2, not by this one', async () => {
  const day = 86_400_000;
  const ec2Now = Date.now() + 15 * day;
  const notBefore = new Date(ec2Now + day).toISOString();
  const body = `<DescribeInstanceStatusResponse><instanceStatusSet><item><instanceId>${self}</instanceId><eventsSet><item><instanceEventId>e-1</instanceEventId><code>instance-reboot</code><notBefore>${notBefore}</notBefore></item></eventsSet></item></instanceStatusSet></DescribeInstanceStatusResponse>`;
  const { cloud } = await openAws(() => ({ body, headers: { date: new Date(ec2Now).toUTCString() } }));
  const [event] = await cloud.readScheduledEvents(patient);
  expect(Math.round(event!.startsInMs! / 3_600_000)).toBe(24);
});

test('a task that is listed but not described may still be there', async () => {
  const { cloud } = await openAws((asked) =>
    json(callOf(asked) === 'ListTasks' ? { taskArns: ['t1'] } : { tasks: [], failures: [] }),
  );
  await expect(cloud.readTasks('demo', arn, patient)).rejects.toBeInstanceOf(Unavailable);
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

// Its agent had lost its state and registered again: the record that was left behind was drained,
// and the node got new tasks.
test('the connected one of two records counts, else the newest', async () => {
  const record = (id: string, agentConnected: boolean, registeredAt: number) => ({
    ...own,
    containerInstanceArn: `${arn}-${id}`,
    agentConnected,
    registeredAt,
  });
  const choose = async (records: object[]) => {
    const { cloud } = await openAws((asked) =>
      json(
        callOf(asked).startsWith('List')
          ? { containerInstanceArns: [`${arn}-old`, `${arn}-new`] }
          : { containerInstances: records, failures: [] },
      ),
    );
    return cloud.readContainerInstance('demo', undefined, patient);
  };
  const stale = record('old', false, 1_000);
  expect(await choose([stale, record('new', true, 2_000)])).toMatchObject({
    arn: `${arn}-new`,
    others: [`${arn}-old`],
  });
  expect(await choose([stale, record('new', false, 2_000)])).toMatchObject({ arn: `${arn}-new` });
  expect(await choose([record('old', true, 1_000), record('new', false, 2_000)])).toMatchObject({ arn: `${arn}-old` });
});

test('a disconnected record is replaced when its EC2 instance has a connected one', async () => {
  const record = (id: string, ec2InstanceId: string, agentConnected: boolean) => ({
    ...own,
    containerInstanceArn: `${arn}-${id}`,
    ec2InstanceId,
    agentConnected,
  });
  const known = [record('old', 'i-1', false), record('new', 'i-1', true), record('lost', 'i-2', false)];
  const { cloud, server } = await openAws((asked) => {
    const { containerInstances = [] } = JSON.parse(asked.body) as { containerInstances?: string[] };
    if (callOf(asked).startsWith('List')) return json({ containerInstanceArns: [`${arn}-new`] });
    return json({
      containerInstances: known.filter(({ containerInstanceArn }) => containerInstances.includes(containerInstanceArn)),
      failures: [],
    });
  });
  expect(await cloud.readRecords('demo', [`${arn}-old`, `${arn}-lost`], patient)).toEqual([
    { arn: `${arn}-old`, ec2InstanceId: 'i-1', agentConnected: false, replaced: true },
    { arn: `${arn}-lost`, ec2InstanceId: 'i-2', agentConnected: false, replaced: false },
  ]);
  expect(server.asked.map(({ body }) => JSON.parse(body) as object)[1]).toEqual({
    cluster: 'demo',
    filter: 'agentConnected == true and ec2InstanceId in [i-1, i-2]',
  });
});

test('the list of running instances counts only when it holds this instance', async () => {
  const instances = (...ids: string[]) =>
    `<reservationSet>${ids.map((id) => `<item><instancesSet><item><instanceId>${id}</instanceId><instanceState><code>16</code><name>running</name></instanceState></item></instancesSet></item>`).join('')}</reservationSet>`;
  const { cloud } = await openAws(() => ({
    body: `<DescribeInstancesResponse>${instances(self, 'i-1')}</DescribeInstancesResponse>`,
  }));
  expect(await cloud.readRunning(['i-1', 'i-2'], patient)).toEqual(['i-1']);
  const { cloud: empty } = await openAws(() => ({
    body: '<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>',
  }));
  await expect(empty.readRunning(['i-1'], patient)).rejects.toBeInstanceOf(Unavailable);
});

test('a failure in the body of a good answer is a refusal too', async () => {
  const { cloud, last } = await openAws(() => json({ failures: [{ arn, reason: 'MISSING' }], containerInstances: [] }));
  await expect(cloud.drain('demo', arn, patient)).rejects.toMatchObject({ name: 'Refused', code: 'MISSING' });
  expect(last()).toEqual({ cluster: 'demo', containerInstances: [arn], status: 'DRAINING' });
});

test('stopping tasks are there until they have stopped', async () => {
  const { cloud } = await openAws((asked) => {
    const { desiredStatus } = JSON.parse(asked.body) as { desiredStatus?: string };
    if (callOf(asked) === 'ListTasks') return json({ taskArns: desiredStatus === 'RUNNING' ? ['t1'] : ['t2', 't3'] });
    const task = (taskArn: string, lastStatus: string, wish: string) => ({
      taskArn,
      containerInstanceArn: arn,
      lastStatus,
      desiredStatus: wish,
      group: 'service:web',
    });
    return json({
      tasks: [
        task('t1', 'RUNNING', 'RUNNING'),
        task('t2', 'DEPROVISIONING', 'STOPPED'),
        task('t3', 'STOPPED', 'STOPPED'),
      ],
    });
  });
  expect((await cloud.readTasks('demo', arn, patient)).map((task) => task.arn)).toEqual(['t1', 't2']);
});

test.each([undefined, null, ''])(
  'a task with the status %j counts as running, and hides no other',
  async (lastStatus) => {
    const { cloud } = await openAws((asked) => {
      const { desiredStatus } = JSON.parse(asked.body) as { desiredStatus?: string };
      if (callOf(asked) === 'ListTasks') return json({ taskArns: desiredStatus === 'RUNNING' ? ['t1', 't2'] : [] });
      return json({
        tasks: [
          { taskArn: 't1', lastStatus, containerInstanceArn: arn },
          { taskArn: 't2', lastStatus: 'RUNNING', containerInstanceArn: arn },
        ],
      });
    });
    expect((await cloud.readTasks('demo', arn, patient)).map((task) => [task.arn, task.lastStatus])).toEqual([
      ['t1', 'UNKNOWN'],
      ['t2', 'RUNNING'],
    ]);
  },
);

test('the protection of every task is read, a hundred a call', async () => {
  const { cloud, server } = await openAws((asked) => {
    const { tasks } = JSON.parse(asked.body) as { tasks: string[] };
    return json({ protectedTasks: tasks.map((taskArn) => ({ taskArn, protectionEnabled: true })), failures: [] });
  });
  const arns = Array.from({ length: 250 }, (_, at) => `t${at}`);
  expect(await cloud.readProtectedTasks('demo', arns, patient)).toEqual(arns);
  expect(server.asked.map(({ body }) => (JSON.parse(body) as { tasks: string[] }).tasks.length)).toEqual([
    100, 100, 50,
  ]);
});

test('the health of a cluster costs three calls, however large it is', async () => {
  const { cloud, calls, server } = await openAws((asked) =>
    json(
      callOf(asked) === 'DescribeClusters'
        ? { clusters: [{ registeredContainerInstancesCount: 900 }] }
        : { containerInstanceArns: asked.body.includes('DRAINING') ? [arn] : [arn, otherArn] },
    ),
  );
  expect(await cloud.readClusterHealth('demo', patient)).toEqual({
    registered: 900,
    draining: 1,
    disconnected: 2,
    disconnectedArns: [arn, otherArn],
  });
  expect(calls()).toEqual(['DescribeClusters', 'ListContainerInstances', 'ListContainerInstances']);
  expect(server.asked.map(({ body }) => JSON.parse(body) as object).slice(1)).toEqual([
    { cluster: 'demo', status: 'DRAINING' },
    { cluster: 'demo', filter: 'agentConnected == false' },
  ]);
});

test('names the services that lack tasks, ten in a call', async () => {
  const arns = Array.from({ length: 11 }, (_, index) => `s${index}`);
  const { cloud, calls } = await openAws((asked) => {
    if (callOf(asked) === 'ListServices') return json({ serviceArns: arns });
    const { services } = JSON.parse(asked.body) as { services: string[] };
    return json({
      services: services.map((serviceName) => ({
        serviceName,
        status: 'ACTIVE',
        desiredCount: 2,
        runningCount: serviceName === 's10' ? 1 : 2,
      })),
    });
  });
  expect(await cloud.readUnsteadyServices('demo', patient)).toEqual(['s10']);
  expect(calls()).toEqual(['ListServices', 'DescribeServices', 'DescribeServices']);
});

test('an entry in the leave queue is kept, and foreign attributes do not count', async () => {
  const attributes = [
    { name: 'x', value: '2000', targetId: otherArn },
    { name: 'x', value: '1000', targetId: arn },
    { name: 'x', value: 'soon', targetId: 'arn:stranger' },
    { name: 'x', targetId: 'arn:empty' },
  ];
  const { cloud, calls, last } = await openAws(() => json({ attributes }));
  expect(await cloud.readLeaveQueue('demo', 'disk', patient)).toEqual([
    { arn, since: 1000 },
    { arn: otherArn, since: 2000 },
  ]);
  await cloud.queueToLeave('demo', arn, 'disk', 5000, patient);
  expect(calls()).toEqual(['ListAttributes', 'ListAttributes']);
  await cloud.queueToLeave('demo', otherArn, 'disk', 1500, patient);
  expect(last()).toEqual({
    cluster: 'demo',
    attributes: [{ name: 'ecs-node.leave.disk', value: '1500', targetType: 'container-instance', targetId: otherArn }],
  });
});

test('leaving the queue succeeds when the cluster has forgotten this node', async () => {
  const { cloud } = await openAws(() => wire.json('TargetNotFoundException', 'gone'));
  await expect(cloud.unqueue('demo', arn, 'disk', patient)).resolves.toBeUndefined();
});

const health = (...targets: [id: string, port: number, state: string][]) =>
  query(
    'DescribeTargetHealth',
    `<TargetHealthDescriptions>${targets
      .map(
        ([id, port, state]) =>
          `<member><Target><Id>${id}</Id><Port>${port}</Port></Target><TargetHealth><State>${state}</State></TargetHealth></member>`,
      )
      .join('')}</TargetHealthDescriptions>`,
  );

test('a target is deregistered under every port of its own, and no other target with it', async () => {
  const { cloud, calls, last } = await openAws((asked) =>
    callOf(asked) === 'DescribeTargetHealth'
      ? health([self, 8080, 'healthy'], [self, 9090, 'draining'], ['i-00000000000000bad', 8080, 'healthy'])
      : query('DeregisterTargets', ''),
  );
  await cloud.deregisterTarget('group', patient);
  expect(calls()).toEqual(['DescribeTargetHealth', 'DeregisterTargets']);
  expect(last()).toMatchObject({ 'Targets.member.1.Id': self, 'Targets.member.1.Port': '8080' });
  expect(last()).not.toHaveProperty('Targets.member.2.Id');
  expect(await cloud.isTargetDraining('group', patient)).toBe(true);
});

test('an absent target counts as deregistered', async () => {
  const { cloud, calls } = await openAws(() => health());
  await cloud.deregisterTarget('group', patient);
  expect(await cloud.isTargetDraining('group', patient)).toBe(false);
  expect(calls()).toEqual(['DescribeTargetHealth', 'DescribeTargetHealth']);
});

test('a classic load balancer that does not know this instance counts as left', async () => {
  const { cloud } = await openAws(() => wire.query('InvalidInstance', 'Could not find EC2 instance'));
  await cloud.deregisterFromLoadBalancer('old', patient);
  expect(await cloud.isLoadBalancerDraining('old', patient)).toBe(false);
});

test('a classic load balancer reports in words that connections still drain', async () => {
  const { cloud } = await openAws(() =>
    query(
      'DescribeInstanceHealth',
      `<InstanceStates><member><InstanceId>${self}</InstanceId><State>InService</State><Description>Instance deregistration currently in progress.</Description></member></InstanceStates>`,
    ),
  );
  expect(await cloud.isLoadBalancerDraining('old', patient)).toBe(true);
});

test('a stack is found by id with one record, by name among all, and never as one of two', async () => {
  const id = 'abababab-1111-4111-8111-111111111111';
  const stacks = [
    { StackId: id, Name: 'web', Region: 'us-east-1' },
    { StackId: 'b', Name: 'twin', Region: 'us-east-1' },
    { StackId: 'c', Name: 'twin', Region: 'us-east-1' },
  ];
  const { cloud, last } = await openAws(() => json({ Stacks: stacks }));
  expect(await cloud.readStack(id, patient)).toEqual({ id, name: 'web', region: 'us-east-1' });
  expect(last()).toEqual({ StackIds: [id] });
  expect(await cloud.readStack(id.toUpperCase(), patient)).toMatchObject({ id });
  expect(last()).toEqual({ StackIds: [id] });
  expect(await cloud.readStack('web', patient)).toMatchObject({ id });
  expect(last()).toEqual({});
  expect(await cloud.readStack('nothing', patient)).toBeUndefined();
  await expect(cloud.readStack('twin', patient)).rejects.toThrow(/2 stacks are called "twin".*b, c/);
});

test('an id that OpsWorks does not know counts as absent', async () => {
  const { cloud } = await openAws(() => wire.json('ResourceNotFoundException', 'Unable to find it'));
  const id = '11111111-1111-4111-8111-111111111111';
  expect(await cloud.readStack(id, patient)).toBeUndefined();
  expect(await cloud.readLayer(id, id, patient)).toBeUndefined();
  expect(await cloud.readRegistration(id, patient)).toBeUndefined();
  await expect(cloud.deregister(id, patient)).rejects.toMatchObject({ code: 'ResourceNotFoundException' });
});

test('a list of OpsWorks without the record that was asked for is no answer', async () => {
  const { cloud } = await openAws(() => json({ Instances: [] }));
  await expect(cloud.readRegistration('r', patient)).rejects.toThrow('the answer lacks the record r');
});

test('the OpsWorks record of another instance never counts as ours', async () => {
  const record = { InstanceId: 'r', Hostname: 'web-1', Status: 'online', LayerIds: ['l'] };
  const { cloud, last } = await openAws(() =>
    json({ Instances: [{ ...record, Ec2InstanceId: 'i-00000000000000bad' }] }),
  );
  expect(await cloud.readRegistration('r', patient)).toBeUndefined();
  expect(last()).toEqual({ InstanceIds: ['r'] });
  expect(await cloud.findRegistration('s', patient)).toBeUndefined();
  const { cloud: ours } = await openAws(() => json({ Instances: [{ ...record, Ec2InstanceId: self }] }));
  expect(await ours.readRegistration('r', patient)).toEqual({
    id: 'r',
    hostname: 'web-1',
    status: 'online',
    layerIds: ['l'],
  });
});

test('one invalid measurement does not cost the others', async () => {
  const { cloud, server } = await openAws(() => ({ body: '' }));
  const metric = { unit: 'Percent', dimensions: { InstanceId: self }, at: Date.UTC(2030, 0, 1) } as const;
  await cloud
    .publish(
      'System/Linux',
      [
        { ...metric, name: 'Bad', value: Number.NaN },
        { ...metric, name: 'Good', value: 1 },
      ],
      patient,
    )
    .catch(() => {});
  expect(server.asked[0]?.body).toContain('Good');
  expect(server.asked[0]?.body).not.toContain('Bad');
  await cloud.publish('System/Linux', [{ ...metric, name: 'Bad', value: Infinity }], patient);
  expect(server.asked.every(({ body }) => body.includes('Good'))).toBe(true);
});

test('an empty set of tags causes no call', async () => {
  const { cloud, calls } = await openAws(() => ({}));
  await cloud.tagSelf({}, patient);
  expect(calls()).toEqual([]);
});

test('the log holds each call and its duration, without a secret', async () => {
  const { cloud, log } = await openAws(() => json({ InstanceInformationList: [] }));
  await cloud.readPing(patient);
  expect(log).toMatchObject([
    { level: 'debug', message: 'called AWS', fields: { call: 'ssm:DescribeInstanceInformation' } },
  ]);
  expect(JSON.stringify(log)).not.toMatch(/secret|AKID|token/);
});
