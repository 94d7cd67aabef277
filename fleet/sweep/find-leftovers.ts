/**
 * Findings outside ECS: OpsWorks records of ended instances, nodes without a record, names of nodes
 * that are none, and notes that nothing needs. Pure.
 */

import type { FleetMachine, FleetRecord } from '../../core/fleet/fleet-nodes.ts';
import { groupTag } from '../survey.ts';
import {
  describeGone,
  livesInGroup,
  oldMissingTag,
  otherClusterOf,
  ownedByPerson,
  renderAge,
  seemsGone,
  type Ages,
  type SweepFacts,
} from './facts.ts';
import type { SweepFinding } from './findings.ts';

/** OpsWorks itself is changing a record in these states. */
const busy = new Set(['deregistering', 'unassigning', 'assigning', 'registering']);

/** Only an OpsWorks agent that is connected can have these states. */
const alive = new Set(['online', 'running_setup']);

/** A person should know about these states while the instance runs. */
const ill = new Set(['connection_lost', 'setup_failed', 'start_failed', 'stop_failed']);

export function findRecords(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const { records = [] } = facts;
  const known = records.some(({ instanceId }) => facts.machines.has(instanceId));
  return records.flatMap((record) =>
    seemsGone(facts, record.instanceId) ? ended(facts, ages, record, known) : running(record),
  );
}

function ended(facts: SweepFacts, { olderThanMs }: Ages, record: FleetRecord, known: boolean): SweepFinding[] {
  const { id, instanceId, hostname, status, createdAt } = record;
  const evidence = `${hostname} is ${status} in OpsWorks; ${describeGone(facts, instanceId)}`;
  const finding = { kind: 'opsworks-record', instanceId, subject: id, since: createdAt, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  const isYoung = facts.now - createdAt < olderThanMs;
  if (busy.has(status) && isYoung) return withoutDeed(`OpsWorks is changing it (${status})`);
  if (!facts.machines.has(instanceId)) {
    if (isYoung) return withoutDeed('it is so young that EC2 may not list the instance yet');
    if (alive.has(status)) {
      return withoutDeed('its OpsWorks agent is connected, so the instance runs: check the region and the account');
    }
    if (!known) return withoutDeed('EC2 lists no instance of the stack: check the region and the account');
  }
  if (status === 'deregistering') return withoutDeed('it is being deregistered already');
  const lives = livesInGroup(facts.members.find((member) => member.instanceId === instanceId));
  if (lives !== undefined) return withoutDeed(lives);
  const deed = { kind: 'deregister-record', recordId: id } as const;
  return [{ ...finding, deed, why: 'the instance is gone and does not come back' }];
}

function running({ id, instanceId, hostname, status, createdAt }: FleetRecord): SweepFinding[] {
  if (!ill.has(status)) return [];
  const evidence = `${hostname} is ${status} in OpsWorks; the instance runs`;
  const why = 'the instance runs: OpsWorks cannot reach it, its tasks are not affected';
  return [{ kind: 'opsworks-record', instanceId, subject: id, since: createdAt, evidence, why }];
}

/** Nodes that run tasks but that OpsWorks does not know. A person decides what to do with them. */
export function findUnregistered(facts: SweepFacts, { olderThanMs }: Ages): SweepFinding[] {
  const { records } = facts;
  if (records === undefined) return [];
  const registered = new Set(records.map(({ instanceId }) => instanceId));
  const some = facts.members.some(({ instanceId }) => registered.has(instanceId));
  return facts.members.flatMap((member): SweepFinding[] => {
    const { instanceId, group, lifecycleState } = member;
    const machine = facts.machines.get(instanceId);
    if (registered.has(instanceId) || lifecycleState !== 'InService' || machine?.state !== 'running') return [];
    if (ownedByPerson(machine, member) !== undefined) return [];
    if (otherClusterOf(machine, facts.cluster) !== undefined) return [];
    const age = facts.now - machine.launchedAt;
    if (age < olderThanMs) return [];
    const evidence = `InService in ${group}, launched ${renderAge(age)} ago, no record in the OpsWorks stack`;
    const why = some
      ? 'OpsWorks gives no access to it: run "ecs-node doctor" on it, or replace it'
      : 'no node of the fleet is in this stack: is it the right one?';
    return [{ kind: 'not-in-opsworks', instanceId, since: machine.launchedAt, evidence, why }];
  });
}

/** Time since the last start of a stopped instance, after which a start is unlikely. */
const stoppedForMs = 7 * 86_400_000;

/**
 * A Name is orphaned if it promises a node of this cluster, but the instance is in no Auto Scaling
 * group, cluster or stack. EC2 removes the tags of terminated instances by itself.
 */
export function findNames(facts: SweepFacts): SweepFinding[] {
  const inCluster = new Set(facts.containerInstances.map(({ instanceId }) => instanceId));
  const inStack = new Set(facts.records?.map(({ instanceId }) => instanceId));
  const inGroup = new Set(facts.members.map(({ instanceId }) => instanceId));
  return (facts.named ?? [])
    .filter(({ state }) => state === 'running' || state === 'stopped')
    .filter(({ tags }) => tags[groupTag] === undefined)
    .filter(({ instanceId }) => ![inCluster, inStack, inGroup].some((some) => some.has(instanceId)))
    .map((machine) => orphanedName(facts.now, machine));
}

function orphanedName(now: number, machine: FleetMachine): SweepFinding {
  const { instanceId, state, launchedAt, tags } = machine;
  const name = tags['Name'] ?? '';
  const age = now - launchedAt;
  const evidence = `${state}, named "${name}", in no group, cluster or stack; last started ${renderAge(age)} ago`;
  const finding = { kind: 'orphaned-name', instanceId, subject: name, since: launchedAt, evidence } as const;
  const owner = ownedByPerson(machine, undefined);
  if (owner !== undefined) return { ...finding, why: owner };
  if (state === 'running')
    return { ...finding, why: 'it runs outside of the fleet: a person has to say what it is for' };
  if (age < stoppedForMs) return { ...finding, why: 'a person may start it again' };
  const why = 'the sweep removes only the Name, so that nobody takes the instance for a node';
  return { ...finding, deed: { kind: 'remove-name', value: name }, why };
}

/** A note must not count for a node that came back from a person, or for a later trouble. */
export function findStaleNotes(facts: SweepFacts): SweepFinding[] {
  const members = new Map(facts.members.map((member) => [member.instanceId, member]));
  return [...facts.notes.values(), ...facts.strayNotes].flatMap(
    ({ instanceId, group, kind, since }): SweepFinding[] => {
      const member = members.get(instanceId);
      const owner = ownedByPerson(facts.machines.get(instanceId), member);
      // Without the note `drained`, no sweep would make the node ACTIVE again.
      const why =
        member?.group !== group ? 'the instance is not in the group any more' : kind === 'drained' ? undefined : owner;
      if (why === undefined) return [];
      const evidence = `noted as ${kind} by an earlier sweep`;
      return [{ kind: 'stale-note', instanceId, since, evidence, deed: { kind: 'forget', group }, why }];
    },
  );
}

/**
 * Sweeps up to 0.1.0 kept notes as attributes of the container instance and as a tag of the
 * instance. Nodes can write both, so this version removes them without reading them.
 */
export function findOldNotes(facts: SweepFacts): SweepFinding[] {
  const why = 'a note of version 0.1.0, which nodes can forge: nothing follows from it';
  const inEcs = facts.containerInstances
    .filter(({ oldNotes }) => oldNotes.length > 0)
    .map(({ instanceId, arn, oldNotes }): SweepFinding => {
      const deed = { kind: 'remove-old-notes', arn, names: oldNotes } as const;
      return { kind: 'stale-note', instanceId, subject: arn, evidence: oldNotes.join(', '), deed, why };
    });
  const inEc2 = facts.members.flatMap(({ instanceId }): SweepFinding[] => {
    const value = facts.machines.get(instanceId)?.tags[oldMissingTag];
    if (value === undefined) return [];
    return [{ kind: 'stale-note', instanceId, evidence: oldMissingTag, deed: { kind: 'remove-old-tag', value }, why }];
  });
  return [...inEcs, ...inEc2];
}
