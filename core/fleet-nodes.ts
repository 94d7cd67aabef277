/**
 * What looking after a fleet's nodes needs to know and to do, in our verbs: the only room in which
 * one may act on another's instance.
 */

/** A container instance as ECS has it. */
export interface FleetContainerInstance {
  arn: string;
  instanceId: string;
  /** `ACTIVE`, `DRAINING`, `REGISTERING` … or one not known yet. */
  status: string;
  agentConnected: boolean;
  agentVersion: string;
  runningTasks: number;
  pendingTasks: number;
  /** Milliseconds since 1970. */
  registeredAt: number;
  /** What earlier sweeps have seen or done: since when, milliseconds since 1970. */
  marks: Partial<Record<Mark, number>>;
}

/**
 * ECS does not say since when something is so: a sweep notes when it first saw it. `drained`: a
 * sweep has drained it itself.
 */
export type Mark = 'disconnected' | 'draining' | 'drained';

/** An instance as EC2 has it. */
export interface FleetMachine {
  instanceId: string;
  /** `pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`. */
  state: string;
  zone: string;
  type: string;
  /** Of its last start, milliseconds since 1970. */
  launchedAt: number;
  purchase: 'on-demand' | 'spot';
  tags: Record<string, string>;
}

/** A member of an Auto Scaling group. */
export interface FleetMember {
  instanceId: string;
  group: string;
  /** `InService`, `Terminating:Wait` … or one not known yet. */
  lifecycleState: string;
  healthy: boolean;
  protectedFromScaleIn: boolean;
}

/** What OpsWorks keeps of an instance that has registered with it. */
export interface FleetRecord {
  id: string;
  hostname: string;
  instanceId: string;
  /** `online`, `connection_lost`, `setup_failed` … or one not known yet. */
  status: string;
  layerIds: string[];
  /** Milliseconds since 1970. */
  createdAt: number;
}

/** The fullest disk that a node has reported of late. */
export interface FleetReport {
  instanceId: string;
  usedPercent: number;
  /** Of the report, milliseconds since 1970. */
  at: number;
}

/**
 * Every read is whole or throws: Unavailable where AWS gave no whole answer, Refused where it said
 * no. Calls are counted in pages; only those that take one id ask for one instance. Arguments and
 * results are plain JSON.
 */
export interface FleetNodes extends FleetReads, FleetActions {
  close(): void;
}

export interface FleetReads {
  /** All that are not INACTIVE. Throws Refused where there is no such cluster. */
  readContainerInstances(cluster: string, signal: AbortSignal): Promise<FleetContainerInstance[]>;
  /** Those of one instance, right before a deed. */
  readContainerInstancesOf(cluster: string, instanceId: string, signal: AbortSignal): Promise<FleetContainerInstance[]>;
  /** Throws Refused where one of the groups does not exist. */
  readMembers(groups: readonly string[], signal: AbortSignal): Promise<FleetMember[]>;
  /** Right before a deed; undefined when it is in no group. */
  readMember(instanceId: string, signal: AbortSignal): Promise<FleetMember | undefined>;
  /** Everything that the groups have launched and EC2 still remembers. */
  readMachinesOfGroups(groups: readonly string[], signal: AbortSignal): Promise<FleetMachine[]>;
  /** One that is missing in the answer is not known to EC2. */
  readMachines(instanceIds: readonly string[], signal: AbortSignal): Promise<FleetMachine[]>;
  /** Those whose Name has this form; `*` stands for anything. */
  readMachinesNamed(pattern: string, signal: AbortSignal): Promise<FleetMachine[]>;
  /** False, too, where the instance is gone. */
  readTerminationProtection(instanceId: string, signal: AbortSignal): Promise<boolean>;
  /**
   * The records of EC2 instances in a stack, by id or unique name, which must be of the fleet's own
   * region.
   */
  readRecords(stack: string, signal: AbortSignal): Promise<FleetRecord[]>;
  /** Right before a deed; undefined when it is gone. */
  readRecord(recordId: string, signal: AbortSignal): Promise<FleetRecord | undefined>;
  /** Of those instances that have reported within the last three hours. */
  readReports(
    namespace: string,
    instanceIds: readonly string[],
    now: number,
    signal: AbortSignal,
  ): Promise<FleetReport[]>;
}

/** Each is idempotent, and acts on one instance. */
export interface FleetActions {
  mark(cluster: string, arn: string, mark: Mark, since: number, signal: AbortSignal): Promise<void>;
  unmark(cluster: string, arn: string, marks: readonly Mark[], signal: AbortSignal): Promise<void>;
  drain(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  activate(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** For an instance that is gone: tasks that ECS still sees on it are given up. */
  deregisterContainerInstance(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  tagMachine(instanceId: string, key: string, value: string, signal: AbortSignal): Promise<void>;
  /** Removes the tag only while it has this value. */
  untagMachine(instanceId: string, key: string, value: string, signal: AbortSignal): Promise<void>;
  clearTerminationProtection(instanceId: string, signal: AbortSignal): Promise<void>;
  /** Without decrement: hooks run, and the group replaces it. */
  terminateInGroup(instanceId: string, signal: AbortSignal): Promise<void>;
  unassignRecord(recordId: string, signal: AbortSignal): Promise<void>;
  deregisterRecord(recordId: string, signal: AbortSignal): Promise<void>;
}
