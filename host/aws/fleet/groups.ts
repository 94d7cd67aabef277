/** Auto Scaling's groups: all members in one answer a group, and the way out of it for one. */

import {
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  type AutoScalingClient,
  type AutoScalingGroup,
} from '@aws-sdk/client-auto-scaling';
import { Refused } from '../../../core/errors.ts';
import type { FleetMember, FleetNodes } from '../../../core/fleet-nodes.ts';
import type { AwsCall } from '../fault.ts';
import { everyPage, chunks, required } from './paging.ts';

/** What one call takes and gives. */
const namesPerCall = 50;

type Verbs = Pick<FleetNodes, 'readMembers' | 'readMember' | 'terminateInGroup'>;

export function openGroups(client: AutoScalingClient, callAws: AwsCall): Verbs {
  return {
    async readMembers(names, signal) {
      const found: AutoScalingGroup[] = [];
      for (const some of chunks([...new Set(names)], namesPerCall))
        found.push(...(await describe(client, callAws, some, signal)));
      const missing = names.filter((name) => !found.some(({ AutoScalingGroupName }) => AutoScalingGroupName === name));
      if (missing.length > 0) {
        throw new Refused(`there is no Auto Scaling group ${missing.join(', ')}`, { code: 'GroupNotFound' });
      }
      return found.flatMap(parseMembers);
    },
    async readMember(instanceId, signal) {
      const call = 'autoscaling:DescribeAutoScalingInstances';
      const answer = await callAws(call, '*', signal, (options) =>
        client.send(new DescribeAutoScalingInstancesCommand({ InstanceIds: [instanceId] }), options),
      );
      const own = (answer.AutoScalingInstances ?? []).find(({ InstanceId }) => InstanceId === instanceId);
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
    return { items: answer.AutoScalingGroups ?? [], next: answer.NextToken };
  });
}

function parseMembers({ AutoScalingGroupName, Instances = [] }: AutoScalingGroup): FleetMember[] {
  const call = 'autoscaling:DescribeAutoScalingGroups';
  return Instances.map(({ InstanceId, LifecycleState, HealthStatus, ProtectedFromScaleIn }) => ({
    instanceId: required(InstanceId, call),
    group: required(AutoScalingGroupName, call),
    lifecycleState: required(LifecycleState, call),
    healthy: HealthStatus?.toLowerCase() !== 'unhealthy',
    protectedFromScaleIn: ProtectedFromScaleIn === true,
  }));
}
