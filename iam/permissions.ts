/** The AWS actions that the node calls, with the feature and IAM's narrowest resource for each. */

import type { Config } from '../config/config.ts';

/** The resources that an action covers, from narrow to wide. */
export type Reach =
  /** Only the instance that the credentials were issued to. */
  | 'self'
  /** As `self`, and only the attribute for termination protection. */
  | 'self-protection'
  /** The Auto Scaling group: IAM has no narrower resource. */
  | 'group'
  | 'cluster'
  /** Names are not known before the cluster is asked. */
  | 'capacity-providers'
  /** Container instances of the cluster: their ARNs are not known when the policy is written. */
  | 'container-instances'
  | 'tasks'
  /** The configured task definitions, started in the cluster. */
  | 'task-definitions'
  | 'services'
  /** Every resource, if the request names the cluster. */
  | 'any-of-cluster'
  | 'target-groups'
  | 'load-balancers'
  | 'namespace'
  /** One event bus, and only as this program. */
  | 'bus'
  | 'parameter-path'
  | 'parameters'
  | 'bucket'
  | 'objects'
  | 'stack'
  /** To find a stack by its name, all stacks must be listed. */
  | 'stacks'
  /** Read-only actions that IAM has no resource for. */
  | 'everything';

export interface Permission {
  action: string;
  feature: string;
  reach: Reach;
  /** True if this configuration needs it. */
  when(config: Config): boolean;
  /** A program that the node starts calls it. */
  by?: 'installer';
}

const always = () => true;
const opsworks = ({ registrar }: Config) => registrar === 'opsworks';
const clears = ({ terminationProtection }: Config) => terminationProtection === 'clear';
const hooks = ({ autoScaling }: Config) =>
  autoScaling.launchHook !== undefined || autoScaling.terminateHook !== undefined;
const stops = ({ leave, daemonTasks }: Config) =>
  leave.atDeadline === 'stop-tasks' || daemonTasks.definitions !== undefined;
const steady = ({ leave }: Config) => leave.steadyClusterSeconds > 0;
const balancers = ({ leave }: Config) => leave.targetGroups.length > 0;
const pulls =
  (from: 'ssm:' | 's3:') =>
  ({ refresh }: Config) =>
    refresh.source?.startsWith(from) === true;
const daemons = ({ daemonTasks }: Config) => (daemonTasks.definitions ?? []).length > 0;
const tells = ({ events }: Config) => events.bus !== undefined;
const classicBalancers = ({ leave }: Config) => leave.loadBalancers.length > 0;

function group(feature: string, reach: Reach, when: (config: Config) => boolean, actions: string): Permission[] {
  return actions.split(' ').map((action) => ({ action, feature, reach, when }));
}

export const permissions: readonly Permission[] = [
  ...group('Name tag; the reason of a departure as a tag', 'self', always, 'ec2:CreateTags'),
  ...group('clearing termination protection', 'self', clears, 'ec2:DescribeInstanceAttribute'),
  ...group('clearing termination protection', 'self-protection', clears, 'ec2:ModifyInstanceAttribute'),
  ...group(
    'terminating this node through its group, so that it is replaced',
    'group',
    always,
    'autoscaling:TerminateInstanceInAutoScalingGroup autoscaling:SetInstanceHealth',
  ),
  ...group('terminating this node where its group does not', 'self', always, 'ec2:TerminateInstances'),
  ...group('knowing the own group and state', 'everything', always, 'autoscaling:DescribeAutoScalingInstances'),
  ...group(
    "a spot interruption is believed when EC2 confirms the metadata service's notice",
    'everything',
    ({ spot }) => spot.action === 'leave',
    'ec2:DescribeSpotInstanceRequests',
  ),
  ...group(
    "a scheduled event is acted upon when EC2 confirms the metadata service's list",
    'everything',
    ({ maintenance }) => maintenance.action === 'leave',
    'ec2:DescribeInstanceStatus',
  ),
  ...group('leave queue: entries of dead nodes do not count', 'everything', always, 'ec2:DescribeInstances'),
  ...group('storm guard', 'everything', always, 'autoscaling:DescribeScalingActivities'),
  ...group('lifecycle hooks', 'everything', hooks, 'autoscaling:DescribeLifecycleHooks'),
  ...group(
    'lifecycle hooks',
    'group',
    hooks,
    'autoscaling:RecordLifecycleActionHeartbeat autoscaling:CompleteLifecycleAction',
  ),
  ...group('finding the container instance', 'cluster', always, 'ecs:ListContainerInstances'),
  ...group(
    'joining and draining',
    'container-instances',
    always,
    'ecs:DescribeContainerInstances ecs:UpdateContainerInstancesState ecs:ListTasks',
  ),
  ...group('waiting until every task has stopped', 'tasks', always, 'ecs:DescribeTasks'),
  ...group('stopping tasks at the deadline (leave.atDeadline), and daemon tasks', 'tasks', stops, 'ecs:StopTask'),
  ...group('task protection is respected until the departure must end', 'tasks', stops, 'ecs:GetTaskProtection'),
  ...group('daemon tasks', 'task-definitions', daemons, 'ecs:StartTask'),
  ...group(
    'daemon tasks; how long a task may take to stop (stopTimeout)',
    'everything',
    (config) => daemons(config) || stops(config),
    'ecs:DescribeTaskDefinition',
  ),
  ...group("capacity provider of the node's group; leave queue", 'cluster', always, 'ecs:DescribeClusters'),
  ...group("capacity provider of the node's group", 'capacity-providers', always, 'ecs:DescribeCapacityProviders'),
  ...group('registering anew, once, in the capacity provider', 'cluster', always, 'ecs:DeregisterContainerInstance'),
  // A full disk queues whatever the configuration says, and a node that a person drains is marked.
  ...group('leave queue; mark of a drained node', 'cluster', always, 'ecs:ListAttributes'),
  ...group(
    'leave queue; mark of a drained node',
    'container-instances',
    always,
    'ecs:PutAttributes ecs:DeleteAttributes',
  ),
  ...group('steady cluster (leave.steadyClusterSeconds)', 'any-of-cluster', steady, 'ecs:ListServices'),
  ...group('steady cluster (leave.steadyClusterSeconds)', 'services', steady, 'ecs:DescribeServices'),
  ...group('target groups', 'target-groups', balancers, 'elasticloadbalancing:DeregisterTargets'),
  ...group('target groups', 'everything', balancers, 'elasticloadbalancing:DescribeTargetHealth'),
  ...group(
    'classic load balancers',
    'load-balancers',
    classicBalancers,
    'elasticloadbalancing:DeregisterInstancesFromLoadBalancer',
  ),
  ...group('classic load balancers', 'everything', classicBalancers, 'elasticloadbalancing:DescribeInstanceHealth'),
  ...group('metrics', 'namespace', ({ metrics }) => metrics.enabled, 'cloudwatch:PutMetricData'),
  ...group(
    'the tag ecs-node:keep, and tags for containers, where the metadata option InstanceMetadataTags is off',
    'everything',
    always,
    'ec2:DescribeTags',
  ),
  ...group('events for the team (events.bus)', 'bus', tells, 'events:PutEvents'),
  ...group('configuration refresh', 'parameter-path', pulls('ssm:'), 'ssm:GetParametersByPath'),
  ...group('configuration refresh: parameters of type SecureString', 'parameters', pulls('ssm:'), 'ssm:GetParameters'),
  ...group('configuration refresh', 'bucket', pulls('s3:'), 's3:ListBucket'),
  ...group('configuration refresh', 'objects', pulls('s3:'), 's3:GetObject'),
  ...group('registrar ssm', 'everything', ({ registrar }) => registrar === 'ssm', 'ssm:DescribeInstanceInformation'),
  ...group('registrar opsworks', 'stacks', opsworks, 'opsworks:DescribeStacks'),
  ...group(
    'registrar opsworks',
    'stack',
    opsworks,
    'opsworks:DescribeLayers opsworks:DescribeStackProvisioningParameters opsworks:GetHostnameSuggestion ' +
      'opsworks:DescribeInstances opsworks:AssignInstance opsworks:UnassignInstance opsworks:DeregisterInstance',
  ),
  {
    action: 'opsworks:RegisterInstance',
    feature: 'registrar opsworks',
    reach: 'stack',
    when: opsworks,
    by: 'installer',
  },
];

/** The permissions that a configuration needs, in the order of the table. */
export function permissionsFor(config: Config): Permission[] {
  return permissions.filter(({ when }) => when(config));
}
