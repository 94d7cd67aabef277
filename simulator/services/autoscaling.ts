/** EC2 Auto Scaling's API. */

import { Refusal } from '../refusal.ts';
import { flag, list, need, oneOf, record, text, whole } from '../wire/shapes.ts';
import {
  findGroup,
  findMember,
  markUnhealthy,
  putHook,
  recount,
  setDesiredCapacity,
  terminateMember,
} from '../world/groups.ts';
import { completeAction, heartbeat } from '../world/hooks.ts';
import type { Group, World } from '../world/state.ts';
import {
  describeActivities,
  describeGroups,
  describeHooks,
  describeMembers,
  renderActivity,
} from './autoscaling-describe.ts';
import { refreshes } from './autoscaling-refresh.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { operation, type Access, type CallContext, type Service } from './service.ts';

const name = text({ min: 1, max: 255 });
const instanceId = text({ min: 1, max: 19 });
const page = { MaxRecords: whole({ min: 1, max: 100 }), NextToken: text() };

function groupAccess(group: Group | undefined): Access[] {
  if (!group) return [{ resource: 'arn:aws:autoscaling:::unknown' }];
  const context: Record<string, string> = {};
  for (const [key, value] of [...group.tags, ...group.ownTags]) {
    context[`autoscaling:ResourceTag/${key}`] = value;
    context[`aws:ResourceTag/${key}`] = value;
  }
  return [{ resource: group.arn, context }];
}

const byName = ({ AutoScalingGroupName }: { AutoScalingGroupName: string }, { world }: CallContext) =>
  groupAccess(world.groups.get(AutoScalingGroupName));

const byInstance = ({ InstanceId }: { InstanceId: string }, { world }: CallContext) => {
  const groupName = world.instances.get(InstanceId)?.tags.get('aws:autoscaling:groupName');
  return groupAccess(groupName === undefined ? undefined : world.groups.get(groupName));
};

const describe = {
  DescribeAutoScalingInstances: operation(
    { InstanceIds: list(instanceId, { max: 50 }), MaxRecords: whole({ min: 1, max: 50 }), NextToken: text() },
    describeMembers,
  ),
  DescribeAutoScalingGroups: operation({ AutoScalingGroupNames: list(name), ...page }, describeGroups),
  DescribeScalingActivities: operation(
    { ActivityIds: list(text()), AutoScalingGroupName: name, IncludeDeletedGroups: flag(), ...page },
    describeActivities,
  ),
  DescribeLifecycleHooks: operation(
    { AutoScalingGroupName: need(name), LifecycleHookNames: list(name, { max: 50 }) },
    describeHooks,
  ),
};

const which = {
  LifecycleHookName: need(name),
  AutoScalingGroupName: need(name),
  InstanceId: instanceId,
  LifecycleActionToken: text({ min: 36, max: 36 }),
};

interface Which {
  LifecycleHookName: string;
  InstanceId: string | undefined;
  LifecycleActionToken: string | undefined;
}

function whichAction({ LifecycleHookName, InstanceId, LifecycleActionToken }: Which) {
  if (InstanceId === undefined && LifecycleActionToken === undefined) {
    throw new Refusal('ValidationError', 'Either InstanceId or LifecycleActionToken must be specified');
  }
  return { hookName: LifecycleHookName, instanceId: InstanceId, token: LifecycleActionToken };
}

const hooks = {
  CompleteLifecycleAction: operation(
    { ...which, LifecycleActionResult: need(oneOf('CONTINUE', 'ABANDON')) },
    (input, { world }) => {
      completeAction(
        world,
        findGroup(world, input.AutoScalingGroupName),
        whichAction(input),
        input.LifecycleActionResult,
      );
      return {};
    },
    byName,
  ),
  RecordLifecycleActionHeartbeat: operation(
    which,
    (input, { world }) => {
      heartbeat(world, findGroup(world, input.AutoScalingGroupName), whichAction(input));
      return {};
    },
    byName,
  ),
  PutLifecycleHook: operation(
    {
      LifecycleHookName: need(name),
      AutoScalingGroupName: need(name),
      LifecycleTransition: oneOf('autoscaling:EC2_INSTANCE_LAUNCHING', 'autoscaling:EC2_INSTANCE_TERMINATING'),
      HeartbeatTimeout: whole({ min: 30, max: 7200 }),
      DefaultResult: oneOf('CONTINUE', 'ABANDON'),
    },
    (input, { world }) => {
      putHook(world, findGroup(world, input.AutoScalingGroupName), {
        name: input.LifecycleHookName,
        transition: input.LifecycleTransition === 'autoscaling:EC2_INSTANCE_LAUNCHING' ? 'launch' : 'terminate',
        ...(input.HeartbeatTimeout !== undefined && { heartbeatSeconds: input.HeartbeatTimeout }),
        ...(input.DefaultResult !== undefined && { defaultResult: input.DefaultResult }),
      });
      return {};
    },
    byName,
  ),
  DeleteLifecycleHook: operation(
    { LifecycleHookName: need(name), AutoScalingGroupName: need(name) },
    ({ LifecycleHookName, AutoScalingGroupName }, { world }) => {
      if (!findGroup(world, AutoScalingGroupName).hooks.delete(LifecycleHookName)) {
        throw new Refusal('ValidationError', 'No Lifecycle Hook found');
      }
      return {};
    },
    byName,
  ),
};

const members = {
  TerminateInstanceInAutoScalingGroup: operation(
    { InstanceId: need(instanceId), ShouldDecrementDesiredCapacity: need(flag()) },
    ({ InstanceId, ShouldDecrementDesiredCapacity }, { world }) => {
      const { group, member } = terminateMember(world, InstanceId, ShouldDecrementDesiredCapacity);
      return { Activity: renderActivity(group, member.activity) };
    },
    byInstance,
  ),
  SetInstanceHealth: operation(
    {
      InstanceId: need(instanceId),
      HealthStatus: need(oneOf('Healthy', 'Unhealthy')),
      ShouldRespectGracePeriod: flag(),
    },
    ({ InstanceId, HealthStatus, ShouldRespectGracePeriod = true }, { world }) => {
      const { group, member } = findMember(world, InstanceId);
      const inGrace = world.clock.now() - (member.inServiceAt ?? world.clock.now()) < group.graceMs;
      if (HealthStatus === 'Healthy') member.healthy = true;
      else if (!(ShouldRespectGracePeriod && inGrace)) {
        markUnhealthy(world, group, member, 'an instance was taken out of service in response to a user health-check.');
      }
    },
    byInstance,
  ),
  SetInstanceProtection: operation(
    {
      InstanceIds: need(list(instanceId, { max: 50 })),
      AutoScalingGroupName: need(name),
      ProtectedFromScaleIn: need(flag()),
    },
    ({ InstanceIds, AutoScalingGroupName, ProtectedFromScaleIn }, { world }) => {
      const group = findGroup(world, AutoScalingGroupName);
      const found = InstanceIds.map((id) => ({ id, member: group.members.get(id) }));
      for (const { id, member } of found) {
        if (!member) {
          throw new Refusal('ValidationError', `The instance ${id} is not part of Auto Scaling group ${group.name}.`);
        }
        if (member.state !== 'InService' && member.state !== 'Standby') {
          throw new Refusal('ValidationError', `The instance ${id} is not in InService or EnteringStandby or Standby.`);
        }
      }
      for (const { member } of found) member!.protected = ProtectedFromScaleIn;
      return {};
    },
    byName,
  ),
};

const groupTags = list(
  record({
    ResourceId: text(),
    ResourceType: oneOf('auto-scaling-group'),
    Key: need(text({ min: 1, max: 128 })),
    Value: text({ max: 256 }),
    PropagateAtLaunch: flag(),
  }),
);

interface GroupTag {
  ResourceId: string | undefined;
  Key: string;
  Value: string | undefined;
  PropagateAtLaunch: boolean | undefined;
}

/** AWS allows this many tags per group. */
const maxGroupTags = 50;

function tagAccess({ Tags }: { Tags: GroupTag[] }, { world }: CallContext): Access[] {
  const keys = { 'aws:TagKeys': Tags.map(({ Key }) => Key) };
  return Tags.flatMap(({ ResourceId = '' }) => groupAccess(world.groups.get(ResourceId))).map(
    ({ resource, context }): Access => ({
      ...(resource !== undefined && { resource }),
      context: { ...context, ...keys },
    }),
  );
}

const tagging = {
  CreateOrUpdateTags: operation(
    { Tags: need(groupTags) },
    ({ Tags }, { world }) => {
      for (const { ResourceId = '', Key, Value = '', PropagateAtLaunch = false } of Tags) {
        const { tags, ownTags } = findGroup(world, ResourceId);
        if (Key.startsWith('aws:')) throw new Refusal('ValidationError', 'Tag keys may not start with aws:');
        if (new Set([...tags.keys(), ...ownTags.keys(), Key]).size > maxGroupTags) {
          throw new Refusal('LimitExceeded', `You have already reached the limit of ${maxGroupTags} tags per group.`);
        }
        tags.delete(Key);
        ownTags.delete(Key);
        (PropagateAtLaunch ? tags : ownTags).set(Key, Value);
      }
      return {};
    },
    tagAccess,
  ),
  DeleteTags: operation(
    { Tags: need(groupTags) },
    ({ Tags }, { world }) => {
      for (const { ResourceId = '', Key } of Tags) {
        const { tags, ownTags } = findGroup(world, ResourceId);
        tags.delete(Key);
        ownTags.delete(Key);
      }
      return {};
    },
    tagAccess,
  ),
};

const capacity = {
  SetDesiredCapacity: operation(
    { AutoScalingGroupName: need(name), DesiredCapacity: need(whole({ min: 0 })), HonorCooldown: flag() },
    ({ AutoScalingGroupName, DesiredCapacity }, { world }) =>
      setDesiredCapacity(world, findGroup(world, AutoScalingGroupName), DesiredCapacity),
    byName,
  ),
  UpdateAutoScalingGroup: operation(
    {
      AutoScalingGroupName: need(name),
      MinSize: whole({ min: 0 }),
      MaxSize: whole({ min: 0 }),
      DesiredCapacity: whole({ min: 0 }),
      NewInstancesProtectedFromScaleIn: flag(),
      HealthCheckGracePeriod: whole({ min: 0 }),
    },
    (input, { world }) => updateGroup(world, findGroup(world, input.AutoScalingGroupName), input),
    byName,
  ),
  SuspendProcesses: operation(
    { AutoScalingGroupName: need(name), ScalingProcesses: list(text()) },
    ({ AutoScalingGroupName, ScalingProcesses = processes }, { world }) => {
      for (const each of ScalingProcesses) findGroup(world, AutoScalingGroupName).suspended.add(each);
    },
    byName,
  ),
  ResumeProcesses: operation(
    { AutoScalingGroupName: need(name), ScalingProcesses: list(text()) },
    ({ AutoScalingGroupName, ScalingProcesses = processes }, { world }) => {
      const group = findGroup(world, AutoScalingGroupName);
      for (const each of ScalingProcesses) group.suspended.delete(each);
      recount(world, group);
    },
    byName,
  ),
};

const processes = ['Launch', 'Terminate', 'HealthCheck', 'ReplaceUnhealthy', 'AZRebalance'];

interface Update {
  MinSize: number | undefined;
  MaxSize: number | undefined;
  DesiredCapacity: number | undefined;
  NewInstancesProtectedFromScaleIn: boolean | undefined;
  HealthCheckGracePeriod: number | undefined;
}

function updateGroup(world: World, group: Group, input: Update): void {
  const { MinSize: min = group.min, MaxSize: max = group.max } = input;
  if (min > max) throw new Refusal('ValidationError', 'Max bound must be greater than or equal to min bound');
  const desired = input.DesiredCapacity ?? Math.min(max, Math.max(min, group.desired));
  if (desired < min || desired > max) {
    throw new Refusal(
      'ValidationError',
      `Desired capacity:${desired} must be between the specified min size:${min} and max size:${max}`,
    );
  }
  Object.assign(group, { min, max, desired });
  group.protectNew = input.NewInstancesProtectedFromScaleIn ?? group.protectNew;
  if (input.HealthCheckGracePeriod !== undefined) group.graceMs = input.HealthCheckGracePeriod * 1000;
  recount(world, group);
}

export const autoscaling: Service = {
  id: 'autoscaling',
  signingName: 'autoscaling',
  iam: 'autoscaling',
  protocol: 'query',
  version: '2011-01-01',
  namespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
  complain: validationComplaints('ValidationError'),
  throttle: throttled('Throttling', 400),
  deny: denied('AccessDenied', 403),
  operations: { ...describe, ...hooks, ...members, ...tagging, ...capacity, ...refreshes(byName) },
};
