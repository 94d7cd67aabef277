/**
 * What does not look right about container instances: orphaned, disconnected, stuck in DRAINING, or
 * well again. Pure.
 */

import type { FleetContainerInstance, FleetMember } from '../../core/fleet-nodes.ts';
import { groupTag } from '../survey.ts';
import { isGone, notTerminable, protectedBy, renderAge, type Ages, type SweepFacts } from './facts.ts';
import type { SweepFinding } from './findings.ts';

/**
 * Between the draining and the end: service tasks have been started elsewhere by then, and an agent
 * could come back.
 */
export const drainedForMs = 15 * 60_000;

export function findContainerInstances(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const members = new Map(facts.members.map((member) => [member.instanceId, member]));
  return facts.containerInstances.flatMap((instance) => {
    if (isGone(facts, instance.instanceId)) return orphaned(facts, ages, instance);
    const member = members.get(instance.instanceId);
    if (instance.status === 'DRAINING') return draining(facts, ages, instance, member);
    if (instance.status !== 'ACTIVE') return [];
    return instance.agentConnected ? recovered(instance) : disconnected(facts, ages, instance, member);
  });
}

function orphaned(facts: SweepFacts, { olderThanMs }: Ages, instance: FleetContainerInstance): SweepFinding[] {
  const { arn, instanceId, registeredAt, agentConnected, status } = instance;
  const state = facts.machines.get(instanceId)?.state;
  const evidence = `${status} in ECS; ${state === undefined ? 'EC2 knows no such instance' : `EC2 says ${state}`}`;
  const finding = { kind: 'orphaned-container-instance', instanceId, subject: arn, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  if (agentConnected) return withoutDeed('its agent is connected, so it lives: is this the right region and account?');
  if (facts.now - registeredAt < olderThanMs) {
    return withoutDeed(
      `registered ${renderAge(facts.now - registeredAt)} ago: EC2 may not tell of it yet, or ECS remove it itself`,
    );
  }
  const known = facts.containerInstances.some((other) => facts.machines.has(other.instanceId));
  if (!known) return withoutDeed('EC2 knows none of the cluster: is this the right region and account?');
  const deed = { kind: 'deregister-container-instance', arn } as const;
  return [
    {
      ...finding,
      since: registeredAt,
      deed,
      why: 'the instance is gone, and ECS keeps what was not connected at its end',
    },
  ];
}

/**
 * Marks of a trouble that has passed, or a draining that a sweep began and nobody needs any more.
 */
function recovered({ arn, instanceId, marks }: FleetContainerInstance): SweepFinding[] {
  const left = (['disconnected', 'draining', 'drained'] as const).filter((mark) => marks[mark] !== undefined);
  if (left.length === 0) return [];
  const deed = { kind: 'unmark', arn, marks: left } as const;
  const evidence = `ACTIVE with a connected agent, marked ${left.join(', ')} by an earlier sweep`;
  return [
    {
      kind: 'recovered',
      instanceId,
      subject: arn,
      evidence,
      deed,
      why: 'it is well again: an old mark must not count later',
    },
  ];
}

function disconnected(
  facts: SweepFacts,
  { olderThanMs }: Ages,
  instance: FleetContainerInstance,
  member: FleetMember | undefined,
): SweepFinding[] {
  const { arn, instanceId, marks, runningTasks } = instance;
  const since = marks.disconnected;
  const evidence = `ACTIVE, but its agent is not connected; ${runningTasks} running tasks`;
  const finding = {
    kind: 'disconnected',
    instanceId,
    subject: arn,
    evidence,
    ...(since !== undefined && { since }),
  } as const;
  const machine = facts.machines.get(instanceId);
  // One that waits, stopped, in its group's warm pool has every right to be silent.
  if (machine?.state === 'stopped' && machine.tags[groupTag] !== undefined) return [];
  const hands = notTerminable(machine, member);
  if (hands !== undefined) return [{ ...finding, why: hands }];
  if (since === undefined) {
    const why = 'ECS does not say since when: noted now, and acted upon when a later run finds it so';
    return [{ ...finding, deed: { kind: 'mark', arn, mark: 'disconnected' }, why }];
  }
  const age = facts.now - since;
  if (age < olderThanMs)
    return [{ ...finding, why: `seen so for ${renderAge(age)}: the node restarts its agent itself first` }];
  const why = `seen so for ${renderAge(age)}: drained now, so that its tasks start elsewhere; ended by a later run`;
  return [{ ...finding, deed: { kind: 'drain', arn }, why }];
}

function draining(
  facts: SweepFacts,
  { drainingOlderThanMs }: Ages,
  instance: FleetContainerInstance,
  member: FleetMember | undefined,
): SweepFinding[] {
  const { arn, instanceId, marks, runningTasks, pendingTasks, agentConnected } = instance;
  const tasks = runningTasks + pendingTasks;
  const since = marks.drained ?? marks.draining;
  const evidence = `DRAINING with ${tasks} tasks, agent ${agentConnected ? 'connected' : 'not connected'}`;
  const kind = marks.drained !== undefined ? 'disconnected' : 'stuck-draining';
  const finding = { kind, instanceId, subject: arn, evidence, ...(since !== undefined && { since }) } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  const machine = facts.machines.get(instanceId);
  if (marks.drained !== undefined && agentConnected) {
    const hands = protectedBy(machine, undefined);
    if (hands !== undefined) return withoutDeed(hands);
    const why = 'an earlier sweep drained it because it was not connected, and it is connected again';
    return [{ ...finding, kind: 'recovered', deed: { kind: 'activate', arn }, why }];
  }
  const hands = notTerminable(machine, member);
  // A node that leaves drains first: while its group ends it, all is as it should be.
  if (hands !== undefined) return member?.lifecycleState.startsWith('Terminating') ? [] : withoutDeed(hands);
  if (since === undefined) {
    const why = 'ECS does not say since when: noted now, and acted upon when a later run finds it so';
    return [{ ...finding, deed: { kind: 'mark', arn, mark: 'draining' }, why }];
  }
  const age = facts.now - since;
  const drainedBySweep = marks.drained !== undefined;
  if (age < (drainedBySweep ? drainedForMs : drainingOlderThanMs))
    return withoutDeed(`so for ${renderAge(age)}: not long enough yet`);
  if (!drainedBySweep && tasks > 0)
    return withoutDeed(`${tasks} tasks are still on it: a person has to say what becomes of them`);
  const why = `so for ${renderAge(age)}: ended through its group, which replaces it; hooks run`;
  return [{ ...finding, deed: { kind: 'terminate' }, why }];
}
