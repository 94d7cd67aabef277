/** Reads a fleet in few calls: what ECS, EC2 and Auto Scaling know, joined by instance id. */

import type {
  FleetContainerInstance,
  FleetMachine,
  FleetMember,
  FleetNote,
  FleetReads,
} from '../core/fleet/fleet-nodes.ts';

export interface Survey {
  groups: string[];
  /** One for each EC2 instance: the record that its ECS agent uses. */
  containerInstances: FleetContainerInstance[];
  /** Further records of the same instances. */
  staleRecords: FleetContainerInstance[];
  /** Instances that EC2 does not know (ECS Anywhere). */
  external: FleetContainerInstance[];
  members: FleetMember[];
  /** By instance id: notes on the group that the instance is in. */
  notes: Map<string, FleetNote>;
  /**
   * Notes on other groups. Their owners may not decide about this instance, so nothing follows from
   * them.
   */
  strayNotes: FleetNote[];
  /** By instance id. An instance that is missing here may exist: EC2's list may be incomplete. */
  machines: Map<string, FleetMachine>;
}

type Reads = Pick<FleetReads, 'readContainerInstances' | 'readGroups' | 'readMachinesOfGroups' | 'readMachines'>;

/** Names the Auto Scaling group that launched the instance. Detaching the instance removes it. */
export const groupTag = 'aws:autoscaling:groupName';

/** EC2 knows only these. All other ids in a cluster are external instances (`mi-…`). */
const isEc2Id = (id: string) => id.startsWith('i-');

/**
 * `groups` may be empty: then the groups that launched the cluster's instances. `others` are
 * further instances to read from EC2.
 */
export async function surveyFleet(
  fleet: Reads,
  cluster: string,
  groups: readonly string[],
  others: readonly string[],
  signal: AbortSignal,
): Promise<Survey> {
  const records = await fleet.readContainerInstances(cluster, signal);
  const external = records.filter(({ instanceId }) => !isEc2Id(instanceId));
  const { real, stale } = separateRecords(records.filter(({ instanceId }) => isEc2Id(instanceId)));
  const machines = new Map<string, FleetMachine>();
  const keep = (found: readonly FleetMachine[]) => {
    for (const machine of found) machines.set(machine.instanceId, machine);
  };
  const readRest = async (ids: readonly string[]) => {
    const rest = [...new Set(ids)].filter((id) => isEc2Id(id) && !machines.has(id));
    if (rest.length > 0) keep(await fleet.readMachines(rest, signal));
  };
  const inCluster = real.map(({ instanceId }) => instanceId);
  // One call by group returns a thousand instances, one call by id two hundred.
  if (groups.length > 0) keep(await fleet.readMachinesOfGroups(groups, signal));
  await readRest(inCluster);
  const names = groups.length > 0 ? [...groups] : groupsOf(inCluster, machines);
  const found = names.length > 0 ? await fleet.readGroups(names, signal) : [];
  const members = found.flatMap((group) => group.members);
  await readRest([...members.map(({ instanceId }) => instanceId), ...others]);
  const noted = found.flatMap(({ members: own, notes }) => {
    const ids = new Set(own.map(({ instanceId }) => instanceId));
    return notes.map((note) => ({ note, isOwn: ids.has(note.instanceId) }));
  });
  return {
    groups: names,
    containerInstances: real,
    staleRecords: stale,
    external,
    members,
    notes: new Map(noted.filter(({ isOwn }) => isOwn).map(({ note }) => [note.instanceId, note])),
    strayNotes: noted.filter(({ isOwn }) => !isOwn).map(({ note }) => note),
    machines,
  };
}

/**
 * An instance has a second record after its ECS agent lost its data and registered anew. The agent
 * uses the connected record. If none is connected, it most likely uses the newest.
 */
export function separateRecords(records: readonly FleetContainerInstance[]): {
  real: FleetContainerInstance[];
  stale: FleetContainerInstance[];
} {
  const real = new Map<string, FleetContainerInstance>();
  const stale: FleetContainerInstance[] = [];
  for (const record of records.toSorted(likelierFirst)) {
    if (real.has(record.instanceId)) stale.push(record);
    else real.set(record.instanceId, record);
  }
  return { real: [...real.values()], stale };
}

function likelierFirst(a: FleetContainerInstance, b: FleetContainerInstance): number {
  return (
    Number(b.agentConnected) - Number(a.agentConnected) || b.registeredAt - a.registeredAt || (a.arn < b.arn ? -1 : 1)
  );
}

function groupsOf(ids: readonly string[], machines: ReadonlyMap<string, FleetMachine>): string[] {
  const names = ids.flatMap((id) => machines.get(id)?.tags[groupTag] ?? []);
  return [...new Set(names)].toSorted();
}
