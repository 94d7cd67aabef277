/**
 * Reads a fleet in as few calls as it takes: what ECS, EC2 and Auto Scaling know of it, joined by
 * instance id.
 */

import type { FleetContainerInstance, FleetMachine, FleetMember, FleetReads } from '../core/fleet-nodes.ts';

export interface Survey {
  groups: string[];
  containerInstances: FleetContainerInstance[];
  members: FleetMember[];
  /**
   * Of every instance that the others name, and of `others`; one that is missing is not known to
   * EC2.
   */
  machines: Map<string, FleetMachine>;
}

type Reads = Pick<FleetReads, 'readContainerInstances' | 'readMembers' | 'readMachinesOfGroups' | 'readMachines'>;

/** Which Auto Scaling group launched it; gone once it has been detached. */
export const groupTag = 'aws:autoscaling:groupName';

/**
 * Without `groups`: those that launched the cluster's instances. `others` are instances that
 * somebody else has named.
 */
export async function surveyFleet(
  fleet: Reads,
  cluster: string,
  groups: readonly string[],
  others: readonly string[],
  signal: AbortSignal,
): Promise<Survey> {
  const containerInstances = await fleet.readContainerInstances(cluster, signal);
  const machines = new Map<string, FleetMachine>();
  const keep = (found: readonly FleetMachine[]) => {
    for (const machine of found) machines.set(machine.instanceId, machine);
  };
  const readRest = async (ids: readonly string[]) => {
    const rest = [...new Set(ids)].filter((id) => !machines.has(id));
    if (rest.length > 0) keep(await fleet.readMachines(rest, signal));
  };
  const inCluster = containerInstances.map(({ instanceId }) => instanceId);
  // By group it is a thousand instances a call, by id far fewer.
  if (groups.length > 0) keep(await fleet.readMachinesOfGroups(groups, signal));
  await readRest(inCluster);
  const all = groups.length > 0 ? [...groups] : groupsOf(inCluster, machines);
  const members = all.length > 0 ? await fleet.readMembers(all, signal) : [];
  await readRest([...members.map(({ instanceId }) => instanceId), ...others]);
  return { groups: all, containerInstances, members, machines };
}

function groupsOf(ids: readonly string[], machines: ReadonlyMap<string, FleetMachine>): string[] {
  const names = ids.flatMap((id) => machines.get(id)?.tags[groupTag] ?? []);
  return [...new Set(names)].toSorted();
}
