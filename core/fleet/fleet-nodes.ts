/**
 * Reads and actions of the commands about a whole fleet. Only here may one machine act on another
 * machine's instance.
 */

/** A container instance in ECS. */
export interface FleetContainerInstance {
  arn: string;
  /** `i-…`, or the id of an external instance (`mi-…`). */
  instanceId: string;
  /** `ACTIVE`, `DRAINING`, `REGISTERING` or another word of ECS. */
  status: string;
  agentConnected: boolean;
  agentVersion: string;
  runningTasks: number;
  pendingTasks: number;
  /** Milliseconds since 1970. */
  registeredAt: number;
  /**
   * Attributes in which sweeps up to 0.1.0 kept their notes. Every node's role can write them, so
   * nothing follows from their values.
   */
  oldNotes: readonly string[];
  /**
   * Since when the node itself is about to leave, or keeps itself DRAINING: the newest time in its
   * own attributes, 0 if that is not readable. Every node's role can write them. Absent: neither.
   */
  leavesSince?: number;
}

/** An instance in EC2. */
export interface FleetMachine {
  instanceId: string;
  /** `pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`. */
  state: string;
  zone: string;
  type: string;
  /** Time of the last start, milliseconds since 1970. */
  launchedAt: number;
  purchase: 'on-demand' | 'spot';
  tags: Record<string, string>;
}

/** A member of an Auto Scaling group. */
export interface FleetMember {
  instanceId: string;
  group: string;
  /** `InService`, `Terminating:Wait` or another word of Auto Scaling. */
  lifecycleState: string;
  healthy: boolean;
  protectedFromScaleIn: boolean;
}

/** ECS does not say since when a node is in a state. So a sweep notes when it first saw it. */
export const noteKinds = ['missing', 'disconnected', 'draining', 'drained'] as const;

/** `drained`: the sweep itself set the node to DRAINING. The others are what the sweep saw. */
export type NoteKind = (typeof noteKinds)[number];

/** An instance has one note at most. Its Auto Scaling group keeps it as a tag. */
export interface FleetNote {
  instanceId: string;
  group: string;
  kind: NoteKind;
  /** Milliseconds since 1970. */
  since: number;
  /** Time of the last run that saw it so. Absent: that was `since`. */
  seen?: number;
}

export interface FleetGroup {
  name: string;
  members: FleetMember[];
  /** Also of instances that are no longer members. */
  notes: FleetNote[];
}

/** A registration in OpsWorks. */
export interface FleetRecord {
  id: string;
  hostname: string;
  instanceId: string;
  /** `online`, `connection_lost`, `setup_failed` or another word of OpsWorks. */
  status: string;
  layerIds: string[];
  /** Milliseconds since 1970. */
  createdAt: number;
}

/** The fullest disk that a node reported to CloudWatch. */
export interface FleetReport {
  instanceId: string;
  usedPercent: number;
  /** Time of the report, milliseconds since 1970. */
  at: number;
}

/**
 * Every read is complete or throws: Unavailable if AWS gave no complete answer, Refused if it
 * refused. Arguments and results are plain JSON.
 */
export interface FleetNodes extends FleetReads, FleetActions {
  /** AWS's clock minus this machine's, by ECS's last answer; 0 before the first. Milliseconds. */
  clockOffsetMs(): number;
  close(): void;
}

export interface FleetReads {
  /** All that are not INACTIVE. Throws Refused if the cluster does not exist. */
  readContainerInstances(cluster: string, signal: AbortSignal): Promise<FleetContainerInstance[]>;
  /** The container instances of one instance, read right before an action. */
  readContainerInstancesOf(cluster: string, instanceId: string, signal: AbortSignal): Promise<FleetContainerInstance[]>;
  /**
   * The name of another cluster of the account and region in which the instance is registered.
   * Undefined only if all of them were read. Throws Unavailable if there are too many to read.
   */
  readOtherClusterOf(cluster: string, instanceId: string, signal: AbortSignal): Promise<string | undefined>;
  /** ECS's own count of the cluster's container instances, to check the list against. */
  readContainerInstanceCount(cluster: string, signal: AbortSignal): Promise<number>;
  /** Throws Refused if one of the groups does not exist. */
  readGroups(names: readonly string[], signal: AbortSignal): Promise<FleetGroup[]>;
  /** Read right before an action. Undefined if the instance is in no group. */
  readMember(instanceId: string, signal: AbortSignal): Promise<FleetMember | undefined>;
  /** Every instance that the groups launched and that EC2 still lists. */
  readMachinesOfGroups(groups: readonly string[], signal: AbortSignal): Promise<FleetMachine[]>;
  /** An instance that is missing in the answer may exist: EC2's list may be incomplete. */
  readMachines(instanceIds: readonly string[], signal: AbortSignal): Promise<FleetMachine[]>;
  /** Undefined only if EC2 says that this instance does not exist. */
  readMachine(instanceId: string, signal: AbortSignal): Promise<FleetMachine | undefined>;
  /** Instances whose `Name` matches the pattern. `*` stands for any text. */
  readMachinesNamed(pattern: string, signal: AbortSignal): Promise<FleetMachine[]>;
  /** Also false if the instance does not exist. */
  readTerminationProtection(instanceId: string, signal: AbortSignal): Promise<boolean>;
  /**
   * The records of EC2 instances in a stack, by the stack's id or unique name. Throws Refused if
   * the stack is in another region than the fleet.
   */
  readRecords(stack: string, signal: AbortSignal): Promise<FleetRecord[]>;
  /** Read right before an action. Undefined if the record does not exist. */
  readRecord(recordId: string, signal: AbortSignal): Promise<FleetRecord | undefined>;
  /** Reports of the last three hours. */
  readReports(
    namespace: string,
    instanceIds: readonly string[],
    now: number,
    signal: AbortSignal,
  ): Promise<FleetReport[]>;
}

/** Every action is idempotent and changes one thing. */
export interface FleetActions {
  /** Replaces the instance's note. */
  writeNote(note: FleetNote, signal: AbortSignal): Promise<void>;
  removeNote(group: string, instanceId: string, signal: AbortSignal): Promise<void>;
  /** Removes attributes of `oldNotes` from a container instance. */
  removeOldNotes(cluster: string, arn: string, names: readonly string[], signal: AbortSignal): Promise<void>;
  drain(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  activate(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** With `force`: ECS also forgets the tasks that it still counts there. */
  deregisterContainerInstance(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** Removes the tag only while it has this value. */
  untagMachine(instanceId: string, key: string, value: string, signal: AbortSignal): Promise<void>;
  clearTerminationProtection(instanceId: string, signal: AbortSignal): Promise<void>;
  /** Without decrement: hooks run, and the group replaces the instance. */
  terminateInGroup(instanceId: string, signal: AbortSignal): Promise<void>;
  unassignRecord(recordId: string, signal: AbortSignal): Promise<void>;
  deregisterRecord(recordId: string, signal: AbortSignal): Promise<void>;
}
