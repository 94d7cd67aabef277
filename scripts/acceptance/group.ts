/** The Auto Scaling group under test: found, made larger, and put back. */

import {
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeLifecycleHooksCommand,
  SetDesiredCapacityCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  UpdateAutoScalingGroupCommand,
  type AutoScalingGroup,
} from '@aws-sdk/client-auto-scaling';
import {
  DescribeCapacityProvidersCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  ListContainerInstancesCommand,
} from '@aws-sdk/client-ecs';
import type { Clients } from './clients.ts';
import { UsageError, type Options } from './options.ts';

export interface GroupFacts {
  name: string;
  min: number;
  max: number;
  desired: number;
  members: readonly string[];
  instanceTypes: readonly string[];
  hooks: readonly string[];
  /** The cluster's capacity provider of this group, and whether ECS changes the group's size. */
  provider: string | undefined;
  isManaged: boolean;
}

export async function findGroup(clients: Clients, options: Options): Promise<GroupFacts> {
  const providers = await findProviders(clients, options.cluster);
  const names = options.group === undefined ? await findNames(clients, options, providers) : [options.group];
  if (names.length !== 1) {
    const what = names.length === 0 ? 'no Auto Scaling group' : `several groups (${names.join(', ')})`;
    throw new UsageError(`the cluster ${options.cluster} has ${what}: give --group`);
  }
  const [name = ''] = names;
  const group = await readGroup(clients, name);
  const { LifecycleHooks = [] } = await clients.autoScaling.send(
    new DescribeLifecycleHooksCommand({ AutoScalingGroupName: name }),
  );
  const provider = providers.find(({ group: own }) => own === name);
  return {
    name,
    min: group.MinSize ?? 0,
    max: group.MaxSize ?? 0,
    desired: group.DesiredCapacity ?? 0,
    members: (group.Instances ?? []).flatMap(({ InstanceId }) => InstanceId ?? []),
    instanceTypes: [...new Set((group.Instances ?? []).flatMap(({ InstanceType }) => InstanceType ?? []))],
    hooks: LifecycleHooks.flatMap(({ LifecycleHookName }) => LifecycleHookName ?? []),
    provider: provider?.name,
    isManaged: provider?.isManaged === true,
  };
}

export async function readGroup({ autoScaling }: Clients, name: string): Promise<AutoScalingGroup> {
  const { AutoScalingGroups = [] } = await autoScaling.send(
    new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }),
  );
  if (AutoScalingGroups[0] === undefined) throw new UsageError(`there is no Auto Scaling group ${name}`);
  return AutoScalingGroups[0];
}

interface Provider {
  name: string;
  group: string;
  isManaged: boolean;
}

async function findProviders({ ecs }: Clients, cluster: string): Promise<Provider[]> {
  const { clusters = [] } = await ecs.send(new DescribeClustersCommand({ clusters: [cluster] }));
  if (clusters[0] === undefined) throw new UsageError(`there is no cluster ${cluster} in this region`);
  const names = (clusters[0].capacityProviders ?? []).filter((name) => !name.startsWith('FARGATE'));
  if (names.length === 0) return [];
  const { capacityProviders = [] } = await ecs.send(new DescribeCapacityProvidersCommand({ capacityProviders: names }));
  return capacityProviders.map(({ name = '', autoScalingGroupProvider }) => ({
    name,
    group: autoScalingGroupProvider?.autoScalingGroupArn?.split('autoScalingGroupName/').at(-1) ?? '',
    isManaged: autoScalingGroupProvider?.managedScaling?.status === 'ENABLED',
  }));
}

/** By the capacity providers, else by the cluster's nodes. */
async function findNames({ ecs, autoScaling }: Clients, { cluster }: Options, providers: Provider[]) {
  if (providers.length > 0) return providers.map(({ group }) => group);
  const { containerInstanceArns = [] } = await ecs.send(new ListContainerInstancesCommand({ cluster, maxResults: 50 }));
  if (containerInstanceArns.length === 0) return [];
  const { containerInstances = [] } = await ecs.send(
    new DescribeContainerInstancesCommand({ cluster, containerInstances: containerInstanceArns }),
  );
  const ids = containerInstances.flatMap(({ ec2InstanceId }) => ec2InstanceId ?? []);
  const { AutoScalingInstances = [] } = await autoScaling.send(
    new DescribeAutoScalingInstancesCommand({ InstanceIds: ids }),
  );
  return [...new Set(AutoScalingInstances.flatMap(({ AutoScalingGroupName }) => AutoScalingGroupName ?? []))];
}

export async function resize({ autoScaling }: Clients, group: GroupFacts, desired: number): Promise<void> {
  const { name, max } = group;
  if (desired > max) {
    await autoScaling.send(new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: name, MaxSize: desired }));
  }
  await autoScaling.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: desired }));
}

/** The group becomes smaller by this node, so that no other node is chosen. */
export async function terminateOwn({ autoScaling }: Clients, instanceId: string): Promise<void> {
  await autoScaling.send(
    new TerminateInstanceInAutoScalingGroupCommand({ InstanceId: instanceId, ShouldDecrementDesiredCapacity: true }),
  );
}

/** Ends the launched nodes that are still there, then restores the sizes. Throws nothing; tells. */
export async function putBack(clients: Clients, group: GroupFacts, own: readonly string[]): Promise<string[]> {
  const told: string[] = [];
  const tell = (what: string) => (error: unknown) => {
    told.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  };
  const present = await readGroup(clients, group.name).catch(tell('reading the group'));
  const staying = (present?.Instances ?? []).filter(
    ({ InstanceId = '', LifecycleState = '' }) => own.includes(InstanceId) && !LifecycleState.startsWith('Terminat'),
  );
  for (const { InstanceId = '' } of staying)
    await terminateOwn(clients, InstanceId).catch(tell(`terminating ${InstanceId}`));
  const after = await readGroup(clients, group.name).catch(tell('reading the group'));
  if (after !== undefined && after.DesiredCapacity !== group.desired)
    told.push(`the desired capacity is ${after.DesiredCapacity}, and was ${group.desired}: it changed meanwhile`);
  const { name, min, max } = group;
  if (after !== undefined && (after.MaxSize !== max || after.MinSize !== min)) {
    const sizes = { AutoScalingGroupName: name, MinSize: min, MaxSize: Math.max(max, after.DesiredCapacity ?? 0) };
    await clients.autoScaling.send(new UpdateAutoScalingGroupCommand(sizes)).catch(tell('restoring the sizes'));
  }
  return told;
}
