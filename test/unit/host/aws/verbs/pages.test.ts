import { expect, test } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import type { Cloud } from '../../../../../core/host.ts';
import { callOf, json, openAws, query, self } from '../aws.ts';
import { arn, own, patient } from './answers.ts';

const group = 'web';
const tag = (key: string) => `<item><resourceId>${self}</resourceId><key>${key}</key><value>v</value></item>`;
const ec2 = (call: string) => (list: string, token: string | undefined) => ({
  headers: { 'content-type': 'text/xml' },
  body: `<${call}Response>${list}${token === undefined ? '' : `<nextToken>${token}</nextToken>`}</${call}Response>`,
});
const autoScaling = (call: string) => (list: string, token: string | undefined) =>
  query(call, `${list}${token === undefined ? '' : `<NextToken>${token}</NextToken>`}`);
const ecs = (list: object, token: string | undefined) => json({ ...list, nextToken: token });

interface Paged {
  /** The operation that has pages. */
  call: string;
  /** The text of one page, in the words of the service. */
  page(isFull: boolean, token: string | undefined): ReturnType<typeof json>;
  read(cloud: Cloud): Promise<unknown>;
  expected: unknown;
}

const lists: Record<string, Paged> = {
  // A launching node was on the second page, and ended itself because it was "not registered".
  readPing: {
    call: 'DescribeInstanceInformation',
    page: (isFull, token) =>
      json({ InstanceInformationList: isFull ? [{ InstanceId: self, PingStatus: 'Online' }] : [], NextToken: token }),
    read: (cloud) => cloud.readPing(patient),
    expected: 'Online',
  },
  // A node ended itself under its tasks because ECS had "no record" of it.
  readContainerInstance: {
    call: 'ListContainerInstances',
    page: (isFull, token) => ecs({ containerInstanceArns: isFull ? [arn] : [] }, token),
    read: async (cloud) => (await cloud.readContainerInstance('demo', undefined, patient))?.arn,
    expected: arn,
  },
  ownsContainerInstance: {
    call: 'ListContainerInstances',
    page: (isFull, token) => ecs({ containerInstanceArns: isFull ? [arn] : [] }, token),
    read: (cloud) => cloud.ownsContainerInstance('demo', arn, patient),
    expected: true,
  },
  readLeaveQueue: {
    call: 'ListAttributes',
    page: (isFull, token) => ecs({ attributes: isFull ? [{ targetId: arn, value: '1' }] : [] }, token),
    read: (cloud) => cloud.readLeaveQueue('demo', 'disk', patient),
    expected: [{ arn, since: 1 }],
  },
  readCapacityProvider: {
    call: 'DescribeCapacityProviders',
    page: (isFull, token) =>
      ecs(
        {
          capacityProviders: isFull
            ? [{ name: 'nodes', status: 'ACTIVE', autoScalingGroupProvider: { autoScalingGroupArn: group } }]
            : [],
        },
        token,
      ),
    read: (cloud) => cloud.readCapacityProvider('demo', group, patient),
    expected: 'nodes',
  },
  // A node with the tag ecs-node:keep was terminated.
  readOwnTags: {
    call: 'DescribeTags',
    page: (isFull, token) => ec2('DescribeTags')(`<tagSet>${isFull ? tag('ecs-node:keep') : ''}</tagSet>`, token),
    read: (cloud) => cloud.readOwnTags(patient),
    expected: { 'ecs-node:keep': 'v' },
  },
  readSpotStatus: {
    call: 'DescribeSpotInstanceRequests',
    page: (isFull, token) =>
      ec2('DescribeSpotInstanceRequests')(
        `<spotInstanceRequestSet>${isFull ? `<item><instanceId>${self}</instanceId><status><code>fulfilled</code></status></item>` : ''}</spotInstanceRequestSet>`,
        token,
      ),
    read: (cloud) => cloud.readSpotStatus(patient),
    expected: 'fulfilled',
  },
  readScheduledEvents: {
    call: 'DescribeInstanceStatus',
    page: (isFull, token) =>
      ec2('DescribeInstanceStatus')(
        `<instanceStatusSet>${isFull ? `<item><instanceId>${self}</instanceId><eventsSet><item><instanceEventId>e-1</instanceEventId><code>instance-reboot</code></item></eventsSet></item>` : ''}</instanceStatusSet>`,
        token,
      ),
    read: (cloud) => cloud.readScheduledEvents(patient),
    expected: [{ id: 'e-1', code: 'instance-reboot' }],
  },
  readRunning: {
    call: 'DescribeInstances',
    page: (isFull, token) =>
      ec2('DescribeInstances')(
        `<reservationSet>${(isFull ? [self, 'i-1'] : []).map((id) => `<item><instancesSet><item><instanceId>${id}</instanceId><instanceState><code>16</code><name>running</name></instanceState></item></instancesSet></item>`).join('')}</reservationSet>`,
        token,
      ),
    read: (cloud) => cloud.readRunning(['i-1'], patient),
    expected: ['i-1'],
  },
  readMembership: {
    call: 'DescribeAutoScalingInstances',
    page: (isFull, token) =>
      autoScaling('DescribeAutoScalingInstances')(
        `<AutoScalingInstances>${isFull ? `<member><InstanceId>${self}</InstanceId><AutoScalingGroupName>${group}</AutoScalingGroupName><LifecycleState>InService</LifecycleState></member>` : ''}</AutoScalingInstances>`,
        token,
      ),
    read: (cloud) => cloud.readMembership(patient),
    expected: { group, lifecycleState: 'InService', protectedFromScaleIn: false },
  },
  readActivities: {
    call: 'DescribeScalingActivities',
    page: (isFull, token) =>
      autoScaling('DescribeScalingActivities')(
        `<Activities>${isFull ? `<member><Description>Launching a new EC2 instance: ${self}</Description><StartTime>2030-01-01T03:00:00Z</StartTime><StatusCode>Successful</StatusCode></member>` : ''}</Activities>`,
        token,
      ),
    read: (cloud) => cloud.readActivities(group, 1, patient),
    expected: [{ kind: 'launch', instanceId: self, at: Date.UTC(2030, 0, 1, 3), succeeded: true }],
  },
};

const verbs = Object.keys(lists);

/** AWS: `pages` says for each page whether it holds the item. A token leads to the next one. */
async function openPages({ call, page }: Paged, pages: readonly boolean[], tokenOf = (at: number) => `to-${at}`) {
  let at = 0;
  const aws = await openAws((asked) => {
    if (callOf(asked) !== call)
      return json({
        clusters: [{ clusterName: 'demo', capacityProviders: ['nodes'] }],
        containerInstances: [own],
        failures: [],
      });
    const isFull = pages[at] ?? false;
    at += 1;
    return page(isFull, at < pages.length ? tokenOf(at) : undefined);
  });
  return { ...aws, calls: () => aws.calls().filter((each) => each === call).length };
}

// AWS really answers with empty pages in front of a full one where a list has a filter.
test.each(verbs)('%s reads on after an empty page that has a token', async (verb) => {
  const list = lists[verb]!;
  const { cloud, calls, server } = await openPages(list, [false, false, true]);
  expect(await list.read(cloud)).toEqual(list.expected);
  expect(calls()).toBe(3);
  expect(server.asked.some(({ body }) => body.includes('to-2'))).toBe(true);
});

test.each(verbs)('%s makes one call where the first page is the only one', async (verb) => {
  const list = lists[verb]!;
  const { cloud, calls } = await openPages(list, [true]);
  expect(await list.read(cloud)).toEqual(list.expected);
  expect(calls()).toBe(1);
});

test.each(verbs)('%s knows nothing when its list goes round in a circle', async (verb) => {
  const list = lists[verb]!;
  const { cloud } = await openPages(
    list,
    Array.from({ length: 9 }, () => false),
    () => 'again',
  );
  await expect(list.read(cloud)).rejects.toThrow('in a circle');
  await expect(list.read(cloud)).rejects.toBeInstanceOf(Unavailable);
});
