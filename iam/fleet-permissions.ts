/** The AWS actions of `ecs-node fleet` and `sweep`, with IAM's narrowest resource for each. */

import type { FleetPermission, FleetReach } from './fleet-policy.ts';

function group(feature: string, reach: FleetReach, actions: string, acts?: true): FleetPermission[] {
  return actions.split(' ').map((action) => ({ action, feature, reach, ...(acts && { acts }) }));
}

/** Needed by both commands. */
const lookingPermissions: readonly FleetPermission[] = [
  ...group('nodes in the cluster', 'container-instances', 'ecs:DescribeContainerInstances'),
  ...group('their instances', 'everything', 'ec2:DescribeInstances'),
  ...group('their groups', 'everything', 'autoscaling:DescribeAutoScalingGroups'),
  ...group('how full their disks are', 'everything', 'cloudwatch:ListMetrics cloudwatch:GetMetricData'),
];

export const fleetPermissions: readonly FleetPermission[] = [
  ...group('nodes in the cluster', 'cluster', 'ecs:ListContainerInstances'),
  ...lookingPermissions,
  ...group('events of nodes (--history)', 'event-log', 'logs:FilterLogEvents'),
];

export const sweepPermissions: readonly FleetPermission[] = [
  ...group('nodes in the cluster, and of its groups in other clusters', 'clusters', 'ecs:ListContainerInstances'),
  ...lookingPermissions,
  ...group('nodes of its groups in other clusters', 'everything', 'ecs:ListClusters'),
  ...group("checking that ECS's list is complete", 'cluster', 'ecs:DescribeClusters'),
  ...group('termination protection', 'group-instances', 'ec2:DescribeInstanceAttribute'),
  ...group('OpsWorks records (--opsworks-stack)', 'everything', 'opsworks:DescribeStacks'),
  ...group('OpsWorks records (--opsworks-stack)', 'stacks', 'opsworks:DescribeInstances'),
  ...group('checking once more before a change', 'everything', 'autoscaling:DescribeAutoScalingInstances', true),
  ...group('notes: since when', 'note-tags', 'autoscaling:CreateOrUpdateTags autoscaling:DeleteTags', true),
  ...group('removing notes of version 0.1.0', 'container-instances', 'ecs:DeleteAttributes', true),
  ...group('draining', 'container-instances', 'ecs:UpdateContainerInstancesState', true),
  ...group('records of instances that are gone', 'cluster', 'ecs:DeregisterContainerInstance', true),
  ...group('terminating a node through its group', 'groups', 'autoscaling:TerminateInstanceInAutoScalingGroup', true),
  ...group(
    'Name tags of instances that are not nodes; removing notes of version 0.1.0',
    'own-tags',
    'ec2:DeleteTags',
    true,
  ),
  ...group('clearing termination protection', 'protection', 'ec2:ModifyInstanceAttribute', true),
  ...group(
    'OpsWorks records (--opsworks-stack)',
    'stacks',
    'opsworks:UnassignInstance opsworks:DeregisterInstance',
    true,
  ),
];
