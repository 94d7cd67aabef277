import { expect, test } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import type { Cloud } from '../../../../../core/host.ts';
import { openAws, self } from '../aws.ts';
import { patient } from './answers.ts';

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

test('the list of running instances counts only when it is whole and holds this instance', async () => {
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
