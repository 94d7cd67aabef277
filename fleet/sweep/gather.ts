/** Reads what a sweep decides upon: the nodes, or nothing at all; beside them whatever answers. */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetMember, FleetNodes } from '../../core/fleet-nodes.ts';
import { surveyFleet } from '../survey.ts';
import type { SweepFacts } from './facts.ts';
import type { SweepOptions } from './findings.ts';

export interface Gathered {
  facts: SweepFacts;
  groups: string[];
  unanswered: { what: string; why: string }[];
}

/**
 * EC2 tells of termination protection only one instance at a time. Those that their group is ending
 * come first, the others in turn: hourly runs come around to every one of five hundred nodes within
 * a day.
 */
export const protectionsPerRun = 20;

const hourMs = 3_600_000;

export async function gatherFacts(
  fleet: FleetNodes,
  options: SweepOptions,
  now: number,
  signal: AbortSignal,
): Promise<Gathered> {
  const unanswered: Gathered['unanswered'] = [];
  const tryTo = async <T>(what: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      signal.throwIfAborted();
      // Anything else is a bug of ours, and must be seen.
      if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
      unanswered.push({ what, why: messageOf(error) });
      return undefined;
    }
  };
  const { cluster, stack, namePattern, metricsNamespace } = options;
  const records =
    stack === undefined ? undefined : await tryTo('OpsWorks records', () => fleet.readRecords(stack, signal));
  const registered = records?.map(({ instanceId }) => instanceId) ?? [];
  const survey = await surveyFleet(fleet, cluster, options.groups, registered, signal);
  const { groups, containerInstances, members, machines } = survey;
  // Whoever has a record is no stranger: without the records nobody can be called one.
  const known = stack === undefined || records !== undefined;
  const named = known ? await tryTo('Name tags', () => fleet.readMachinesNamed(namePattern, signal)) : undefined;
  const ids = containerInstances.map(({ instanceId }) => instanceId);
  const reports = await tryTo('metrics', () => fleet.readReports(metricsNamespace, ids, now, signal));
  const chosen = choose(members, now);
  const protection = (await tryTo('termination protection', () => readProtection(fleet, chosen, signal))) ?? new Map();
  return {
    facts: { now, containerInstances, members, machines, named, records, reports, protection },
    groups,
    unanswered,
  };
}

async function readProtection(
  fleet: FleetNodes,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, boolean>> {
  const found = new Map<string, boolean>();
  for (const id of ids) found.set(id, await fleet.readTerminationProtection(id, signal));
  return found;
}

/** Pure: the same in the same hour, so that two sweeps look at the same. */
export function choose(members: readonly FleetMember[], now: number, most = protectionsPerRun): string[] {
  const isEnding = ({ lifecycleState }: FleetMember) => lifecycleState.startsWith('Terminating');
  const ids = (of: readonly FleetMember[]) => of.map(({ instanceId }) => instanceId).toSorted();
  const first = ids(members.filter(isEnding)).slice(0, most);
  const others = ids(members.filter((member) => !isEnding(member)));
  const count = Math.min(most - first.length, others.length);
  const start = others.length === 0 ? 0 : (Math.floor(now / hourMs) * count) % others.length;
  const turn = Array.from({ length: count }, (_, index) => others[(start + index) % others.length] ?? '');
  return [...first, ...turn];
}
