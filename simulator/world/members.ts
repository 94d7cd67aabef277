/** The life of one group member: launch, launch hooks, in service, termination. */

import { endActivity, launching, recordActivity, setMemberState, terminating } from './activities.ts';
import { clearActions, runHooks, type HookOutcome } from './hooks.ts';
import { endInstance, haltInstance, launchInstance, startInstance } from './instances.ts';
import { setTargetState } from './notices.ts';
import type { Group, Instance, Member, World } from './state.ts';

/** Called when the group must check its capacity again. */
type Recount = (group: Group) => void;

export function groupOf(world: World, instanceId: string): Group | undefined {
  const name = world.instances.get(instanceId)?.tags.get('aws:autoscaling:groupName');
  return name === undefined ? undefined : world.groups.get(name);
}

export const isWarm = ({ state }: Member) => state.startsWith('Warmed:') && !isLeaving(state);

export const isLeaving = (state: string) => /^(Warmed:)?Terminat/.test(state);

/** Counts towards the desired capacity. */
export const isCounted = ({ state }: Member) =>
  !isLeaving(state) && !state.startsWith('Warmed:') && !/^(Detach|Standby|EnteringStandby|Quarantined)/.test(state);

export function addMember(world: World, group: Group, cause: string, warm: boolean): Member {
  const tags = {
    ...group.template.tags,
    ...Object.fromEntries(group.tags),
    'aws:autoscaling:groupName': group.name,
    'aws:ec2launchtemplate:version': '1',
  };
  const instance = launchInstance(world, { ...group.template, tags });
  const member: Member = {
    instanceId: instance.id,
    state: '',
    healthy: true,
    protected: group.protectNew && !warm,
    inServiceAt: undefined,
    joinedAt: world.clock.now(),
    activity: recordActivity(world, group, launching(instance), cause),
    actions: new Map(),
    removed: false,
  };
  group.members.set(instance.id, member);
  setMemberState(world, group, member, warm ? 'Warmed:Pending' : 'Pending');
  aim(world, member, warm ? `Warmed:${group.warmPool?.state ?? 'Stopped'}` : 'InService');
  return member;
}

/** Sets the target state in IMDS, which reports it after a delay of its own. */
function aim(world: World, member: Member, target: string): void {
  const { imdsTerminatedMs, imdsInServiceMs } = world.settings.autoscaling;
  world.clock.after(target === 'Terminated' ? imdsTerminatedMs : imdsInServiceMs, () => {
    const instance = world.instances.get(member.instanceId);
    // A delayed InService must not overwrite a Terminated that arrived meanwhile.
    if (instance && (target === 'Terminated' || !isLeaving(member.state))) setTargetState(world, instance, target);
  });
}

/** Called when the member's instance runs. */
export function enterLaunch(world: World, group: Group, member: Member, recount: Recount): void {
  const warm = member.state === 'Warmed:Pending';
  if (!warm && member.state !== 'Pending') return;
  const state = member.state;
  world.clock.after(world.settings.autoscaling.enterWaitMs, () => {
    if (member.state !== state) return;
    runHooks(world, group, member, 'launch', state, (verdict) => {
      if (verdict.result === 'ABANDON') return abandonLaunch(world, group, member, verdict, recount);
      if (member.state !== state) setMemberState(world, group, member, `${state}:Proceed`);
      const proceeding = member.state;
      world.clock.after(world.settings.autoscaling.proceedMs, () => {
        if (member.state !== proceeding) return;
        if (warm) restInPool(world, group, member);
        else enterService(world, group, member, recount);
      });
    });
  });
}

function enterService(world: World, group: Group, member: Member, recount: Recount): void {
  member.inServiceAt = world.clock.now();
  endActivity(world, member.activity, 'Successful');
  setMemberState(world, group, member, 'InService');
  recount(group);
}

function abandonLaunch(world: World, group: Group, member: Member, verdict: HookOutcome, recount: Recount): void {
  endActivity(world, member.activity, 'Cancelled', verdict.message);
  beginTermination(
    world,
    group,
    member,
    'an instance was taken out of service in response to a launch failure.',
    recount,
  );
}

function restInPool(world: World, group: Group, member: Member): void {
  endActivity(world, member.activity, 'Successful');
  const state = group.warmPool?.state ?? 'Stopped';
  setMemberState(world, group, member, `Warmed:${state}`);
  const instance = world.instances.get(member.instanceId);
  if (instance && state !== 'Running') haltInstance(world, instance, 'Client.UserInitiatedShutdown: Warm pool');
}

/** Moves the member from the warm pool into the group; the launch hooks run a second time. */
export function leavePool(world: World, group: Group, member: Member, cause: string, recount: Recount): void {
  const instance = world.instances.get(member.instanceId);
  if (!instance) return;
  member.activity = recordActivity(world, group, launching(instance), cause);
  setMemberState(world, group, member, 'Pending');
  aim(world, member, 'InService');
  if (instance.state === 'stopped') startInstance(world, instance);
  else if (instance.state === 'running') enterLaunch(world, group, member, recount);
}

/** Terminates a member in the regular way, with hooks first. A second call does nothing. */
export function beginTermination(world: World, group: Group, member: Member, cause: string, recount: Recount): void {
  if (isLeaving(member.state)) return;
  clearActions(member);
  endActivity(world, member.activity, 'Cancelled', 'The instance was terminated before it was in service');
  const prefix = isWarm(member) ? 'Warmed:Terminating' : 'Terminating';
  member.activity = recordActivity(world, group, terminating(member.instanceId), cause);
  setMemberState(world, group, member, prefix);
  aim(world, member, 'Terminated');
  recount(group);
  world.clock.after(world.settings.autoscaling.enterWaitMs, () => {
    if (member.removed) return;
    runHooks(world, group, member, 'terminate', prefix, ({ result }) => {
      if (result === 'ABANDON' && group.onAbandon === 'retain') {
        endActivity(world, member.activity, 'Failed', 'The instance is retained after an abandoned lifecycle action');
        return setMemberState(world, group, member, `${prefix}:Retained`);
      }
      setMemberState(world, group, member, `${prefix}:Proceed`);
      world.clock.after(world.settings.autoscaling.proceedMs, () => kill(world, group, member));
    });
  });
}

/**
 * Takes a member back into the warm pool. AWS's guide "Use lifecycle hooks with a warm pool": it
 * pauses in Warmed:Pending:Wait for the hooks of EC2_INSTANCE_TERMINATING.
 */
export function beginReturn(world: World, group: Group, member: Member, cause: string, recount: Recount): void {
  const state = 'Warmed:Pending';
  member.activity = recordActivity(world, group, terminating(member.instanceId), cause);
  setMemberState(world, group, member, state);
  aim(world, member, `Warmed:${group.warmPool?.state ?? 'Stopped'}`);
  world.clock.after(world.settings.autoscaling.enterWaitMs, () => {
    if (member.state !== state) return;
    runHooks(world, group, member, 'terminate', state, ({ result }) => {
      if (result === 'ABANDON') return beginTermination(world, group, member, cause, recount);
      setMemberState(world, group, member, `${state}:Proceed`);
      world.clock.after(world.settings.autoscaling.proceedMs, () => {
        if (member.state === `${state}:Proceed`) restInPool(world, group, member);
      });
    });
  });
}

/** Terminates a member that waits in Terminating:Retained. */
export function endRetained(world: World, group: Group, member: Member, cause: string): void {
  member.activity = recordActivity(world, group, terminating(member.instanceId), cause);
  setMemberState(world, group, member, 'Terminating:Proceed');
  kill(world, group, member);
}

/** Termination protection blocks the group here; the group retries until the protection ends. */
function kill(world: World, group: Group, member: Member): void {
  const instance = world.instances.get(member.instanceId);
  if (!instance || instance.state === 'terminated') return removeMember(world, group, member);
  if (!instance.disableApiTermination) {
    return endInstance(world, instance, 'Client.AutoScaling: Terminated by Auto Scaling');
  }
  const message = `The instance '${instance.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again. Terminating EC2 instance failed.`;
  const { cause } = member.activity;
  endActivity(world, member.activity, 'Failed', message);
  world.clock.after(world.settings.autoscaling.terminateRetryMs, () => {
    if (member.removed) return;
    member.activity = recordActivity(world, group, terminating(instance.id), cause.replace(/^At \S+ /, ''));
    kill(world, group, member);
  });
}

/** Called when the member's instance is gone. */
export function removeMember(world: World, group: Group, member: Member): void {
  if (member.removed) return;
  member.removed = true;
  endActivity(world, member.activity, 'Successful');
  setMemberState(world, group, member, 'Terminated');
  world.clock.after(world.settings.autoscaling.forgetMs, () => group.members.delete(member.instanceId));
}

/** True if the instance ended without an action of the group. */
export function isUnexpectedDeath(member: Member, { state }: Instance): boolean {
  const dead = state !== 'pending' && state !== 'running';
  return dead && !isLeaving(member.state) && !member.state.startsWith('Warmed:');
}
