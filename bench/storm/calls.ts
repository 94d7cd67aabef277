/** The AWS calls that each method of `Cloud` makes, in the order in which host/aws sends them. */

import type { Cloud, ClusterHealth } from '../../core/host.ts';

export type Verb = Exclude<keyof Cloud, 'close'>;

export interface Calls {
  /** Calls made in any case; the last one has the effect. */
  first: (args: readonly unknown[]) => readonly string[];
  /** Calls that follow from the first answers: details and further pages. */
  after?: (result: unknown, args: readonly unknown[]) => readonly string[];
}

const one = (action: string): Calls => ({ first: () => [action] });

const pageSize = 100;

/** host/aws/group.ts reads at most this many pages. */
export const maxActivityPages = 20;

/** The calls for the pages after the first, of a list with this many entries. */
const further = (action: string, entries: number): string[] =>
  Array.from({ length: Math.max(0, Math.ceil(entries / pageSize) - 1) }, () => action);

const list = (action: string, most = Infinity): Calls => ({
  first: () => [action],
  after: (result) => further(action, (result as unknown[]).length).slice(0, most - 1),
});

const ec2 = 'ec2:';
const ecs = 'ecs:';
const group = 'autoscaling:';
const opsworks = 'opsworks:';
const elb = 'elasticloadbalancing:';

/** Methods that a storm never uses are missing. */
export const callsOf: Readonly<Partial<Record<Verb, Calls>>> = {
  tagSelf: one(`${ec2}CreateTags`),
  readOwnTags: one(`${ec2}DescribeTags`),
  readTerminationProtection: one(`${ec2}DescribeInstanceAttribute`),
  clearTerminationProtection: one(`${ec2}ModifyInstanceAttribute`),
  terminateSelf: one(`${ec2}TerminateInstances`),

  readMembership: one(`${group}DescribeAutoScalingInstances`),
  readHooks: one(`${group}DescribeLifecycleHooks`),
  heartbeat: one(`${group}RecordLifecycleActionHeartbeat`),
  completeHook: one(`${group}CompleteLifecycleAction`),
  terminateInGroup: one(`${group}TerminateInstanceInAutoScalingGroup`),
  reportUnhealthy: one(`${group}SetInstanceHealth`),
  readActivities: list(`${group}DescribeScalingActivities`, maxActivityPages),

  readContainerInstance: {
    first: ([, arn]) => [`${ecs}${arn === undefined ? 'ListContainerInstances' : 'DescribeContainerInstances'}`],
    after: (instance, [, arn]) =>
      instance === undefined || arn !== undefined ? [] : [`${ecs}DescribeContainerInstances`],
  },
  ownsContainerInstance: one(`${ecs}ListContainerInstances`),
  readRecords: {
    first: () => [`${ecs}DescribeContainerInstances`],
    after: (records) =>
      (records as { agentConnected: boolean }[]).every(({ agentConnected }) => agentConnected)
        ? []
        : [`${ecs}ListContainerInstances`],
  },
  readSpotStatus: one(`${ec2}DescribeSpotInstanceRequests`),
  readScheduledEvents: one(`${ec2}DescribeInstanceStatus`),
  readStopTimeout: one(`${ecs}DescribeTaskDefinition`),
  readProtectedTasks: one(`${ecs}GetTaskProtection`),
  readRunning: one(`${ec2}DescribeInstances`),
  drain: one(`${ecs}UpdateContainerInstancesState`),
  activate: one(`${ecs}UpdateContainerInstancesState`),
  readTasks: {
    first: () => [`${ecs}ListTasks`, `${ecs}ListTasks`],
    after: (tasks) => ((tasks as unknown[]).length > 0 ? [`${ecs}DescribeTasks`] : []),
  },
  stopTask: one(`${ecs}StopTask`),
  readClusterHealth: {
    first: () => [`${ecs}DescribeClusters`, `${ecs}ListContainerInstances`, `${ecs}ListContainerInstances`],
    after: (health) => {
      const { draining, disconnected } = health as ClusterHealth;
      return [draining, disconnected].flatMap((entries) => further(`${ecs}ListContainerInstances`, entries));
    },
  },
  readUnsteadyServices: one(`${ecs}ListServices`),
  queueToLeave: { first: () => [`${ecs}ListAttributes`, `${ecs}PutAttributes`] },
  readLeaveQueue: list(`${ecs}ListAttributes`),
  unqueue: one(`${ecs}DeleteAttributes`),

  deregisterTarget: one(`${elb}DeregisterTargets`),
  isTargetDraining: one(`${elb}DescribeTargetHealth`),
  deregisterFromLoadBalancer: one(`${elb}DeregisterInstancesFromLoadBalancer`),
  isLoadBalancerDraining: one(`${elb}DescribeInstanceHealth`),

  readStack: one(`${opsworks}DescribeStacks`),
  readLayer: one(`${opsworks}DescribeLayers`),
  readProvisioning: one(`${opsworks}DescribeStackProvisioningParameters`),
  suggestHostname: one(`${opsworks}GetHostnameSuggestion`),
  findRegistration: one(`${opsworks}DescribeInstances`),
  readRegistration: one(`${opsworks}DescribeInstances`),
  assign: one(`${opsworks}AssignInstance`),
  unassign: one(`${opsworks}UnassignInstance`),
  deregister: one(`${opsworks}DeregisterInstance`),

  readPing: one('ssm:DescribeInstanceInformation'),
  publish: one('cloudwatch:PutMetricData'),
  putEvent: one('events:PutEvents'),
};
