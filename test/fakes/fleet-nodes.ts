/**
 * A cluster, its groups and its stack in memory. It refuses the same calls as AWS and records every
 * call.
 */

import { Refused, Unavailable } from '../../core/errors.ts';
import type {
  FleetContainerInstance,
  FleetMachine,
  FleetMember,
  FleetNodes,
  FleetNote,
  FleetRecord,
  FleetReport,
} from '../../core/fleet/fleet-nodes.ts';

export const cluster = 'prod';
export const group = 'nodes';

export interface FakeFleet extends FleetNodes {
  /** Container instances by instance id. */
  instances: Map<string, FleetContainerInstance>;
  /** Further records of the same instances. */
  secondRecords: FleetContainerInstance[];
  /** Instances of other clusters: the cluster's name by instance id. */
  elsewhere: Map<string, string>;
  /** The number of container instances that ECS counts but does not list. */
  unlisted: number;
  /** Notes by instance id. */
  notes: Map<string, FleetNote>;
  members: Map<string, FleetMember>;
  machines: Map<string, FleetMachine>;
  records: Map<string, FleetRecord>;
  reports: FleetReport[];
  protectedIds: Set<string>;
  /** Reads and actions, in order: `readMember i-1`, `drain i-1` … */
  calls: string[];
  /** Returns the actions alone. */
  actions(): string[];
  /** True for an item that this call's list lacks, as in an incomplete answer. */
  lacks: (call: string, instanceId: string) => boolean;
  /** Runs before each call. It may change the world, or throw. */
  before: (call: string) => void | Promise<void>;
}

export interface NodeOverrides {
  instance?: Partial<FleetContainerInstance> | undefined;
  machine?: Partial<FleetMachine> | undefined;
  member?: Partial<FleetMember> | undefined;
}

const dayMs = 86_400_000;

/** Adds a healthy node that is a day old. `undefined` removes that part of it. */
export function addNode(fleet: FakeFleet, instanceId: string, now: number, overrides: NodeOverrides = {}): void {
  const wants = (side: keyof NodeOverrides) => !(side in overrides) || overrides[side] !== undefined;
  const machine: FleetMachine = {
    instanceId,
    state: 'running',
    zone: 'eu-west-1a',
    type: 'm7g.large',
    launchedAt: now - dayMs,
    purchase: 'on-demand',
    tags: { Name: `${cluster} ECS - ${instanceId}`, 'aws:autoscaling:groupName': group },
  };
  const instance: FleetContainerInstance = {
    arn: arnOf(instanceId),
    instanceId,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: '1.106.1',
    runningTasks: 2,
    pendingTasks: 0,
    registeredAt: now - dayMs + 60_000,
    oldNotes: [],
  };
  const member = { instanceId, group, lifecycleState: 'InService', healthy: true, protectedFromScaleIn: false };
  if (wants('machine')) fleet.machines.set(instanceId, { ...machine, ...overrides.machine });
  if (wants('instance')) fleet.instances.set(instanceId, { ...instance, ...overrides.instance });
  if (wants('member')) fleet.members.set(instanceId, { ...member, ...overrides.member });
}

export const arnOf = (instanceId: string) =>
  `arn:aws:ecs:eu-west-1:123456789012:container-instance/${cluster}/${instanceId}`;

/** Adds a second record of the instance, as after a second registration of its ECS agent. */
export function addSecondRecord(
  fleet: FakeFleet,
  instanceId: string,
  overrides: Partial<FleetContainerInstance> = {},
): FleetContainerInstance {
  const first = fleet.instances.get(instanceId)!;
  const second = {
    ...first,
    arn: `${first.arn}-${fleet.secondRecords.length + 2}`,
    agentConnected: false,
    registeredAt: first.registeredAt - 60_000,
    ...overrides,
  };
  fleet.secondRecords.push(second);
  return second;
}

export function addNote(
  fleet: FakeFleet,
  instanceId: string,
  kind: FleetNote['kind'],
  since: number,
  seen?: number,
): void {
  fleet.notes.set(instanceId, { instanceId, group, kind, since, ...(seen !== undefined && { seen }) });
}

export function addRecord(
  fleet: FakeFleet,
  instanceId: string,
  now: number,
  overrides: Partial<FleetRecord> = {},
): void {
  const id = `record-of-${instanceId}`;
  const record = {
    id,
    hostname: `ecs-${instanceId}`,
    instanceId,
    status: 'online',
    layerIds: ['layer'],
    createdAt: now - dayMs,
  };
  fleet.records.set(id, { ...record, ...overrides });
}

const reading = /^(read)/;

export function fakeFleet(): FakeFleet {
  const answer = async (call: string, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    fleet.calls.push(call);
    await fleet.before(call);
  };
  const own = (arn: string): FleetContainerInstance => {
    const found = recordsOf(fleet).find((each) => each.arn === arn);
    if (found === undefined) throw new Refused(`no container instance ${arn}`, { code: 'TargetNotFoundException' });
    return found;
  };
  const fleet: FakeFleet = {
    instances: new Map(),
    secondRecords: [],
    elsewhere: new Map(),
    unlisted: 0,
    notes: new Map(),
    members: new Map(),
    machines: new Map(),
    records: new Map(),
    reports: [],
    protectedIds: new Set(),
    calls: [],
    lacks: () => false,
    before: () => {},
    actions: () => fleet.calls.filter((call) => !reading.test(call)),
    ...reads(() => fleet, answer),
    async writeNote(note, signal) {
      await answer(`${note.seen === undefined ? 'note' : 'renew'} ${note.instanceId} ${note.kind}`, signal);
      fleet.notes.set(note.instanceId, note);
    },
    async removeNote(_group, id, signal) {
      await answer(`forget ${id}`, signal);
      fleet.notes.delete(id);
    },
    async removeOldNotes(_cluster, arn, names, signal) {
      await answer(`remove-old ${own(arn).instanceId} ${names.join()}`, signal);
      own(arn).oldNotes = [];
    },
    async drain(_cluster, arn, signal) {
      await answer(`drain ${own(arn).instanceId}`, signal);
      own(arn).status = 'DRAINING';
    },
    async activate(_cluster, arn, signal) {
      await answer(`activate ${own(arn).instanceId}`, signal);
      own(arn).status = 'ACTIVE';
    },
    async deregisterContainerInstance(_cluster, arn, signal) {
      const record = own(arn);
      const isSecond = fleet.secondRecords.includes(record);
      await answer(`deregister ${record.instanceId}${isSecond ? ' second' : ''}`, signal);
      if (isSecond) fleet.secondRecords.splice(fleet.secondRecords.indexOf(record), 1);
      else fleet.instances.delete(record.instanceId);
    },
    async untagMachine(id, key, value, signal) {
      await answer(`untag ${id} ${key}`, signal);
      const { tags } = fleet.machines.get(id)!;
      if (tags[key] === value) delete tags[key];
    },
    async clearTerminationProtection(id, signal) {
      await answer(`clear ${id}`, signal);
      fleet.protectedIds.delete(id);
    },
    async terminateInGroup(id, signal) {
      await answer(`terminate ${id}`, signal);
      const member = fleet.members.get(id);
      if (member === undefined) throw new Refused(`${id} is in no group`, { code: 'ValidationError' });
      if (member.lifecycleState.startsWith('Terminating')) throw new Unavailable('ScalingActivityInProgress');
      member.lifecycleState = 'Terminating:Wait';
    },
    async unassignRecord(id, signal) {
      await answer(`unassign ${id}`, signal);
      fleet.records.get(id)!.layerIds = [];
    },
    async deregisterRecord(id, signal) {
      await answer(`deregister ${id}`, signal);
      fleet.records.delete(id);
    },
    clockOffsetMs: () => 0,
    close() {},
  };
  return fleet;
}

const recordsOf = (fleet: FakeFleet) => [...fleet.instances.values(), ...fleet.secondRecords];

type Reads = Pick<FleetNodes, Extract<keyof FleetNodes, `read${string}`>>;

/** Reads return copies, so that a later change does not reach an earlier answer. */
function reads(of: () => FakeFleet, answer: (call: string, signal: AbortSignal) => Promise<void>): Reads {
  const copies = <T>(all: Iterable<T>, test: (each: T) => boolean = () => true): T[] =>
    structuredClone([...all].filter(test));
  return {
    async readContainerInstances(name, signal) {
      await answer('readContainerInstances', signal);
      if (name !== cluster) throw new Refused(`there is no cluster ${name}`, { code: 'ClusterNotFoundException' });
      return copies(recordsOf(of()), ({ instanceId }) => !of().lacks('readContainerInstances', instanceId));
    },
    async readContainerInstancesOf(_cluster, id, signal) {
      await answer(`readContainerInstancesOf ${id}`, signal);
      return copies(recordsOf(of()), ({ instanceId }) => instanceId === id);
    },
    async readOtherClusterOf(_cluster, id, signal) {
      await answer(`readOtherClusterOf ${id}`, signal);
      return of().elsewhere.get(id);
    },
    async readContainerInstanceCount(name, signal) {
      await answer('readContainerInstanceCount', signal);
      if (name !== cluster) throw new Refused(`there is no cluster ${name}`, { code: 'ClusterNotFoundException' });
      return recordsOf(of()).length + of().unlisted;
    },
    async readGroups(groups, signal) {
      await answer('readGroups', signal);
      if (groups.some((name) => name !== group)) throw new Refused('there is no such group', { code: 'GroupNotFound' });
      return [
        {
          name: group,
          members: copies(of().members.values(), (each) => !of().lacks('readGroups', each.instanceId)),
          notes: copies(of().notes.values()),
        },
      ];
    },
    async readMember(id, signal) {
      await answer(`readMember ${id}`, signal);
      return structuredClone(of().members.get(id));
    },
    async readMachinesOfGroups(groups, signal) {
      await answer('readMachinesOfGroups', signal);
      return copies(
        of().machines.values(),
        ({ instanceId, tags }) =>
          groups.includes(tags['aws:autoscaling:groupName'] ?? '') && !of().lacks('readMachinesOfGroups', instanceId),
      );
    },
    async readMachines(ids, signal) {
      await answer('readMachines', signal);
      return copies(
        of().machines.values(),
        ({ instanceId }) => ids.includes(instanceId) && !of().lacks('readMachines', instanceId),
      );
    },
    async readMachine(id, signal) {
      await answer(`readMachine ${id}`, signal);
      return structuredClone(of().machines.get(id));
    },
    async readMachinesNamed(pattern, signal) {
      await answer('readMachinesNamed', signal);
      return copies(of().machines.values(), ({ tags }) => (tags['Name'] ?? '').startsWith(pattern.replace(/\*$/, '')));
    },
    async readTerminationProtection(id, signal) {
      await answer(`readTerminationProtection ${id}`, signal);
      return of().protectedIds.has(id);
    },
    async readRecords(_stack, signal) {
      await answer('readRecords', signal);
      return copies(of().records.values(), ({ instanceId }) => !of().lacks('readRecords', instanceId));
    },
    async readRecord(id, signal) {
      await answer(`readRecord ${id}`, signal);
      return structuredClone(of().records.get(id));
    },
    async readReports(_namespace, ids, now, signal) {
      await answer('readReports', signal);
      return copies(of().reports, ({ instanceId, at }) => ids.includes(instanceId) && now - at < 3 * 3_600_000);
    },
  };
}
