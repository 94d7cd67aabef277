/** Findings about members of the groups: never joined, protected from termination, silent. Pure. */

import type { FleetMember } from '../../core/fleet/fleet-nodes.ts';
import {
  notTerminable,
  otherClusterInName,
  otherClusterOf,
  protectedBy,
  renderAge,
  sinceOf,
  type Ages,
  type SweepFacts,
} from './facts.ts';
import type { SweepFinding } from './findings.ts';

/**
 * Time from the run that misses a node to the run that terminates it. A node that leaves is
 * deregistered some minutes before it is terminated. An ECS agent that lost its data registers anew
 * within minutes.
 */
export const missingForMs = 15 * 60_000;

export function findNeverJoined(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const joined = new Set(facts.containerInstances.map(({ instanceId }) => instanceId));
  // Group by group: a group of another cluster may have been named by mistake.
  const groups = new Set(facts.members.filter(({ instanceId }) => joined.has(instanceId)).map(({ group }) => group));
  return facts.members
    .filter(({ instanceId }) => !joined.has(instanceId))
    .flatMap((member) => missing(facts, ages, member, groups.has(member.group)));
}

function missing(facts: SweepFacts, { olderThanMs }: Ages, member: FleetMember, someJoined: boolean): SweepFinding[] {
  const { instanceId, lifecycleState, group } = member;
  const machine = facts.machines.get(instanceId);
  // Pending: the launch hook's timeout ends it. Warmed, Standby, Detaching: not meant to be in the
  // cluster.
  if (machine?.state !== 'running' || lifecycleState !== 'InService') return [];
  // One group may feed two clusters.
  if (otherClusterOf(machine, facts.cluster) !== undefined) return [];
  const age = facts.now - machine.launchedAt;
  if (age < olderThanMs) return [];
  const evidence = `InService in ${group}, launched ${renderAge(age)} ago, not in the cluster`;
  const finding = { kind: 'never-joined', instanceId, since: machine.launchedAt, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  // It may have no record there yet, or be in another account. Not knowing is no reason to end it.
  const other = otherClusterInName(machine, facts);
  if (other !== undefined) {
    const why = `its Name is that of a node of the cluster ${other}: set its tag ecs-node:cluster to ${other}, or to ${facts.cluster} if it belongs here`;
    return [{ ...finding, kind: 'in-another-cluster', why }];
  }
  const obstacle = notTerminable(machine, member) ?? incompleteList(facts);
  if (obstacle !== undefined) return withoutDeed(obstacle);
  if (!someJoined) return withoutDeed('no member of its group is in this cluster: is it the right one?');
  const missedSince = sinceOf(facts, instanceId, 'missing');
  if (missedSince === undefined) {
    const why = 'this run notes it, and a later run terminates it if it is still missing';
    return [{ ...finding, deed: { kind: 'note', group, note: 'missing' }, why }];
  }
  const missedMs = facts.now - missedSince;
  if (missedMs < missingForMs) return withoutDeed(`missing for ${renderAge(missedMs)}: not long enough yet`);
  const why = `missing for ${renderAge(missedMs)}: its group terminates it, with its hooks, and replaces it`;
  return [{ ...finding, deed: { kind: 'terminate' }, why }];
}

/** "Not in the list" means something only if the list is complete, by ECS's own count. */
function incompleteList({ counts }: SweepFacts): string | undefined {
  if (counts === undefined)
    return 'ECS did not say how many container instances there are, so its list may be incomplete';
  const { registered, listed } = counts;
  return listed < registered ? `ECS counts ${registered} container instances and lists ${listed}` : undefined;
}

export function findProtected(facts: SweepFacts): SweepFinding[] {
  const registered = new Set(facts.records?.map(({ instanceId }) => instanceId));
  return facts.members.flatMap((member): SweepFinding[] => {
    const { instanceId, lifecycleState, group } = member;
    if (facts.protection.get(instanceId) !== true) return [];
    const evidence = `${lifecycleState} in ${group}, with EC2 termination protection on`;
    const finding = { kind: 'termination-protection', instanceId, evidence } as const;
    const obstacle = protectedBy(facts.machines.get(instanceId), member);
    if (obstacle !== undefined) return [{ ...finding, why: obstacle }];
    const clear = (isLeaving: boolean) => ({ kind: 'clear-protection', isLeaving }) as const;
    if (registered.has(instanceId)) {
      return [{ ...finding, deed: clear(false), why: 'OpsWorks turns it on when an instance registers' }];
    }
    // OpsWorks may have turned it on, and the node has deregistered already.
    if (facts.records !== undefined && lifecycleState.startsWith('Terminating')) {
      return [{ ...finding, deed: clear(true), why: 'its group is terminating it, so the protection has no use' }];
    }
    return [{ ...finding, why: 'OpsWorks has no record of the instance: a person may have turned it on' }];
  });
}

/** Minimum share of nodes that report. Below it, metrics are off or CloudWatch has an outage. */
const reportingShare = 0.5;

export function findSilent(facts: SweepFacts, { olderThanMs }: Ages): SweepFinding[] {
  if (facts.reports === undefined) return [];
  const lastAt = new Map(facts.reports.map(({ instanceId, at }) => [instanceId, at]));
  const nodes = facts.containerInstances.filter(({ instanceId, status, agentConnected, registeredAt }) => {
    const running = facts.machines.get(instanceId)?.state === 'running';
    return running && status === 'ACTIVE' && agentConnected && facts.now - registeredAt >= olderThanMs;
  });
  const isReporting = (instanceId: string) => facts.now - (lastAt.get(instanceId) ?? 0) < olderThanMs;
  const reporting = nodes.filter(({ instanceId }) => isReporting(instanceId)).length;
  if (reporting < nodes.length * reportingShare) return [];
  return nodes
    .filter(({ instanceId }) => !isReporting(instanceId))
    .map(({ instanceId }) => {
      const since = lastAt.get(instanceId);
      const evidence =
        since === undefined ? 'no metric for three hours' : `last metric ${renderAge(facts.now - since)} ago`;
      const why = 'its tasks run, but ecs-node may not: run "ecs-node doctor" on it';
      return { kind: 'silent', instanceId, evidence, why, ...(since !== undefined && { since }) };
    });
}
