/** Reads the facts of a sweep. The nodes must be read completely, the rest may fail. */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetMember, FleetNodes } from '../../core/fleet/fleet-nodes.ts';
import type { Clock } from '../../core/retry.ts';
import { surveyFleet } from '../survey.ts';
import type { SweepFacts } from './facts.ts';
import type { SweepOptions } from './findings.ts';

export interface Gathered {
  facts: SweepFacts;
  groups: string[];
  /** Number of external instances. */
  external: number;
  unanswered: { what: string; why: string }[];
}

/**
 * EC2 answers about termination protection for one instance at a time. Instances that their group
 * is terminating come first, then the others in turn: hourly runs cover 480 nodes in a day.
 */
export const protectionsPerRun = 20;

const hourMs = 3_600_000;

export async function gatherFacts(
  fleet: FleetNodes,
  options: SweepOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Gathered> {
  const unanswered: Gathered['unanswered'] = [];
  const tryTo = async <T>(what: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      signal.throwIfAborted();
      // Anything else is a bug in ecs-node.
      if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
      unanswered.push({ what, why: messageOf(error) });
      return undefined;
    }
  };
  const { cluster, stack, namePattern, metricsNamespace } = options;
  const records =
    stack === undefined ? undefined : await tryTo('OpsWorks records', () => fleet.readRecords(stack, signal));
  const others = records?.map(({ instanceId }) => instanceId) ?? [];
  // Before the list: a node that joins between the two must not look like a gap in the list.
  const registered = await tryTo("ECS's count of container instances", () =>
    fleet.readContainerInstanceCount(cluster, signal),
  );
  const survey = await surveyFleet(fleet, cluster, options.groups, others, signal);
  // After the first answers: only they tell how wrong this machine's clock is.
  const now = clock.now();
  const { groups, external, ...known } = survey;
  const listed = known.containerInstances.length + known.staleRecords.length + external.length;
  // An instance with a record is no stranger. So no Name is orphaned while the records are not
  // known.
  const strangers = stack === undefined || records !== undefined;
  const named = strangers ? await tryTo('Name tags', () => fleet.readMachinesNamed(namePattern, signal)) : undefined;
  const ids = known.containerInstances.map(({ instanceId }) => instanceId);
  const reports = await tryTo('metrics', () => fleet.readReports(metricsNamespace, ids, now, signal));
  const chosen = choose(known.members, now);
  const protection = (await tryTo('termination protection', () => readProtection(fleet, chosen, signal))) ?? new Map();
  const counts = registered === undefined ? undefined : { registered, listed };
  return {
    facts: { now, cluster, namePattern, ...known, counts, named, records, reports, protection },
    groups,
    external: external.length,
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

/** Pure. The same within an hour, so that two sweeps choose the same. */
export function choose(members: readonly FleetMember[], now: number, most = protectionsPerRun): string[] {
  const isEnding = ({ lifecycleState }: FleetMember) => lifecycleState.startsWith('Terminating');
  const ids = (of: readonly FleetMember[]) => of.map(({ instanceId }) => instanceId).toSorted();
  const first = ids(members.filter(isEnding)).slice(0, most);
  const others = ids(members.filter((member) => !isEnding(member)));
  return [...first, ...takeTurn(others, now, most - first.length)];
}

/** Pure. In the next hour, the next ids have their turn. */
export function takeTurn(ids: readonly string[], now: number, most: number): string[] {
  const count = Math.min(most, ids.length);
  const start = ids.length === 0 ? 0 : (Math.floor(now / hourMs) * count) % ids.length;
  return Array.from({ length: count }, (_, index) => ids[(start + index) % ids.length] ?? '');
}
