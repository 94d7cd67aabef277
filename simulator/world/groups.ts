/**
 * Auto Scaling groups: keeps each group at its desired capacity, and refuses as Auto Scaling does.
 */

import type { GroupOptions, HookOptions } from '../options.ts';
import { Refusal } from '../refusal.ts';
import { endActivity, recordActivity } from './activities.ts';
import { completeAction } from './hooks.ts';
import {
  addMember,
  beginReturn,
  beginTermination,
  endRetained,
  enterLaunch,
  groupOf,
  isCounted,
  isLeaving,
  isUnexpectedDeath,
  isWarm,
  leavePool,
  removeMember,
} from './members.ts';
import { arnOf, type Group, type Instance, type Member, type World } from './state.ts';

export function createGroup(world: World, options: GroupOptions): Group {
  const arn = arnOf(
    world,
    'autoscaling',
    `autoScalingGroup:${world.random.uuid()}:autoScalingGroupName/${options.name}`,
  );
  const group: Group = {
    name: options.name,
    arn,
    min: options.min ?? 0,
    max: options.max ?? 1_000,
    desired: options.desired ?? 0,
    protectNew: options.protectNew ?? false,
    graceMs: (options.graceSeconds ?? 0) * 1000,
    hooks: new Map(),
    members: new Map(),
    activities: [],
    suspended: new Set(),
    tags: new Map(Object.entries(options.tags ?? {})),
    ownTags: new Map(),
    warmPool: options.warmPool && { state: 'Stopped', reuse: false, ...options.warmPool },
    onAbandon: options.onAbandon ?? 'terminate',
    template: options.template ?? {},
    reconciling: false,
  };
  world.groups.set(group.name, group);
  for (const hook of options.hooks ?? []) putHook(world, group, hook);
  recount(world, group);
  return group;
}

export function putHook(world: World, group: Group, options: HookOptions): void {
  const { name, transition, heartbeatSeconds = 3600, defaultResult = 'ABANDON', completesAfterMs } = options;
  if (group.hooks.size >= 50 && !group.hooks.has(name)) {
    throw new Refusal('LimitExceeded', 'You have already reached the limit of 50 lifecycle hooks');
  }
  const globalSeconds = options.globalSeconds ?? Math.min(172_800, 100 * heartbeatSeconds);
  group.hooks.set(name, { name, transition, heartbeatSeconds, globalSeconds, defaultResult });
  if (completesAfterMs === undefined) return;
  // Completes a foreign hook, for instance the managed draining of ECS.
  world.listeners.add((event) => {
    if (event.kind !== 'member' || event.group !== group || !event.member.actions.has(name)) return;
    if (!event.state.endsWith(':Wait')) return;
    const { instanceId } = event.member;
    world.clock.after(completesAfterMs, () => {
      if (event.member.actions.has(name)) completeAction(world, group, { hookName: name, instanceId }, 'CONTINUE');
    });
  });
}

/** Follows state changes of the members' instances. */
export function watchInstances(world: World): void {
  world.listeners.add((event) => {
    if (event.kind !== 'instance') return;
    const group = groupOf(world, event.instance.id);
    const member = group?.members.get(event.instance.id);
    if (group && member) followInstance(world, group, member, event.instance);
  });
}

function followInstance(world: World, group: Group, member: Member, instance: Instance): void {
  if (instance.state === 'running') return enterLaunch(world, group, member, (which) => recount(world, which));
  if (instance.state === 'terminated' && /Terminating(:Proceed)?$/.test(member.state)) {
    return removeMember(world, group, member);
  }
  if (!isUnexpectedDeath(member, instance)) return;
  const cause =
    'an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped.';
  markUnhealthy(world, group, member, cause);
}

export function markUnhealthy(world: World, group: Group, member: Member, cause: string): void {
  member.healthy = false;
  world.clock.after(world.settings.autoscaling.healthCheckMs, () => {
    if (member.healthy || group.suspended.has('ReplaceUnhealthy')) return;
    beginTermination(world, group, member, cause, (which) => recount(world, which));
  });
}

/** Schedules one recount that covers all changes until it runs. */
export function recount(world: World, group: Group): void {
  if (group.reconciling) return;
  group.reconciling = true;
  world.clock.after(world.settings.autoscaling.reconcileMs, () => {
    group.reconciling = false;
    reconcile(world, group);
  });
}

function reconcile(world: World, group: Group): void {
  const again = (which: Group) => recount(world, which);
  const members = [...group.members.values()];
  const counted = members.filter(isCounted);
  const warm = members.filter(isWarm);
  if (!group.suspended.has('Launch')) {
    for (let count = counted.length; count < group.desired; count++) {
      const cause = `an instance was started in response to a difference between desired and actual capacity, increasing the capacity from ${count} to ${count + 1}.`;
      const resting = warm.findIndex(({ state }) => /^Warmed:(Stopped|Running|Hibernated)$/.test(state));
      if (resting < 0) addMember(world, group, cause, false);
      else leavePool(world, group, warm.splice(resting, 1)[0]!, cause, again);
    }
    for (let count = warm.length; count < (group.warmPool?.size ?? 0); count++) {
      const cause = `an instance was started in response to a difference between desired and actual capacity, increasing the warm pool capacity from ${count} to ${count + 1}.`;
      addMember(world, group, cause, true);
    }
  }
  if (!group.suspended.has('Terminate') && counted.length > group.desired) scaleIn(world, group, counted);
}

function scaleIn(world: World, group: Group, counted: Member[]): void {
  const victims = counted.filter((member) => !member.protected).toSorted((a, b) => a.joinedAt - b.joinedAt);
  for (let count = counted.length; count > group.desired; count--) {
    const victim = victims.shift();
    if (!victim) {
      const cause = `a difference between desired and actual capacity was found, shrinking the capacity from ${count} to ${group.desired}.`;
      const activity = recordActivity(world, group, 'Terminating EC2 instance', cause);
      const message = `Could not scale to desired capacity because all remaining instances are protected from scale in.`;
      return endActivity(world, activity, 'Cancelled', message);
    }
    const cause = `an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from ${count} to ${count - 1}.  At ${new Date(world.clock.now()).toISOString()} instance ${victim.instanceId} was selected for termination.`;
    const begin = group.warmPool?.reuse === true ? beginReturn : beginTermination;
    begin(world, group, victim, cause, (which) => recount(world, which));
  }
}

export function setDesiredCapacity(world: World, group: Group, desired: number): void {
  const refuse = (what: string) => {
    throw new Refusal(
      'ValidationError',
      `New SetDesiredCapacity value ${desired} is ${what} for the AutoScalingGroup.`,
    );
  };
  if (desired > group.max) refuse(`above max value ${group.max}`);
  if (desired < group.min) refuse(`below min value ${group.min}`);
  group.desired = desired;
  recount(world, group);
}

export function terminateMember(
  world: World,
  instanceId: string,
  decrement: boolean,
): { group: Group; member: Member } {
  const { group, member } = findMember(world, instanceId);
  const refuse = (message: string, code = 'ValidationError') => {
    throw new Refusal(code, message);
  };
  if (isWarm(member)) refuse(`The instance ${instanceId} is in the warm pool and cannot be terminated by this call.`);
  if (member.state === 'Terminating:Retained') {
    endRetained(world, group, member, 'instance was taken out of service in response to a user request.');
    return { group, member };
  }
  if (isLeaving(member.state)) {
    refuse(
      `Activity ${member.activity.id} is in progress: the instance is ${member.state}.`,
      'ScalingActivityInProgress',
    );
  }
  if (decrement && group.desired <= group.min) {
    refuse(
      `Currently, desiredSize equals minSize (${group.min}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.`,
    );
  }
  const shrinking = `, shrinking the capacity from ${group.desired} to ${group.desired - 1}`;
  if (decrement) group.desired -= 1;
  const cause = `instance ${instanceId} was taken out of service in response to a user request${decrement ? shrinking : ''}.`;
  beginTermination(world, group, member, cause, (which) => recount(world, which));
  return { group, member };
}

export function findGroup(world: World, name: string): Group {
  const group = world.groups.get(name);
  if (!group)
    throw new Refusal('ValidationError', `AutoScalingGroup name not found - AutoScalingGroup '${name}' not found`);
  return group;
}

export function findMember(world: World, instanceId: string): { group: Group; member: Member } {
  const group = groupOf(world, instanceId);
  const member = group?.members.get(instanceId);
  if (group && member && !member.removed) return { group, member };
  throw new Refusal(
    'ValidationError',
    `Instance Id not found - No managed instance found for instance ID: ${instanceId}`,
  );
}
