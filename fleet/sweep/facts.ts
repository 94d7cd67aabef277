/** The facts on which a sweep decides. They are read once and not changed. */

import type {
  FleetContainerInstance,
  FleetMachine,
  FleetMember,
  FleetNote,
  FleetRecord,
  FleetReport,
  NoteKind,
} from '../../core/fleet/fleet-nodes.ts';
import { groupTag } from '../survey.ts';

/** A field is `undefined` if it was not read or not answered. Then nothing follows from it. */
export interface SweepFacts {
  /** Milliseconds since 1970. */
  now: number;
  cluster: string;
  /** Pattern of the Name tags of this cluster's nodes. `*` stands for any text. */
  namePattern: string;
  /** One for each EC2 instance. */
  containerInstances: readonly FleetContainerInstance[];
  /** Further records of the same instances. */
  staleRecords: readonly FleetContainerInstance[];
  /** ECS's own count of the cluster's container instances, and the number that it listed. */
  counts: { registered: number; listed: number } | undefined;
  members: readonly FleetMember[];
  /** By instance id: notes on the group that the instance is in. */
  notes: ReadonlyMap<string, FleetNote>;
  /** Notes on other groups, from which nothing follows. */
  strayNotes: readonly FleetNote[];
  /** By instance id. An instance that is missing here may exist: EC2's list may be incomplete. */
  machines: ReadonlyMap<string, FleetMachine>;
  /** Instances with a node's `Name`. */
  named: readonly FleetMachine[] | undefined;
  records: readonly FleetRecord[] | undefined;
  reports: readonly FleetReport[] | undefined;
  /** By instance id. EC2 answers for one instance at a time, so a run asks about some. */
  protection: ReadonlyMap<string, boolean>;
}

/** Minimum ages before a sweep acts. */
export interface Ages {
  olderThanMs: number;
  drainingOlderThanMs: number;
}

/** A node is terminated only if runs saw it DRAINING at least so often in that time. */
const minLooks = 4;

/** A person sets this tag on an instance to keep sweeps away. */
export const keepTag = 'ecs-node:keep';

/** A setting of the node: the cluster that it joins. */
export const clusterTag = 'ecs-node:cluster';

/** Sweeps up to 0.1.0 kept a note in this tag. The node's own role can write it. */
export const oldMissingTag = 'ecs-node:missing-since';

const endedStates = new Set(['shutting-down', 'terminated', 'stopping', 'stopped']);

/** An unknown state counts as running, so that a sweep does not take the node for dead. */
export function isRunning({ machines }: Pick<SweepFacts, 'machines'>, instanceId: string): boolean {
  const machine = machines.get(instanceId);
  return machine !== undefined && !endedStates.has(machine.state);
}

/**
 * The record of a container instance that is not connected and whose instance EC2 does not run. It
 * is no sign of an outage, and it leaves no capacity.
 */
export function isDead(facts: Pick<SweepFacts, 'machines'>, instance: FleetContainerInstance): boolean {
  return !instance.agentConnected && !isRunning(facts, instance.instanceId);
}

/**
 * EC2 lists it as terminated or does not list it. Before a sweep acts on a missing instance, it
 * asks EC2 for this instance alone: only "does not exist" counts.
 */
export function seemsGone({ machines }: Pick<SweepFacts, 'machines'>, instanceId: string): boolean {
  const machine = machines.get(instanceId);
  return machine === undefined || machine.state === 'terminated';
}

/**
 * Why Auto Scaling says that the instance lives, or undefined. EC2 alone may be wrong: what follows
 * from a missing instance ends the tasks of a living one.
 */
export function livesInGroup(member: FleetMember | undefined): string | undefined {
  if (member === undefined || !member.healthy || /Terminat/.test(member.lifecycleState)) return undefined;
  return `it is ${member.lifecycleState} and healthy in its group: a later run looks again`;
}

export function describeGone({ machines }: Pick<SweepFacts, 'machines'>, instanceId: string): string {
  const state = machines.get(instanceId)?.state;
  return state === undefined ? 'EC2 does not list the instance' : `EC2 says ${state}`;
}

/**
 * Whether the ECS agent may use the older record. An agent whose disk was put back to a snapshot
 * does: its tasks run, and while it connects anew, no record is connected.
 */
export function mayBeInUse(older: FleetContainerInstance, newer: FleetContainerInstance | undefined): boolean {
  if (older.agentConnected) return true;
  return older.runningTasks + older.pendingTasks > 0 && newer?.agentConnected !== true;
}

/** Why the node belongs to a person, or undefined. Sweeps leave such a node alone. */
export function ownedByPerson(machine: FleetMachine | undefined, member: FleetMember | undefined): string | undefined {
  if (machine?.tags[keepTag] !== undefined) return `it has the tag ${keepTag}`;
  const state = member?.lifecycleState ?? '';
  if (/Standby|Detach/.test(state)) return `it is ${state} in its group: a person did that`;
  return undefined;
}

/** Also true for an instance that was detached from its group, or never was in one. */
export function isPersonal(facts: Pick<SweepFacts, 'machines' | 'members'>, instanceId: string): boolean {
  const machine = facts.machines.get(instanceId);
  const member = facts.members.find((each) => each.instanceId === instanceId);
  if (ownedByPerson(machine, member) !== undefined) return true;
  return member === undefined && machine !== undefined && machine.tags[groupTag] === undefined;
}

/** Why a sweep must not change the node, or undefined. */
export function protectedBy(machine: FleetMachine | undefined, member: FleetMember | undefined): string | undefined {
  const reason = ownedByPerson(machine, member);
  if (reason !== undefined) return reason;
  // Auto Scaling tags each member of a group. An answer without that tag may lack others, too.
  if (member !== undefined && machine !== undefined && machine.tags[groupTag] === undefined)
    return `EC2's answer lacks the tag ${groupTag} of a member of a group`;
  return member?.protectedFromScaleIn ? 'it is protected from scale-in' : undefined;
}

/** Why a sweep must not terminate the node through its group. Undefined for an ordinary member. */
export function notTerminable(machine: FleetMachine | undefined, member: FleetMember | undefined): string | undefined {
  if (member === undefined) return 'it is in none of the groups: no hook would run, and no group would replace it';
  if (/^(Warmed:)?Terminat/.test(member.lifecycleState)) return 'its group is terminating it already';
  const owned = ownedByPerson(machine, member);
  if (owned !== undefined) return owned;
  if (member.lifecycleState !== 'InService') return `it is ${member.lifecycleState} in its group, not InService`;
  if (machine?.state !== 'running') return `EC2 says ${machine?.state ?? 'nothing about it'}, not running`;
  return protectedBy(machine, member);
}

/**
 * The cluster in the Name of a node, if it is another one than the sweep's. The bootstrap sets the
 * Name from the node's own configuration, which a sweep cannot read. A tag with the cluster
 * outranks the Name. Undefined where the pattern holds no cluster.
 */
export function otherClusterInName(
  machine: FleetMachine | undefined,
  { cluster, namePattern }: Pick<SweepFacts, 'cluster' | 'namePattern'>,
): string | undefined {
  const at = namePattern.indexOf(cluster);
  if (at === -1 || machine?.tags[clusterTag]?.split('/').at(-1)?.trim() === cluster) return undefined;
  const toExpression = (text: string) => text.split('*').map(escapeExpression).join('.*');
  const [before, after] = [namePattern.slice(0, at), namePattern.slice(at + cluster.length)].map(toExpression);
  const find = (expression: string) =>
    new RegExp(`^${before}${expression}${after}$`, 's').exec(machine?.tags['Name'] ?? '');
  return find(cluster) === null ? find('([\\w-]{1,255}?)')?.[1] : undefined;
}

const escapeExpression = (text: string) => text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&');

/** The cluster that the node's own tag names, if it is another one than the sweep's. */
export function otherClusterOf(machine: FleetMachine | undefined, cluster: string): string | undefined {
  const name = machine?.tags[clusterTag]?.split('/').at(-1)?.trim();
  return name === undefined || name === '' || name === cluster ? undefined : name;
}

/**
 * Since when a sweep has seen this. A restart of the instance begins anew, because its ECS agent
 * needs time to connect. A note from the future counts as none: a clock was wrong.
 */
export function sinceOf(facts: SweepFacts, instanceId: string, kind: NoteKind): number | undefined {
  const note = facts.notes.get(instanceId);
  if (note?.kind !== kind || note.since > facts.now) return undefined;
  return Math.max(note.since, facts.machines.get(instanceId)?.launchedAt ?? 0);
}

/**
 * Since when the node is DRAINING. A note that no run has renewed lately counts as none: the node
 * may have been ACTIVE since, and a person may have drained it a moment ago. The node's own mark
 * can only delay, because every node's role can write it.
 */
export function drainingSince(
  facts: SweepFacts,
  { instanceId, leavesSince = 0 }: FleetContainerInstance,
  { drainingOlderThanMs }: Ages,
): number | undefined {
  const since = sinceOf(facts, instanceId, 'draining');
  if (since === undefined) return undefined;
  const seen = facts.notes.get(instanceId)?.seen ?? since;
  if (Math.abs(facts.now - seen) > drainingOlderThanMs / minLooks) return undefined;
  return Math.max(since, Math.min(leavesSince, facts.now));
}

export function renderAge(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60 / 24)} d`;
}
