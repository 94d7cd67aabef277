/**
 * What nodes have left behind elsewhere: OpsWorks records of instances that are gone, and Names of
 * nodes that are none. Pure.
 */

import type { FleetMachine, FleetRecord } from '../../core/fleet-nodes.ts';
import { groupTag } from '../survey.ts';
import { isGone, protectedBy, renderAge, type Ages, type SweepFacts } from './facts.ts';
import type { SweepFinding } from './findings.ts';

/** States in which OpsWorks itself is at work on the record. */
const busy = new Set(['deregistering', 'unassigning', 'assigning', 'registering']);

/** States that only an agent which still speaks to OpsWorks can be in. */
const alive = new Set(['online', 'running_setup']);

/** States of a record that a person should know of while the instance lives. */
const ill = new Set(['connection_lost', 'setup_failed', 'start_failed', 'stop_failed']);

export function findRecords(facts: SweepFacts, ages: Ages): SweepFinding[] {
  const { records = [] } = facts;
  const known = records.some(({ instanceId }) => facts.machines.has(instanceId));
  return records.flatMap((record) =>
    isGone(facts, record.instanceId) ? dead(facts, ages, record, known) : living(record),
  );
}

function dead(facts: SweepFacts, { olderThanMs }: Ages, record: FleetRecord, known: boolean): SweepFinding[] {
  const { id, instanceId, hostname, status, createdAt } = record;
  const state = facts.machines.get(instanceId)?.state;
  const evidence = `${hostname} is ${status} in OpsWorks; ${state === undefined ? 'EC2 knows no such instance' : `EC2 says ${state}`}`;
  const finding = { kind: 'opsworks-record', instanceId, subject: id, since: createdAt, evidence } as const;
  const withoutDeed = (why: string): SweepFinding[] => [{ ...finding, why }];
  if (busy.has(status) && facts.now - createdAt < olderThanMs)
    return withoutDeed(`OpsWorks is at work on it (${status})`);
  if (state === undefined) {
    if (facts.now - createdAt < olderThanMs) return withoutDeed('made so lately that EC2 may not tell of it yet');
    if (alive.has(status))
      return withoutDeed('its OpsWorks agent still speaks, so it lives: is this the right region and account?');
    if (!known) return withoutDeed('EC2 knows no instance of the stack: is this the right region and account?');
  }
  if (status === 'deregistering') return withoutDeed('it is being deregistered already');
  return [
    {
      ...finding,
      deed: { kind: 'deregister-record', recordId: id },
      why: 'the instance is gone and will not come back',
    },
  ];
}

function living({ id, instanceId, hostname, status, createdAt }: FleetRecord): SweepFinding[] {
  if (!ill.has(status)) return [];
  const evidence = `${hostname} is ${status} in OpsWorks; the instance lives`;
  const why = 'the instance lives: access to it is what is broken, not its tasks';
  return [{ kind: 'opsworks-record', instanceId, subject: id, since: createdAt, evidence, why }];
}

/** Of a stopped machine: so long after its last start nobody is about to start it again. */
const stoppedForMs = 7 * 86_400_000;

/**
 * A Name is orphaned where it promises a node of this cluster on an instance that is none: in no
 * Auto Scaling group, not in the cluster, not in the stack. Terminated instances do not count: EC2
 * forgets their tags by itself.
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
  const evidence = `${state}, named "${name}", but in no group, cluster or stack; last started ${renderAge(age)} ago`;
  const finding = { kind: 'orphaned-name', instanceId, subject: name, since: launchedAt, evidence } as const;
  const hands = protectedBy(machine, undefined);
  if (hands !== undefined) return { ...finding, why: hands };
  if (state === 'running')
    return { ...finding, why: 'it runs, and nobody looks after it: a person has to say what it is for' };
  if (age < stoppedForMs) return { ...finding, why: 'somebody may be about to start it again' };
  const deed = { kind: 'remove-name', value: name } as const;
  return {
    ...finding,
    deed,
    why: 'the Name alone is removed, so that nobody takes it for a node; the instance is left alone',
  };
}
