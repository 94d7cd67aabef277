import { expect, test } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import type { Cloud } from '../../../../../core/host.ts';
import { callOf, json, openAws, wire } from '../aws.ts';
import { patient, arn, own } from './answers.ts';

const otherArn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/2';

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

test('a record that the list lacks belongs to this instance where its description says so', async () => {
  const ask = async (described: object) => {
    const { cloud } = await openAws((asked) =>
      json(callOf(asked).startsWith('List') ? { containerInstanceArns: [] } : described),
    );
    return cloud.ownsContainerInstance('demo', arn, patient);
  };
  expect(await ask({ containerInstances: [own] })).toBe(true);
  expect(await ask({ containerInstances: [{ ...own, ec2InstanceId: 'i-00000000000000bad' }] })).toBe(false);
  expect(await ask({ containerInstances: [], failures: [{ arn, reason: 'MISSING' }] })).toBe(false);
  expect(await ask({})).toBe(false);
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

test('the health of a cluster costs three calls, however large it is', async () => {
  const { cloud, calls, server } = await openAws((asked) =>
    json(
      callOf(asked) === 'DescribeClusters'
        ? { clusters: [{ clusterName: 'demo', registeredContainerInstancesCount: 900 }] }
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
