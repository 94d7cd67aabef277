/** Findings about container instances: orphaned, stale, disconnected, stuck, recovered. Pure. */

import type { FleetContainerInstance, FleetMember } from '../../core/fleet/fleet-nodes.ts';
import { groupTag } from '../survey.ts';
import {
  describeGone,
  drainingSince,
  livesInGroup,
  mayBeInUse,
  notTerminable,
  ownedByPerson,
  renderAge,
  seemsGone,
  sinceOf,
  type Ages,
  type SweepFacts,
} from './facts.ts';
import type { SweepFinding } from './findings.ts';

/**
 * Time from draining a node to terminating it. ECS has started the service's tasks elsewhere by
 * then, and an ECS agent that lost its connection has had time to come back.
 */
export const drainedForMs = 15 * 60_000;

/**
 * Time after draining a node in which a sweep makes it ACTIVE again: two daily runs, the first of
 * which may fail. A person may make the node ACTIVE first, and drain it for reasons of their own,
 * while no sweep runs and removes the note. After this time, the sweep leaves the node to a person.
 */
export const activatedWithinMs = 50 * 3_600_000;

export function findContainerInstances(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const members = new Map(facts.members.map((member) => [member.instanceId, member]));
  const found = facts.containerInstances.flatMap((instance) => {
    if (seemsGone(facts, instance.instanceId)) return orphaned(facts, ages, instance);
    const member = members.get(instance.instanceId);
    if (instance.status === 'DRAINING') return draining(facts, ages, instance, member);
    if (instance.status !== 'ACTIVE') return [];
    return instance.agentConnected ? recovered(facts, instance) : disconnected(facts, ages, instance, member);
  });
  return [...found, ...facts.staleRecords.flatMap((record) => stale(facts, ages, record))];
}

function orphaned(facts: SweepFacts, { olderThanMs }: Ages, instance: FleetContainerInstance): SweepFinding[] {
  const { arn, instanceId, registeredAt, agentConnected, status } = instance;
  const evidence = `${status} in ECS; ${describeGone(facts, instanceId)}`;
  const finding = { kind: 'orphaned-container-instance', instanceId, subject: arn, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  if (agentConnected) {
    return withoutDeed('its ECS agent is connected, so the instance runs: check the region and the account');
  }
  const lives = livesInGroup(facts.members.find((member) => member.instanceId === instanceId));
  if (lives !== undefined) return withoutDeed(lives);
  const age = facts.now - registeredAt;
  if (age < olderThanMs) {
    return withoutDeed(`registered ${renderAge(age)} ago: EC2 may not list it yet, or ECS removes it by itself`);
  }
  const known = facts.containerInstances.some((other) => facts.machines.has(other.instanceId));
  if (!known) return withoutDeed('EC2 lists no instance of the cluster: check the region and the account');
  const deed = { kind: 'deregister-container-instance', arn } as const;
  const why = 'the instance is gone; ECS keeps the record of an instance that was not connected when it ended';
  return [{ ...finding, since: registeredAt, deed, why }];
}

/** Another record of an instance that has a real one. */
function stale(facts: SweepFacts, ages: Ages, record: FleetContainerInstance): SweepFinding[] {
  const { arn, instanceId, registeredAt, agentConnected, status, runningTasks, pendingTasks } = record;
  if (seemsGone(facts, instanceId)) return orphaned(facts, ages, record);
  const state = agentConnected ? 'connected' : `not connected, ${runningTasks + pendingTasks} tasks`;
  const evidence = `${status} in ECS, ${state}; the instance has another record`;
  const finding = { kind: 'stale-container-instance', instanceId, subject: arn, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  if (agentConnected) return withoutDeed('both are connected: ECS has to say which is right');
  const real = facts.containerInstances.find((each) => each.instanceId === instanceId);
  if (mayBeInUse(record, real)) return withoutDeed('no record is connected, and the ECS agent may use this one');
  const age = facts.now - registeredAt;
  if (age < ages.olderThanMs) return withoutDeed(`registered ${renderAge(age)} ago: ECS may remove it by itself`);
  const deed = { kind: 'deregister-stale', arn } as const;
  const why = 'the ECS agent registered anew and uses the other record';
  return [{ ...finding, since: registeredAt, deed, why }];
}

/** Removes notes of a trouble that has passed, which would otherwise count at the next one. */
function recovered({ notes }: SweepFacts, { arn, instanceId }: FleetContainerInstance): SweepFinding[] {
  const note = notes.get(instanceId);
  if (note === undefined) return [];
  const evidence = `ACTIVE with a connected ECS agent; an earlier sweep noted it as ${note.kind}`;
  const deed = { kind: 'forget', group: note.group } as const;
  return [{ kind: 'recovered', instanceId, subject: arn, evidence, deed, why: 'it is well again' }];
}

const noteWhy = 'ECS does not say since when: this run notes it, and a later run acts if it is still so';

const unseenWhy = 'no run has looked lately, and it may have been ACTIVE since: its time begins anew';

function disconnected(
  facts: SweepFacts,
  { olderThanMs }: Ages,
  instance: FleetContainerInstance,
  member: FleetMember | undefined,
): SweepFinding[] {
  const { arn, instanceId, runningTasks } = instance;
  const machine = facts.machines.get(instanceId);
  // A stopped instance of a warm pool has no reason to be connected.
  if (machine?.state === 'stopped' && machine.tags[groupTag] !== undefined) return [];
  const since = sinceOf(facts, instanceId, 'disconnected');
  const evidence = `ACTIVE, but its ECS agent is not connected; ${runningTasks} running tasks`;
  const finding = {
    kind: 'disconnected',
    instanceId,
    subject: arn,
    evidence,
    ...(since !== undefined && { since }),
  } as const;
  const obstacle = notTerminable(machine, member);
  if (obstacle !== undefined || member === undefined) return [{ ...finding, why: obstacle ?? '' }];
  const { group } = member;
  if (since === undefined) return [{ ...finding, deed: { kind: 'note', group, note: 'disconnected' }, why: noteWhy }];
  const age = facts.now - since;
  if (age < olderThanMs) {
    return [{ ...finding, why: `seen so for ${renderAge(age)}: the node restarts its ECS agent by itself first` }];
  }
  const why = `seen so for ${renderAge(age)}: ECS starts its tasks elsewhere now; a later run terminates the node`;
  return [{ ...finding, deed: { kind: 'drain', arn, group }, why }];
}

/** Since when the sweep's own draining lasts; undefined if another party set DRAINING since. */
function drainedSince(facts: SweepFacts, instance: FleetContainerInstance): number | undefined {
  const { instanceId, registeredAt, agentConnected, leavesSince } = instance;
  const notedAt = facts.notes.get(instanceId)?.since ?? 0;
  // A sweep drained a former record. ECS makes each new record ACTIVE.
  if (notedAt < registeredAt) return undefined;
  // The node drained itself, or a person did with `ecs-node leave`, maybe after a sweep.
  if (leavesSince !== undefined && (agentConnected || leavesSince > notedAt)) return undefined;
  return sinceOf(facts, instanceId, 'drained');
}

function draining(
  facts: SweepFacts,
  ages: Ages,
  instance: FleetContainerInstance,
  member: FleetMember | undefined,
): SweepFinding[] {
  const { arn, instanceId, runningTasks, pendingTasks, agentConnected } = instance;
  const tasks = runningTasks + pendingTasks;
  const drainedAt = drainedSince(facts, instance);
  const since = drainedAt ?? drainingSince(facts, instance, ages);
  const evidence = `DRAINING with ${tasks} tasks, ECS agent ${agentConnected ? 'connected' : 'not connected'}`;
  const kind = drainedAt === undefined ? 'stuck-draining' : 'disconnected';
  const finding = { kind, instanceId, subject: arn, evidence, ...(since !== undefined && { since }) } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  const machine = facts.machines.get(instanceId);
  if (drainedAt !== undefined && agentConnected && member !== undefined) {
    const owner = ownedByPerson(machine, member);
    if (owner !== undefined) return withoutDeed(owner);
    if (facts.now - (facts.notes.get(instanceId)?.since ?? 0) > activatedWithinMs)
      return withoutDeed(`a sweep drained it ${renderAge(facts.now - drainedAt)} ago: another party may have since`);
    const why = 'an earlier sweep drained it because it was not connected, and it is connected again';
    return [{ ...finding, kind: 'recovered', deed: { kind: 'activate', arn, group: member.group }, why }];
  }
  const obstacle = notTerminable(machine, member);
  // A node that leaves drains first: while its group terminates it, all is as it should be.
  if (member?.lifecycleState.startsWith('Terminating')) return [];
  if (obstacle !== undefined || member === undefined) return withoutDeed(obstacle ?? '');
  if (since === undefined) {
    const why = facts.notes.get(instanceId)?.kind === 'draining' ? unseenWhy : noteWhy;
    return [{ ...finding, deed: { kind: 'note', group: member.group, note: 'draining' }, why }];
  }
  const age = facts.now - since;
  if (age < (drainedAt === undefined ? ages.drainingOlderThanMs : drainedForMs)) {
    return withoutDeed(`so for ${renderAge(age)}: not long enough yet`);
  }
  if (drainedAt === undefined && tasks > 0) {
    return withoutDeed(`${tasks} tasks are still on it: a person has to decide about them`);
  }
  const why = `so for ${renderAge(age)}: its group terminates it, with its hooks, and replaces it`;
  return [{ ...finding, deed: { kind: 'terminate' }, why }];
}
