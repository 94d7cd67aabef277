/**
 * The AWS actions that the ECS agent and Systems Manager's agent use on a node. They replace
 * AmazonEC2ContainerServiceforEC2Role and AmazonSSMManagedInstanceCore, managed policies that allow
 * more, and on every resource of the account.
 */

import type { FleetPermission, FleetReach } from './fleet-policy.ts';

function group(feature: string, reach: FleetReach, actions: string): FleetPermission[] {
  return actions.split(' ').map((action) => ({ action, feature, reach }));
}

export const ecsAgentPermissions: readonly FleetPermission[] = [
  ...group('registering and reporting', 'everything', 'ecs:DiscoverPollEndpoint'),
  ...group(
    'registering and reporting',
    'cluster',
    'ecs:RegisterContainerInstance ecs:SubmitTaskStateChange ecs:SubmitContainerStateChange ecs:SubmitAttachmentStateChanges',
  ),
  ...group('orders and telemetry', 'container-instances', 'ecs:Poll ecs:StartTelemetrySession'),
  ...group('draining at a spot interruption', 'container-instances', 'ecs:UpdateContainerInstancesState'),
  ...group('tags of the container instance', 'registration-tags', 'ecs:TagResource'),
  ...group('pulling images', 'everything', 'ecr:GetAuthorizationToken'),
  ...group(
    'pulling images of tasks without an execution role',
    'repositories',
    'ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage',
  ),
  ...group('logs of tasks without an execution role (awslogs)', 'log-groups', 'logs:CreateLogStream logs:PutLogEvents'),
];

/** For Session Manager, Run Command, State Manager and patching. Reads no parameters. */
export const systemsManagerPermissions: readonly FleetPermission[] = [
  ...group('registering', 'systems-manager', 'ssm:UpdateInstanceInformation'),
  ...group(
    'Session Manager; Run Command with agents since 3.3.40',
    'region',
    'ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel ssmmessages:OpenDataChannel',
  ),
  ...group(
    'Run Command with older agents',
    'region',
    'ec2messages:AcknowledgeMessage ec2messages:DeleteMessage ec2messages:FailMessage ec2messages:GetEndpoint ' +
      'ec2messages:GetMessages ec2messages:SendReply',
  ),
  ...group(
    'State Manager and documents',
    'systems-manager',
    'ssm:DescribeAssociation ssm:ListInstanceAssociations ssm:UpdateAssociationStatus ssm:UpdateInstanceAssociationStatus ' +
      'ssm:DescribeDocument ssm:GetDocument ssm:PutComplianceItems',
  ),
  ...group(
    'State Manager, inventory, packages and patching',
    'region',
    'ssm:ListAssociations ssm:PutInventory ssm:GetManifest ssm:PutConfigurePackageResult ssm:GetDeployablePatchSnapshotForInstance',
  ),
];
