/**
 * Auto Scaling groups: their members, the sweep's notes in their tags, and the end of one member.
 */

import {
  CreateOrUpdateTagsCommand,
  DeleteTagsCommand,
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  type AutoScalingClient,
  type AutoScalingGroup,
} from '@aws-sdk/client-auto-scaling';
import { Refused } from '../../../core/errors.ts';
import { parseNote, renderNote } from '../../../core/fleet/fleet-notes.ts';
import type { FleetGroup, FleetMember, FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import type { AwsCall } from '../fault.ts';
import { everyPage, findOnPages, chunks } from '../pages.ts';
import { required } from './paging.ts';

/** Maximum number of names in one call. */
const namesPerCall = 50;

type Verbs = Pick<FleetNodes, 'readGroups' | 'readMember' | 'terminateInGroup' | 'writeNote' | 'removeNote'>;

export function openGroups(client: AutoScalingClient, callAws: AwsCall): Verbs {
  return {
    async readGroups(names, signal) {
      const found: AutoScalingGroup[] = [];
      for (const some of chunks([...new Set(names)], namesPerCall))
        found.push(...(await describe(client, callAws, some, signal)));
      const missing = names.filter((name) => !found.some(({ AutoScalingGroupName }) => AutoScalingGroupName === name));
      if (missing.length > 0) {
        throw new Refused(`there is no Auto Scaling group ${missing.join(', ')}`, { code: 'GroupNotFound' });
      }
      return found.map(parseGroup);
    },
    async readMember(instanceId, signal) {
      const call = 'autoscaling:DescribeAutoScalingInstances';
      const own = await findOnPages(
        async (NextToken) => {
          const input = { InstanceIds: [instanceId], ...(NextToken && { NextToken }) };
          const answer = await callAws(call, '*', signal, (options) =>
            client.send(new DescribeAutoScalingInstancesCommand(input), options),
          );
          return { items: required(answer.AutoScalingInstances, call), next: answer.NextToken };
        },
        ({ InstanceId }) => InstanceId === instanceId,
      );
      if (own === undefined) return undefined;
      return {
        instanceId,
        group: required(own.AutoScalingGroupName, call),
        lifecycleState: required(own.LifecycleState, call),
        healthy: own.HealthStatus?.toLowerCase() !== 'unhealthy',
        protectedFromScaleIn: own.ProtectedFromScaleIn === true,
      };
    },
    async terminateInGroup(InstanceId, signal) {
      await callAws('autoscaling:TerminateInstanceInAutoScalingGroup', InstanceId, signal, (options) =>
        client.send(
          new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity: false }),
          options,
        ),
      );
    },
    async writeNote(note, signal) {
      const { key: Key, value: Value } = renderNote(note);
      const tag = { ResourceType: 'auto-scaling-group', ResourceId: note.group, Key, Value, PropagateAtLaunch: false };
      await callAws('autoscaling:CreateOrUpdateTags', note.group, signal, (options) =>
        client.send(new CreateOrUpdateTagsCommand({ Tags: [tag] }), options),
      );
    },
    async removeNote(ResourceId, instanceId, signal) {
      const { key: Key } = renderNote({ instanceId, group: ResourceId, kind: 'missing', since: 0 });
      await callAws('autoscaling:DeleteTags', ResourceId, signal, (options) =>
        client.send(
          new DeleteTagsCommand({ Tags: [{ ResourceType: 'auto-scaling-group', ResourceId, Key }] }),
          options,
        ),
      );
    },
  };
}

async function describe(
  client: AutoScalingClient,
  callAws: AwsCall,
  AutoScalingGroupNames: string[],
  signal: AbortSignal,
): Promise<AutoScalingGroup[]> {
  return everyPage(async (NextToken) => {
    const answer = await callAws('autoscaling:DescribeAutoScalingGroups', '*', signal, (options) =>
      client.send(
        new DescribeAutoScalingGroupsCommand({
          AutoScalingGroupNames,
          MaxRecords: 100,
          ...(NextToken && { NextToken }),
        }),
        options,
      ),
    );
    return {
      items: required(answer.AutoScalingGroups, 'autoscaling:DescribeAutoScalingGroups'),
      next: answer.NextToken,
    };
  });
}

function parseGroup({ AutoScalingGroupName, Instances, Tags = [] }: AutoScalingGroup): FleetGroup {
  const call = 'autoscaling:DescribeAutoScalingGroups';
  const name = required(AutoScalingGroupName, call);
  const members = required(Instances, call).map(
    ({ InstanceId, LifecycleState, HealthStatus, ProtectedFromScaleIn }): FleetMember => ({
      instanceId: required(InstanceId, call),
      group: name,
      lifecycleState: required(LifecycleState, call),
      healthy: HealthStatus?.toLowerCase() !== 'unhealthy',
      protectedFromScaleIn: ProtectedFromScaleIn === true,
    }),
  );
  const notes = Tags.map(({ Key = '', Value = '' }) => parseNote(name, Key, Value)).filter(
    (note) => note !== undefined,
  );
  return { name, members, notes };
}
