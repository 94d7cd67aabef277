/** Everything that a sweep knows when it decides: read once, whole, and changed by nobody. */

import type {
  FleetContainerInstance,
  FleetMachine,
  FleetMember,
  FleetRecord,
  FleetReport,
} from '../../core/fleet-nodes.ts';

/**
 * `undefined` where something was not asked, or was asked and not answered: nothing is concluded
 * from it.
 */
export interface SweepFacts {
  /** Milliseconds since 1970. */
  now: number;
  containerInstances: readonly FleetContainerInstance[];
  members: readonly FleetMember[];
  /** Of every instance id that the others name; one that is missing is not known to EC2. */
  machines: ReadonlyMap<string, FleetMachine>;
  /** Those that bear a node's Name. */
  named: readonly FleetMachine[] | undefined;
  records: readonly FleetRecord[] | undefined;
  reports: readonly FleetReport[] | undefined;
  /** Only of those that were asked: EC2 tells it of one instance at a time. */
  protection: ReadonlyMap<string, boolean>;
}

/** How old something must be before it counts. */
export interface Ages {
  olderThanMs: number;
  drainingOlderThanMs: number;
}

/** On an instance: no sweep touches it. */
export const keepTag = 'ecs-node:keep';

/** On an instance: since when sweeps have missed it in the cluster, milliseconds since 1970. */
export const missingTag = 'ecs-node:missing-since';

/**
 * EC2 has said that it does not exist any more: by state, or by not knowing it. A silent EC2 never
 * gets here.
 */
export function isGone(facts: Pick<SweepFacts, 'machines'>, instanceId: string): boolean {
  const machine = facts.machines.get(instanceId);
  return machine === undefined || machine.state === 'terminated';
}

/** Something that keeps a sweep's hands off a node, in words. */
export function protectedBy(machine: FleetMachine | undefined, member: FleetMember | undefined): string | undefined {
  if (machine?.tags[keepTag] !== undefined) return `it bears the tag ${keepTag}`;
  if (member?.protectedFromScaleIn) return 'it is protected from scale-in';
  return undefined;
}

/** Why it is not to be ended through its group; undefined where it is an ordinary member. */
export function notTerminable(machine: FleetMachine | undefined, member: FleetMember | undefined): string | undefined {
  if (member === undefined) return 'it is in none of the groups: no hook would run, and nobody would replace it';
  if (/^(Warmed:)?Terminat/.test(member.lifecycleState)) return 'its group is ending it already';
  if (member.lifecycleState !== 'InService') return `it is ${member.lifecycleState} in its group, not InService`;
  if (machine?.state !== 'running') return `EC2 says that it is ${machine?.state ?? 'unknown'}, not running`;
  return protectedBy(machine, member);
}

export function renderAge(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60 / 24)} d`;
}
