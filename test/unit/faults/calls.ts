/**
 * Each verb of `Cloud` with the AWS calls behind it: how a test makes them, and how their service
 * says no.
 */

import type { Cloud } from '../../../core/host.ts';
import type { Verb } from '../../../host/aws/child/verbs.ts';
import { someConfirmed } from '../../fakes/confirmed.ts';
import { wire } from '../host/aws/aws.ts';

export interface Behind {
  /** As `npm run aws-errors` reads them: client and command. */
  commands: readonly string[];
  /** The service's way to say no. */
  refuse: (code: string) => { status: number; body: string };
  call(cloud: Cloud, signal: AbortSignal): Promise<unknown>;
}

const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0';
const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0';
const id = '11111111-1111-4111-8111-111111111111';
const metric = { name: 'n', value: 1, unit: 'None', dimensions: {}, at: 0 } as const;

const behind =
  (client: string, refuse: Behind['refuse']) =>
  (commands: string, call: Behind['call']): Behind => ({
    commands: commands.split(' ').map((command) => `${client}:${command}`),
    refuse,
    call,
  });

const json = (code: string) => wire.json(code);
const query = (code: string) => wire.query(code.replace(/(Fault|Exception)$/, ''));
const ec2 = behind('ec2', (code) => wire.ec2(code));
const group = behind('auto-scaling', query);
const ecs = behind('ecs', json);
const targets = behind('elastic-load-balancing-v2', query);
const classic = behind('elastic-load-balancing', query);
const opsworks = behind('opsworks', json);

/**
 * Every verb: a new one must say which calls it makes, and the table below then says what follows
 * from their answers.
 */
export const calls: Readonly<Record<Verb, Behind>> = {
  tagSelf: ec2('CreateTags', (cloud, signal) => cloud.tagSelf({ Name: 'n' }, signal)),
  readOwnTags: ec2('DescribeTags', (cloud, signal) => cloud.readOwnTags(signal)),
  readTerminationProtection: ec2('DescribeInstanceAttribute', (cloud, signal) =>
    cloud.readTerminationProtection(signal),
  ),
  clearTerminationProtection: ec2('ModifyInstanceAttribute', (cloud, signal) =>
    cloud.clearTerminationProtection(signal),
  ),
  terminateSelf: ec2('TerminateInstances', (cloud, signal) => cloud.terminateSelf(someConfirmed, signal)),
  readRunning: ec2('DescribeInstances', (cloud, signal) => cloud.readRunning(['i-0123456789abcdef0'], signal)),
  readSpotStatus: ec2('DescribeSpotInstanceRequests', (cloud, signal) => cloud.readSpotStatus(signal)),
  readScheduledEvents: ec2('DescribeInstanceStatus', (cloud, signal) => cloud.readScheduledEvents(signal)),
  readMembership: group('DescribeAutoScalingInstances', (cloud, signal) => cloud.readMembership(signal)),
  readHooks: group('DescribeLifecycleHooks', (cloud, signal) => cloud.readHooks('web', signal)),
  heartbeat: group('RecordLifecycleActionHeartbeat', (cloud, signal) => cloud.heartbeat('web', 'hook', signal)),
  completeHook: group('CompleteLifecycleAction', (cloud, signal) =>
    cloud.completeHook('web', 'hook', 'CONTINUE', signal),
  ),
  terminateInGroup: group('TerminateInstanceInAutoScalingGroup', (cloud, signal) =>
    cloud.terminateInGroup(someConfirmed, signal),
  ),
  reportUnhealthy: group('SetInstanceHealth', (cloud, signal) => cloud.reportUnhealthy(someConfirmed, signal)),
  readActivities: group('DescribeScalingActivities', (cloud, signal) => cloud.readActivities('web', 0, signal)),
  readContainerInstance: ecs('DescribeContainerInstances ListContainerInstances', (cloud, signal) =>
    cloud.readContainerInstance('demo', arn, signal),
  ),
  ownsContainerInstance: ecs('ListContainerInstances DescribeContainerInstances', (cloud, signal) =>
    cloud.ownsContainerInstance('demo', arn, signal),
  ),
  readRecords: ecs('DescribeContainerInstances', (cloud, signal) => cloud.readRecords('demo', [arn], signal)),
  drain: ecs('UpdateContainerInstancesState', (cloud, signal) => cloud.drain('demo', arn, signal)),
  activate: ecs('UpdateContainerInstancesState', (cloud, signal) => cloud.activate('demo', arn, signal)),
  readTasks: ecs('ListTasks DescribeTasks', (cloud, signal) => cloud.readTasks('demo', arn, signal)),
  stopTask: ecs('StopTask', (cloud, signal) => cloud.stopTask('demo', arn, 'reason', signal)),
  readStopTimeout: ecs('DescribeTaskDefinition', (cloud, signal) => cloud.readStopTimeout('web:1', 30_000, signal)),
  readProtectedTasks: ecs('GetTaskProtection', (cloud, signal) => cloud.readProtectedTasks('demo', [arn], signal)),
  readStopReason: ecs('DescribeTasks', (cloud, signal) => cloud.readStopReason('demo', arn, signal)),
  readTaskDefinition: ecs('DescribeTaskDefinition', (cloud, signal) => cloud.readTaskDefinition('web', signal)),
  startTask: ecs('StartTask', (cloud, signal) => cloud.startTask('demo', arn, 'web:1', 'ecs-node', signal)),
  readCapacityProvider: ecs('DescribeClusters DescribeCapacityProviders', (cloud, signal) =>
    cloud.readCapacityProvider('demo', 'web', signal),
  ),
  deregisterContainerInstance: ecs('DeregisterContainerInstance', (cloud, signal) =>
    cloud.deregisterContainerInstance('demo', arn, signal),
  ),
  readClusterHealth: ecs('DescribeClusters ListContainerInstances', (cloud, signal) =>
    cloud.readClusterHealth('demo', signal),
  ),
  readUnsteadyServices: ecs('ListServices DescribeServices', (cloud, signal) =>
    cloud.readUnsteadyServices('demo', signal),
  ),
  queueToLeave: ecs('ListAttributes PutAttributes', (cloud, signal) =>
    cloud.queueToLeave('demo', arn, 'disk', 1, signal),
  ),
  readLeaveQueue: ecs('ListAttributes', (cloud, signal) => cloud.readLeaveQueue('demo', 'disk', signal)),
  unqueue: ecs('DeleteAttributes', (cloud, signal) => cloud.unqueue('demo', arn, 'disk', signal)),
  deregisterTarget: targets('DeregisterTargets', (cloud, signal) => cloud.deregisterTarget(targetGroup, signal)),
  isTargetDraining: targets('DescribeTargetHealth', (cloud, signal) => cloud.isTargetDraining(targetGroup, signal)),
  deregisterFromLoadBalancer: classic('DeregisterInstancesFromLoadBalancer', (cloud, signal) =>
    cloud.deregisterFromLoadBalancer('classic', signal),
  ),
  isLoadBalancerDraining: classic('DescribeInstanceHealth', (cloud, signal) =>
    cloud.isLoadBalancerDraining('classic', signal),
  ),
  readStack: opsworks('DescribeStacks', (cloud, signal) => cloud.readStack(id, signal)),
  readLayer: opsworks('DescribeLayers', (cloud, signal) => cloud.readLayer(id, 'ecs', signal)),
  readProvisioning: opsworks('DescribeStackProvisioningParameters', (cloud, signal) =>
    cloud.readProvisioning(id, signal),
  ),
  suggestHostname: opsworks('GetHostnameSuggestion', (cloud, signal) => cloud.suggestHostname(id, signal)),
  findRegistration: opsworks('DescribeInstances', (cloud, signal) => cloud.findRegistration(id, signal)),
  readRegistration: opsworks('DescribeInstances', (cloud, signal) => cloud.readRegistration(id, signal)),
  assign: opsworks('AssignInstance', (cloud, signal) => cloud.assign(id, id, signal)),
  unassign: opsworks('UnassignInstance', (cloud, signal) => cloud.unassign(id, signal)),
  deregister: opsworks('DeregisterInstance', (cloud, signal) => cloud.deregister(id, signal)),
  readPing: behind('ssm', json)('DescribeInstanceInformation', (cloud, signal) => cloud.readPing(signal)),
  publish: behind('cloudwatch', json)('PutMetricData', (cloud, signal) => cloud.publish('N', [metric], signal)),
  putEvent: behind('eventbridge', json)('PutEvents', (cloud, signal) =>
    cloud.putEvent('default', { type: 'joined', at: 0, detail: {} }, signal),
  ),
  readDocuments: behind('ssm', json)('GetParametersByPath GetParameters', (cloud, signal) =>
    cloud.readDocuments('ssm:/ecs-node', {}, signal),
  ),
};
