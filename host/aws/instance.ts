/** EC2's calls about this instance. */

import {
  CreateTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeSpotInstanceRequestsCommand,
  DescribeTagsCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Unavailable } from '../../core/errors.ts';
import type { InstanceCloud } from '../../core/host.ts';
import { instanceArn } from '../../core/identity.ts';
import { everyPage, findOnPages } from './pages.ts';
import { parseList } from './parse-list.ts';
import type { Session } from './session/session.ts';

export function openInstance(session: Session): InstanceCloud & { destroy(): void } {
  const { identity, callAws, settings } = session;
  const client = new EC2Client(settings('EC2'));
  const self = identity.instanceId;
  const arn = instanceArn(identity);
  return {
    destroy: () => client.destroy(),
    async tagSelf(tags, signal) {
      const pairs = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      if (pairs.length === 0) return;
      await callAws('ec2:CreateTags', arn, signal, (options) =>
        client.send(new CreateTagsCommand({ Resources: [self], Tags: pairs }), options),
      );
    },
    async readOwnTags(signal) {
      const call = 'ec2:DescribeTags';
      const Filters = [{ Name: 'resource-id', Values: [self] }];
      const tags = await everyPage(async (NextToken) => {
        const answer = await callAws(call, '*', signal, (options) =>
          client.send(new DescribeTagsCommand({ Filters, ...(NextToken && { NextToken }) }), options),
        );
        return { items: parseList(call, 'of tags', answer.Tags), next: answer.NextToken };
      });
      // An answer about another instance could hold the tag with which a person keeps that one.
      if (tags.some(({ ResourceId }) => ResourceId !== self))
        throw new Unavailable(`${call}: the answer is about another instance`);
      return Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
    },
    async readTerminationProtection(signal) {
      const { DisableApiTermination } = await callAws('ec2:DescribeInstanceAttribute', arn, signal, (options) =>
        client.send(
          new DescribeInstanceAttributeCommand({ InstanceId: self, Attribute: 'disableApiTermination' }),
          options,
        ),
      );
      if (typeof DisableApiTermination?.Value !== 'boolean')
        throw new Unavailable('ec2:DescribeInstanceAttribute: the answer does not say whether it is protected');
      return DisableApiTermination.Value;
    },
    async clearTerminationProtection(signal) {
      await callAws('ec2:ModifyInstanceAttribute', arn, signal, (options) =>
        client.send(
          new ModifyInstanceAttributeCommand({ InstanceId: self, DisableApiTermination: { Value: false } }),
          options,
        ),
      );
    },
    async terminateSelf(_confirmed, signal) {
      await callAws('ec2:TerminateInstances', arn, signal, (options) =>
        client.send(new TerminateInstancesCommand({ InstanceIds: [self] }), options),
      );
    },
    ...openQuestions(client, session),
  };
}

/** EC2's API is the second source beside the metadata service (agent/departure/confirm.ts). */
function openQuestions(
  client: EC2Client,
  { identity, callAws }: Session,
): Pick<InstanceCloud, 'readSpotStatus' | 'readScheduledEvents' | 'readRunning'> {
  const self = identity.instanceId;
  return {
    async readSpotStatus(signal) {
      const call = 'ec2:DescribeSpotInstanceRequests';
      const Filters = [{ Name: 'instance-id', Values: [self] }];
      const own = await findOnPages(
        async (NextToken) => {
          const answer = await callAws(call, '*', signal, (options) =>
            client.send(new DescribeSpotInstanceRequestsCommand({ Filters, ...(NextToken && { NextToken }) }), options),
          );
          return { items: parseList(call, 'of spot requests', answer.SpotInstanceRequests), next: answer.NextToken };
        },
        ({ InstanceId }) => InstanceId === self,
      );
      return own?.Status?.Code;
    },
    async readScheduledEvents(signal) {
      const call = 'ec2:DescribeInstanceStatus';
      const asked = { InstanceIds: [self], IncludeAllInstances: true };
      const own = await findOnPages(
        async (NextToken) => {
          const answer = await callAws(call, '*', signal, (options) =>
            client.send(new DescribeInstanceStatusCommand({ ...asked, ...(NextToken && { NextToken }) }), options),
          );
          return { items: answer.InstanceStatuses ?? [], next: answer.NextToken };
        },
        ({ InstanceId }) => InstanceId === self,
      );
      if (own === undefined) throw new Unavailable(`${call}: the answer does not have this instance`);
      // EC2 still lists a finished event, and marks it at the beginning of its description.
      const isOver = (description: string) => /^\[(Completed|Canceled)\]/.test(description);
      // The SDK learns the difference between this clock and EC2's from the `Date` of each answer.
      const now = Date.now() + client.config.systemClockOffset;
      return (own.Events ?? []).flatMap(({ InstanceEventId: id, Code: code, Description = '', NotBefore }) =>
        id === undefined || code === undefined || isOver(Description)
          ? []
          : [{ id, code, ...(NotBefore !== undefined && { startsInMs: NotBefore.getTime() - now }) }],
      );
    },
    async readRunning(instanceIds, signal) {
      const call = 'ec2:DescribeInstances';
      // This instance runs. An answer without it says nothing about the others either.
      const asked = [...new Set([self, ...instanceIds])];
      const Filters = [{ Name: 'instance-id', Values: asked }];
      const reservations = await everyPage(async (NextToken) => {
        const answer = await callAws(call, '*', signal, (options) =>
          client.send(new DescribeInstancesCommand({ Filters, ...(NextToken && { NextToken }) }), options),
        );
        return { items: answer.Reservations ?? [], next: answer.NextToken };
      });
      const running = reservations
        .flatMap(({ Instances = [] }) => Instances)
        .filter(({ State }) => State?.Name === 'running' || State?.Name === 'pending')
        .flatMap(({ InstanceId }) => InstanceId ?? []);
      if (!running.includes(self)) throw new Unavailable(`${call}: the answer does not have this instance`);
      return instanceIds.filter((id) => running.includes(id));
    },
  };
}
