/**
 * What does not look right about members of the groups: never joined, protected from termination,
 * silent. Pure.
 */

import type { FleetMember } from '../../core/fleet-nodes.ts';
import { missingTag, notTerminable, protectedBy, renderAge, type Ages, type SweepFacts } from './facts.ts';
import type { SweepFinding } from './findings.ts';

/**
 * Between the look that misses a node and the one that ends it. A node that leaves is deregistered
 * some minutes before it is terminated, and one whose agent's data were wiped registers anew within
 * minutes.
 */
export const missingForMs = 15 * 60_000;

export function findNeverJoined(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const joined = new Set(facts.containerInstances.map(({ instanceId }) => instanceId));
  // Group by group: one that belongs to another cluster may have been named by mistake.
  const groups = new Set(facts.members.filter(({ instanceId }) => joined.has(instanceId)).map(({ group }) => group));
  return facts.members.flatMap((member) =>
    joined.has(member.instanceId)
      ? joinedAfterAll(facts, member)
      : missing(facts, ages, member, groups.has(member.group)),
  );
}

function joinedAfterAll(facts: SweepFacts, { instanceId }: FleetMember): SweepFinding[] {
  const value = facts.machines.get(instanceId)?.tags[missingTag];
  if (value === undefined) return [];
  const deed = { kind: 'untag-missing', value } as const;
  const why = 'it has joined: an old mark must not count later';
  return [{ kind: 'recovered', instanceId, evidence: `in the cluster, with the tag ${missingTag}`, deed, why }];
}

function missing(facts: SweepFacts, { olderThanMs }: Ages, member: FleetMember, someJoined: boolean): SweepFinding[] {
  const { instanceId, lifecycleState, group } = member;
  const machine = facts.machines.get(instanceId);
  // Pending: its launch hook's time-out ends it. Warmed, Standby, Detaching: not meant to be in the
  // cluster.
  if (machine?.state !== 'running' || lifecycleState !== 'InService') return [];
  const age = facts.now - machine.launchedAt;
  if (age < olderThanMs) return [];
  const evidence = `InService in ${group}, launched ${renderAge(age)} ago, not in the cluster`;
  const finding = { kind: 'never-joined', instanceId, since: machine.launchedAt, evidence } as const;
  const hands = notTerminable(machine, member);
  if (hands !== undefined) return [{ ...finding, why: hands }];
  if (!someJoined) return [{ ...finding, why: 'no member of its group is in this cluster: is it the right one?' }];
  const missedSince = Number(machine.tags[missingTag] ?? Number.NaN);
  if (!Number.isSafeInteger(missedSince)) {
    const why = 'noted now, and ended when a later run misses it again';
    return [{ ...finding, deed: { kind: 'tag-missing' }, why }];
  }
  const missedMs = facts.now - missedSince;
  if (missedMs < missingForMs) return [{ ...finding, why: `missed for ${renderAge(missedMs)}: not long enough yet` }];
  const why = `missed for ${renderAge(missedMs)}: ended through its group, which replaces it; hooks run`;
  return [{ ...finding, deed: { kind: 'terminate' }, why }];
}

export function findProtected(facts: SweepFacts): SweepFinding[] {
  const registered = new Set(facts.records?.map(({ instanceId }) => instanceId));
  return facts.members.flatMap((member): SweepFinding[] => {
    const { instanceId, lifecycleState, group } = member;
    if (facts.protection.get(instanceId) !== true) return [];
    const machine = facts.machines.get(instanceId);
    const evidence = `${lifecycleState} in ${group}, with EC2 termination protection on`;
    const finding = { kind: 'termination-protection', instanceId, evidence } as const;
    const hands = protectedBy(machine, member);
    if (hands !== undefined) return [{ ...finding, why: hands }];
    const deed = { kind: 'clear-protection' } as const;
    if (lifecycleState.startsWith('Terminating')) {
      return [{ ...finding, deed, why: 'its group is ending it and cannot' }];
    }
    if (registered.has(instanceId)) {
      return [{ ...finding, deed, why: 'OpsWorks turns it on when an instance registers; it blocks the group' }];
    }
    return [{ ...finding, why: 'not turned on by OpsWorks, as far as one can see: somebody may want it' }];
  });
}

/** As large a share of the nodes must report before the silence of one means anything. */
const reportingShare = 0.5;

export function findSilent(facts: SweepFacts, { olderThanMs }: Ages): SweepFinding[] {
  if (facts.reports === undefined) return [];
  const lastAt = new Map(facts.reports.map(({ instanceId, at }) => [instanceId, at]));
  const nodes = facts.containerInstances.filter(({ instanceId, status, agentConnected, registeredAt }) => {
    const running = facts.machines.get(instanceId)?.state === 'running';
    return running && status === 'ACTIVE' && agentConnected && facts.now - registeredAt >= olderThanMs;
  });
  const isHeard = (instanceId: string) => facts.now - (lastAt.get(instanceId) ?? 0) < olderThanMs;
  const heard = nodes.filter(({ instanceId }) => isHeard(instanceId)).length;
  // Where few report, metrics are switched off, or it is CloudWatch that is silent.
  if (heard < nodes.length * reportingShare) return [];
  return nodes
    .filter(({ instanceId }) => !isHeard(instanceId))
    .map(({ instanceId }) => {
      const since = lastAt.get(instanceId);
      const evidence =
        since === undefined ? 'no metric for three hours' : `last metric ${renderAge(facts.now - since)} ago`;
      const why = 'ECS has it connected and its tasks run, so only the watch is lost: look at "ecs-node doctor" on it';
      return { kind: 'silent', instanceId, evidence, why, ...(since !== undefined && { since }) };
    });
}
