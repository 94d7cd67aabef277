/** Auto Scaling's API for describing members, groups, hooks and activities. */

import { Refusal } from '../refusal.ts';
import { findGroup } from '../world/groups.ts';
import { groupOf } from '../world/members.ts';
import type { Activity, Group, Member, World } from '../world/state.ts';
import { takePage } from './pages.ts';
import type { CallContext } from './service.ts';

interface Paged {
  MaxRecords: number | undefined;
  NextToken: string | undefined;
}

const badToken = () => new Refusal('InvalidNextToken', 'The NextToken value is not valid.');

export function describeMembers(
  { InstanceIds, MaxRecords = 50, NextToken }: Paged & { InstanceIds: string[] | undefined },
  { world }: CallContext,
): object {
  const found = InstanceIds?.length
    ? InstanceIds.flatMap((id) => {
        const group = groupOf(world, id);
        const member = group?.members.get(id);
        return group && member ? [{ group, member }] : [];
      })
    : [...world.groups.values()].flatMap((group) => [...group.members.values()].map((member) => ({ group, member })));
  const { page, next } = takePage(found, MaxRecords, NextToken, badToken);
  return {
    AutoScalingInstances: page.map(({ group, member }) => ({
      ...renderMember(world, member),
      AutoScalingGroupName: group.name,
      HealthStatus: member.healthy ? 'HEALTHY' : 'UNHEALTHY',
    })),
    NextToken: next,
  };
}

function renderMember(world: World, member: Member): object {
  const instance = world.instances.get(member.instanceId);
  return {
    InstanceId: member.instanceId,
    InstanceType: instance?.type,
    AvailabilityZone: instance?.zone,
    LifecycleState: member.state,
    HealthStatus: member.healthy ? 'Healthy' : 'Unhealthy',
    ProtectedFromScaleIn: member.protected,
    LaunchTemplate: { LaunchTemplateId: 'lt-0123456789abcdef0', LaunchTemplateName: 'ecs-nodes', Version: '1' },
  };
}

export function describeGroups(
  { AutoScalingGroupNames, MaxRecords = 50, NextToken }: Paged & { AutoScalingGroupNames: string[] | undefined },
  { world }: CallContext,
): object {
  if (AutoScalingGroupNames && AutoScalingGroupNames.length > MaxRecords) {
    throw new Refusal('ValidationError', `The number of group names exceeds the limit of ${MaxRecords}`);
  }
  const groups = AutoScalingGroupNames?.length
    ? AutoScalingGroupNames.flatMap((name) => world.groups.get(name) ?? [])
    : [...world.groups.values()];
  const { page, next } = takePage(groups, MaxRecords, NextToken, badToken);
  return { AutoScalingGroups: page.map((group) => renderGroup(world, group)), NextToken: next };
}

function renderGroup(world: World, group: Group): object {
  const members = [...group.members.values()];
  const { name, warmPool } = group;
  return {
    AutoScalingGroupName: name,
    AutoScalingGroupARN: group.arn,
    MinSize: group.min,
    MaxSize: group.max,
    DesiredCapacity: group.desired,
    DefaultCooldown: 300,
    AvailabilityZones: world.zones,
    LoadBalancerNames: [],
    TargetGroupARNs: [],
    HealthCheckType: 'EC2',
    HealthCheckGracePeriod: group.graceMs / 1000,
    Instances: members.filter(({ state }) => !state.startsWith('Warmed:')).map((member) => renderMember(world, member)),
    CreatedTime: new Date(0),
    SuspendedProcesses: [...group.suspended].map((ProcessName) => ({
      ProcessName,
      SuspensionReason: 'User suspended',
    })),
    Tags: [...renderTags(name, group.tags, true), ...renderTags(name, group.ownTags, false)],
    TerminationPolicies: ['Default'],
    NewInstancesProtectedFromScaleIn: group.protectNew,
    WarmPoolConfiguration: warmPool && {
      MinSize: warmPool.size,
      PoolState: warmPool.state,
      InstanceReusePolicy: { ReuseOnScaleIn: warmPool.reuse },
    },
    WarmPoolSize: warmPool?.size,
  };
}

function renderTags(ResourceId: string, tags: ReadonlyMap<string, string>, PropagateAtLaunch: boolean): object[] {
  const ResourceType = 'auto-scaling-group';
  return [...tags].map(([Key, Value]) => ({ ResourceId, ResourceType, Key, Value, PropagateAtLaunch }));
}

export function describeHooks(
  {
    AutoScalingGroupName,
    LifecycleHookNames,
  }: { AutoScalingGroupName: string; LifecycleHookNames: string[] | undefined },
  { world }: CallContext,
): object {
  const hooks = [...findGroup(world, AutoScalingGroupName).hooks.values()];
  const wanted = LifecycleHookNames?.length ? hooks.filter(({ name }) => LifecycleHookNames.includes(name)) : hooks;
  return {
    LifecycleHooks: wanted.map((hook) => ({
      LifecycleHookName: hook.name,
      AutoScalingGroupName,
      LifecycleTransition: `autoscaling:EC2_INSTANCE_${hook.transition === 'launch' ? 'LAUNCHING' : 'TERMINATING'}`,
      // AWS sends whole seconds, so the simulator rounds a timeout that a test shortened.
      HeartbeatTimeout: Math.max(1, Math.round(hook.heartbeatSeconds)),
      GlobalTimeout: Math.max(1, Math.round(hook.globalSeconds)),
      DefaultResult: hook.defaultResult,
    })),
  };
}

export function describeActivities(
  input: Paged & { ActivityIds: string[] | undefined; AutoScalingGroupName: string | undefined },
  { world }: CallContext,
): object {
  const { ActivityIds, AutoScalingGroupName, MaxRecords = 100, NextToken } = input;
  const groups =
    AutoScalingGroupName === undefined ? [...world.groups.values()] : [findGroup(world, AutoScalingGroupName)];
  const all = groups
    .flatMap((group) => group.activities.map((activity) => ({ group, activity })))
    .filter(({ activity }) => !ActivityIds?.length || ActivityIds.includes(activity.id))
    .toReversed();
  const { page, next } = takePage(all, MaxRecords, NextToken, badToken);
  return { Activities: page.map(({ group, activity }) => renderActivity(group, activity)), NextToken: next };
}

export function renderActivity(group: Group, activity: Activity): object {
  return {
    ActivityId: activity.id,
    AutoScalingGroupName: group.name,
    AutoScalingGroupARN: group.arn,
    Description: activity.description,
    Cause: activity.cause,
    StartTime: new Date(activity.startedAt),
    EndTime: activity.endedAt === undefined ? undefined : new Date(activity.endedAt),
    StatusCode: activity.status,
    StatusMessage: activity.message,
    Progress: activity.progress,
  };
}
