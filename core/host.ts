/**
 * Every effect of the product, as small interfaces. `host/` implements them. Tests and simulations
 * have their own implementations.
 */

import type { Confirmed } from './confirmed.ts';
import type { NodeEvent } from './events/event-schema.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import type { Clock } from './retry.ts';

/** The effects that a step or a watcher may use. It is always the first parameter. */
export interface Host {
  identity: Identity;
  metadata: Metadata;
  machine: Machine;
  ecsAgent: EcsAgent;
  docker: Docker;
  cloud: Cloud;
  events: Events;
  clock: Clock;
  log: Log;
}

/** Events for the team, to EventBridge. Without the setting `events.bus`, no verb does anything. */
export interface Events {
  /**
   * Queues an event after the deed that it tells of. Returns at once and never throws: no deed
   * waits for an event, or fails with one.
   */
  tell(event: NodeEvent): void;
  /** Sends the events that an earlier process left on disk. */
  resume(): void;
  /**
   * Tries every waiting event now, and waits for that for at most `withinMs`. Never throws. Events
   * that are not sent stay on disk.
   */
  close(withinMs: number): Promise<void>;
}

// ---------------------------------------------------------------- the instance metadata service

/**
 * IMDSv2, never v1. Every verb throws `Unavailable` without a sensible answer. A fact that is
 * normally absent is `undefined`.
 */
export interface Metadata {
  readIdentity(signal: AbortSignal): Promise<Identity>;
  /**
   * Instance tags whose key begins with `prefix`, or all of them. Undefined when
   * InstanceMetadataTags is disabled.
   */
  readTags(signal: AbortSignal, prefix?: string): Promise<Record<string, string> | undefined>;
  /** One instance tag. It does not list the others. */
  readTag(key: string, signal: AbortSignal): Promise<string | undefined>;
  readUserData(signal: AbortSignal): Promise<Uint8Array | undefined>;
  readSpotNotice(signal: AbortSignal): Promise<SpotNotice | undefined>;
  /** The time of the rebalance recommendation, as AWS wrote it. */
  readRebalanceNotice(signal: AbortSignal): Promise<string | undefined>;
  readMaintenance(signal: AbortSignal): Promise<MaintenanceEvent[]>;
  /**
   * Auto Scaling's target state (`InService`, `Terminated`, `Warmed:Stopped` …). It may be ahead of
   * the group's own state.
   */
  readTargetState(signal: AbortSignal): Promise<string | undefined>;
  /** The service's wall clock, milliseconds since 1970. Undefined when its answer has no date. */
  readTime(signal: AbortSignal): Promise<number | undefined>;
}

export interface SpotNotice {
  action: 'terminate' | 'stop' | 'hibernate';
  /** Milliseconds since 1970. Absent when the time is missing or malformed. */
  at?: number;
}

export interface MaintenanceEvent {
  id: string;
  /**
   * `instance-reboot`, `system-reboot`, `system-maintenance`, `instance-retirement`,
   * `instance-stop`, or a code that is not known yet.
   */
  code: string;
  /** `unknown`: malformed, or in a state that is not known yet. It is only reported. */
  state: 'active' | 'completed' | 'canceled' | 'unknown';
  /** Milliseconds since 1970. Absent when AWS gave no time. */
  notBefore?: number;
  notAfter?: number;
  description: string;
}

// ---------------------------------------------------------------- the machine

/** Files, processes and hardware of this machine. Paths are absolute and lie below `--root`. */
export interface Machine {
  /**
   * Undefined when the file does not exist. Throws ConfigError when it cannot be read or is not
   * UTF-8.
   */
  readText(path: string): Promise<string | undefined>;
  /**
   * Compares, then writes atomically and durably (temporary file, fsync, rename, fsync of the
   * folder). Makes missing folders.
   */
  writeText(path: string, text: string, mode?: number): Promise<'changed' | 'unchanged'>;
  /**
   * As `writeText`, for programs of any user to read. Throws Refused where another user than root
   * could change the folder, and so make this program write somewhere else, and Unavailable as
   * `mustAnswer` does.
   */
  writeShared(path: string, text: string): Promise<'changed' | 'unchanged'>;
  /** True when there was something to remove. */
  remove(path: string): Promise<boolean>;
  /**
   * As `remove`, in a folder that containers may write to. Renames a folder to
   * `.NAME.RANDOM.damaged` there: while its content is removed, a container could put links in its
   * place.
   */
  removeShared(path: string): Promise<boolean>;
  /** Renames whatever is there to `PATH.damaged`. True when there was something. */
  setAside(path: string): Promise<boolean>;
  /** Names in a folder, sorted. Empty when the folder does not exist. */
  list(path: string): Promise<string[]>;
  /**
   * Throws Unavailable when the path leads onto a network or FUSE file system that does not answer
   * within 5 s. Ask before a path of the operator is touched: a call that hangs in the kernel stops
   * this process.
   */
  mustAnswer(path: string): Promise<void>;
  /**
   * Measures the file systems at these paths. A failure of one does not hide the others. Never
   * throws, and takes at most 20 s.
   */
  measureDisks(paths: readonly string[]): Promise<DiskMeasurement>;
  measureMemory(): Promise<MemoryUse>;
  /** Changes at each boot. */
  readBootId(): Promise<string>;
  /**
   * A process of this machine, by default this one. Undefined when it does not run (any more);
   * always the machine's own processes, also below another root.
   */
  readProcess(pid?: number): Promise<ProcessIdentity | undefined>;
  /**
   * Runs a program (absolute path) without a shell. It has only the variables of `environment`.
   * Kills its process group when the signal aborts.
   */
  run(command: ProcessCommand, signal: AbortSignal): Promise<Exit>;
  /**
   * Downloads a .tgz and unpacks it into a new private folder. Refuses entries that would lie
   * outside of it. The caller removes the folder with `remove`.
   */
  unpack(url: string, signal: AbortSignal): Promise<string>;
  /** The status code of a GET. Throws `Unavailable` when there is no answer. */
  probe(url: string, signal: AbortSignal): Promise<number>;
  /** Tells systemd to restart a unit, without waiting for it. Starts a unit that is stopped. */
  restartUnit(unit: string, signal: AbortSignal): Promise<void>;
  /** Tells systemd to stop a unit, without waiting for it. */
  stopUnit(unit: string, signal: AbortSignal): Promise<void>;
  /** `active`, `activating`, `failed`, `inactive` … as systemd calls it. */
  readUnitState(unit: string, signal: AbortSignal): Promise<string>;
  powerOff(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /** Writes one line to the machine's console. Never throws. */
  say(line: string): Promise<void>;
  /** sd_notify, with one assignment each. Does nothing outside systemd. Never throws. */
  notify(assignments: readonly string[]): Promise<void>;
}

/** Both together name one process of a boot: the kernel uses a pid again. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in clock ticks since the boot. */
  startTicks: string;
}

export interface DiskMeasurement {
  uses: DiskUse[];
  /**
   * Paths whose file system did not answer (a hung network file system, a stale handle), with the
   * reason.
   */
  unmeasured: { path: string; reason: string }[];
}

export interface DiskUse {
  path: string;
  /** Device and mount point, as `df` names them. */
  filesystem: string;
  mountPath: string;
  totalBytes: number;
  /** The column "Used" of `df`. */
  usedBytes: number;
  /**
   * The column "Available" of `df`: free for unprivileged programs, without the blocks that are
   * reserved for root.
   */
  freeBytes: number;
  /** 0 where the file system has no fixed number of inodes (btrfs). */
  totalInodes: number;
  freeInodes: number;
}

export interface MemoryUse {
  totalBytes: number;
  availableBytes: number;
  swapTotalBytes: number;
  swapFreeBytes: number;
}

export interface ProcessCommand {
  file: string;
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
  /** It downloads something, so it also gets the variables of the proxy and of the certificates. */
  downloads?: true;
  folder?: string;
  /** For the files that it makes: 0o007 for the OpsWorks installer. */
  umask?: number;
  /** Refuses to run a program that a user other than root can change or replace. */
  rootOwned?: true;
}

export interface Exit {
  /** The exit code, or 128 + the number of the signal. */
  code: number;
  /**
   * The last 4 kB of standard output and standard error together, without text that looks like a
   * secret.
   */
  tail: string;
}

// ---------------------------------------------------------------- the ECS agent on this machine

/** The agent's introspection API. Undefined when nothing listens: the agent is not registered. */
export interface EcsAgent {
  readAgent(signal: AbortSignal): Promise<LocalAgent | undefined>;
  /** The tasks that the agent knows, including stopped ones. */
  readTasks(signal: AbortSignal): Promise<LocalTask[] | undefined>;
}

export interface LocalAgent {
  cluster: string;
  /** Absent until registration. */
  containerInstanceArn?: string;
  version: string;
}

export interface LocalTask {
  /** Empty when the agent does not name the task. Its containers run nevertheless. */
  arn: string;
  family: string;
  version: string;
  desiredStatus: string;
  knownStatus: string;
  /** Absent when the agent does not report them. */
  containers?: readonly LocalContainer[];
}

export interface LocalContainer {
  name: string;
  /** Docker's id, 64 characters. Empty until Docker has made the container. */
  dockerId: string;
  /** Host ports. Empty until every port of the container is bound. */
  ports: readonly PortBinding[];
  /**
   * The task's own address, in awsvpc mode. When absent, the ports are bound at the node's address.
   */
  address?: string;
}

export interface PortBinding {
  protocol: string;
  containerPort: number;
  hostPort: number;
  /** The host address that the port is bound to, if the agent reports it. */
  hostIp?: string;
}

// ---------------------------------------------------------------- Docker on this machine

/**
 * Docker's Engine API. Every verb throws `Unavailable` when Docker does not answer in time, and
 * `Refused` when Docker refuses.
 */
export interface Docker {
  /** Docker's own health check. It changes nothing. */
  ping(signal: AbortSignal): Promise<void>;
  readStore(signal: AbortSignal): Promise<DockerStore>;
  /** Without the intermediate layers of builds. */
  readImages(signal: AbortSignal): Promise<DockerImage[]>;
  /** Running and stopped containers. */
  readContainers(signal: AbortSignal): Promise<DockerContainer[]>;
  /**
   * `reference` is an id or a name. If the image has other names, Docker removes only this name.
   * Never forced: Docker keeps an image that a running or stopped container uses.
   */
  removeImage(reference: string, signal: AbortSignal): Promise<'removed' | 'in use' | 'absent'>;
}

/** The folders in which Docker keeps its data. */
export interface DockerStore {
  /** Containers, their logs and volumes. Also images, unless containerd keeps them. */
  root: string;
  /** containerd keeps the images below its own root (the default of Docker 29). */
  imagesInContainerd: boolean;
  /** containerd's socket, if Docker reports it. */
  containerdSocket?: string;
}

export interface DockerImage {
  /** `sha256:…` */
  id: string;
  /** `app:1`, `registry.example.com/app:1`. Empty for an image that has lost its names. */
  names: readonly string[];
  /** `app@sha256:…`: the name in a registry. */
  digests: readonly string[];
  /**
   * Time of the build, milliseconds since 1970. If the build has no sensible time, the time of the
   * pull.
   */
  createdAt: number;
}

export interface DockerContainer {
  name: string;
  imageId: string;
  /** `running`, `exited`, `created`, or a state that is not known yet. */
  state: string;
  /** The task of the container, as the ECS agent labels it. Absent on every other container. */
  taskArn?: string;
}

// ---------------------------------------------------------------- AWS, for this instance only

/**
 * AWS, opened for one identity. No verb takes an instance id, so none can harm another node. Every
 * verb throws only `Unavailable` (throttled, slow, absent: may recover) or `Refused` (AWS would
 * refuse it again). Arguments and results are plain JSON, so that a short-lived child process can
 * make the calls of a resident one.
 */
export interface Cloud
  extends
    InstanceCloud,
    GroupCloud,
    ClusterCloud,
    BalancerCloud,
    OpsWorksCloud,
    SystemsManagerCloud,
    MetricsCloud,
    EventsCloud,
    ConfigurationCloud {
  /** Closes connections and child processes. */
  close(): Promise<void>;
}

export interface InstanceCloud {
  /** Sets these tags on the instance. Idempotent. */
  tagSelf(tags: Record<string, string>, signal: AbortSignal): Promise<void>;
  readOwnTags(signal: AbortSignal): Promise<Record<string, string>>;
  readTerminationProtection(signal: AbortSignal): Promise<boolean>;
  clearTerminationProtection(signal: AbortSignal): Promise<void>;
  /**
   * EC2 TerminateInstances runs no hooks first. Use `terminateInGroup` if the instance is in a
   * group.
   */
  terminateSelf(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /**
   * EC2's status of this instance's spot request (`fulfilled`, `marked-for-termination` …).
   * Undefined without a spot request.
   */
  readSpotStatus(signal: AbortSignal): Promise<string | undefined>;
  /** Events that EC2's API has scheduled for this instance. Finished events are left out. */
  readScheduledEvents(signal: AbortSignal): Promise<ScheduledEvent[]>;
  /** Returns those of these EC2 instances (at most 100) that are pending or running. Read-only. */
  readRunning(instanceIds: readonly string[], signal: AbortSignal): Promise<string[]>;
}

export interface ScheduledEvent {
  id: string;
  code: string;
  /** The time until its `NotBefore` by EC2's own clock. Absent when EC2 gave no time. */
  startsInMs?: number;
}

export interface GroupCloud {
  /** Undefined when the instance is in no Auto Scaling group. */
  readMembership(signal: AbortSignal): Promise<Membership | undefined>;
  readHooks(group: string, signal: AbortSignal): Promise<LifecycleHook[]>;
  /** Extends the hook's time. False: the hook has no active action for this instance. */
  heartbeat(group: string, hook: string, signal: AbortSignal): Promise<boolean>;
  /** False: the hook has no active action for this instance (not yet, or no longer). */
  completeHook(group: string, hook: string, result: 'CONTINUE' | 'ABANDON', signal: AbortSignal): Promise<boolean>;
  /**
   * TerminateInstanceInAutoScalingGroup without decrement: hooks run, and the group replaces the
   * node.
   */
  terminateInGroup(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /** SetInstanceHealth Unhealthy, without the grace period. The group replaces the node later. */
  reportUnhealthy(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /**
   * Launches and terminations in the group that began at or after `since` (milliseconds since
   * 1970). In a large group, the newest two thousand.
   */
  readActivities(group: string, since: number, signal: AbortSignal): Promise<ScalingActivity[]>;
}

export interface Membership {
  group: string;
  /**
   * `Pending:Wait`, `InService`, `Terminating:Wait`, `Warmed:…`, or a state that is not known yet.
   */
  lifecycleState: string;
  protectedFromScaleIn: boolean;
}

export interface LifecycleHook {
  name: string;
  transition: 'launch' | 'terminate';
  heartbeatSeconds: number;
  globalSeconds: number;
  defaultResult: 'CONTINUE' | 'ABANDON';
}

export interface ScalingActivity {
  kind: 'launch' | 'terminate';
  instanceId: string;
  /** Milliseconds since 1970. */
  at: number;
  /** False for launches that were abandoned or failed. */
  succeeded: boolean;
}

export interface ClusterCloud {
  /**
   * This instance's record: the connected one, else the newest. Undefined when ECS says that it has
   * none. `hint` is the ARN from the ECS agent. It saves a call, and never selects another
   * instance's record.
   */
  readContainerInstance(
    cluster: string,
    hint: string | undefined,
    signal: AbortSignal,
  ): Promise<ContainerInstance | undefined>;
  /** True when ECS says that this record belongs to this instance. */
  ownsContainerInstance(cluster: string, arn: string, signal: AbortSignal): Promise<boolean>;
  /**
   * The EC2 instances of these records (at most 100). Records that ECS does not know are left out.
   * Without the permission to list records, none counts as replaced.
   */
  readRecords(cluster: string, arns: readonly string[], signal: AbortSignal): Promise<RecordSummary[]>;
  /**
   * DRAINING: ECS places no more tasks here, and moves service tasks away. Idempotent. Every verb
   * with an ARN throws Refused unless ECS says that the record or task belongs to this instance.
   */
  drain(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** Sets the record to ACTIVE again. Idempotent. */
  activate(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** Tasks on this container instance that are not STOPPED. */
  readTasks(cluster: string, arn: string, signal: AbortSignal): Promise<CloudTask[]>;
  stopTask(cluster: string, taskArn: string, reason: string, signal: AbortSignal): Promise<void>;
  /**
   * The longest time that a container of the task definition may take to stop, in milliseconds.
   * `defaultMs` stands for containers without their own value.
   */
  readStopTimeout(definition: string, defaultMs: number, signal: AbortSignal): Promise<number>;
  /** Those of these tasks (at most 100) that ECS protects from scale-in. */
  readProtectedTasks(cluster: string, arns: readonly string[], signal: AbortSignal): Promise<string[]>;
  /**
   * The reason for which a task has STOPPED. Undefined when it has not stopped, or when ECS does
   * not know it.
   */
  readStopReason(cluster: string, taskArn: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * ARN of an ACTIVE revision, by ARN, FAMILY:REVISION or FAMILY (the newest one). Undefined when
   * none exists.
   */
  readTaskDefinition(name: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Starts one task here without ECS's scheduler, and returns its ARN. Not idempotent, and ECS has
   * no token for it: after Unavailable the task may run. Refused with ECS's reason
   * (`RESOURCE:MEMORY` …) when the node lacks room.
   */
  startTask(cluster: string, arn: string, definition: string, startedBy: string, signal: AbortSignal): Promise<string>;
  /**
   * Name of the cluster's capacity provider whose Auto Scaling group this is. Undefined when the
   * cluster has none.
   */
  readCapacityProvider(cluster: string, group: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Removes this record of the instance. Without force: ECS refuses it while tasks run. A record
   * that is gone already is no error.
   */
  deregisterContainerInstance(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  readClusterHealth(cluster: string, signal: AbortSignal): Promise<ClusterHealth>;
  /** Names of services whose running count is below the desired one. */
  readUnsteadyServices(cluster: string, signal: AbortSignal): Promise<string[]>;
  /** Adds this node to the cluster's leave queue for `reason`. Keeps an earlier entry. */
  queueToLeave(cluster: string, arn: string, reason: string, since: number, signal: AbortSignal): Promise<void>;
  /** The entries of that leave queue, the earliest first. */
  readLeaveQueue(cluster: string, reason: string, signal: AbortSignal): Promise<{ arn: string; since: number }[]>;
  unqueue(cluster: string, arn: string, reason: string, signal: AbortSignal): Promise<void>;
}

export interface ContainerInstance {
  arn: string;
  /** `ACTIVE`, `DRAINING`, `REGISTERING`, or a status that is not known yet. */
  status: string;
  agentConnected: boolean;
  /**
   * The ECS agent's last report about Docker: `OK`, `IMPAIRED`, `INITIALIZING`,
   * `INSUFFICIENT_DATA`, or one that is not known yet. Absent when ECS does not report it.
   */
  runtimeHealth?: string;
  runningTasks: number;
  pendingTasks: number;
  /** Absent when ECS registered the node outside any capacity provider. */
  capacityProvider?: string;
  /** The reasons for which this node is in the cluster's leave queue. */
  queuedFor: readonly string[];
  /** Milliseconds since 1970. */
  registeredAt: number;
  /** ARNs of further records of this instance. Empty when the call did not look for them. */
  others: readonly string[];
}

export interface RecordSummary {
  arn: string;
  ec2InstanceId: string;
  agentConnected: boolean;
  /** The same EC2 instance has another record, which is connected. */
  replaced: boolean;
}

export interface CloudTask {
  arn: string;
  /** ARN of the container instance that ECS says it runs on. */
  containerInstanceArn: string;
  /** `service:NAME`, `family:NAME` …: the group that ECS puts the task in. */
  group: string;
  lastStatus: string;
  desiredStatus: string;
  /** ARN of its task definition, with the revision. */
  definition: string;
  /** A text from the program that started the task. A service writes the id of its deployment. */
  startedBy?: string;
  /** Milliseconds since 1970. */
  createdAt?: number;
}

export interface ClusterHealth {
  /** Registered container instances, ACTIVE and DRAINING. */
  registered: number;
  draining: number;
  disconnected: number;
  /** ARNs of at most 1000 disconnected ones. */
  disconnectedArns: readonly string[];
}

export interface BalancerCloud {
  /** Idempotent: an absent target is no error. */
  deregisterTarget(targetGroupArn: string, signal: AbortSignal): Promise<void>;
  /** True while connections still drain. */
  isTargetDraining(targetGroupArn: string, signal: AbortSignal): Promise<boolean>;
  deregisterFromLoadBalancer(name: string, signal: AbortSignal): Promise<void>;
  isLoadBalancerDraining(name: string, signal: AbortSignal): Promise<boolean>;
}

export interface OpsWorksCloud {
  /**
   * By id or by unique name. Undefined when it does not exist. Refused when a name is not unique.
   */
  readStack(idOrName: string, signal: AbortSignal): Promise<Stack | undefined>;
  /** By id or short name. With an id, the layer may be of any stack: compare `stackId`. */
  readLayer(stackId: string, idOrShortName: string, signal: AbortSignal): Promise<Layer | undefined>;
  readProvisioning(stackId: string, signal: AbortSignal): Promise<Provisioning>;
  suggestHostname(layerId: string, signal: AbortSignal): Promise<string>;
  /** Lists the whole stack, so its cost grows with the stack. Call it at most once per node. */
  findRegistration(stackId: string, signal: AbortSignal): Promise<Registration | undefined>;
  /** One record by its own id. */
  readRegistration(registrationId: string, signal: AbortSignal): Promise<Registration | undefined>;
  assign(registrationId: string, layerId: string, signal: AbortSignal): Promise<void>;
  unassign(registrationId: string, signal: AbortSignal): Promise<void>;
  deregister(registrationId: string, signal: AbortSignal): Promise<void>;
}

export interface Stack {
  id: string;
  name: string;
  region: string;
}

export interface Layer {
  id: string;
  stackId: string;
  shortName: string;
}

export interface Provisioning {
  installerUrl: string;
  parameters: Record<string, string>;
}

/** OpsWorks's record of this instance. */
export interface Registration {
  id: string;
  hostname: string;
  /**
   * `registering`, `registered`, `running_setup`, `online`, `setup_failed`, or a status that is not
   * known yet.
   */
  status: string;
  layerIds: string[];
  /** Older records of the same instance that a listing of the stack shows. */
  older?: readonly string[];
}

export interface SystemsManagerCloud {
  /** `Online`, `ConnectionLost` …. Undefined while Systems Manager does not know the instance. */
  readPing(signal: AbortSignal): Promise<string | undefined>;
}

/** Documents of the configuration that many nodes share. */
export interface ConfigurationCloud {
  /**
   * The documents directly below `ssm:/PATH` or `s3://BUCKET/PREFIX`, by name. For a version in
   * `known` (name → version), no text is fetched. Refused also when there is more text than a
   * configuration can have.
   */
  readDocuments(
    source: string,
    known: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<RemoteDocument[]>;
}

export interface RemoteDocument {
  /** Last part of the parameter's name, or of the object's key. */
  name: string;
  /** Changes whenever the text does. */
  version: string;
  /** Absent when this version is known. */
  text?: string;
}

export interface MetricsCloud {
  /** One PutMetricData call. */
  publish(namespace: string, metrics: readonly Metric[], signal: AbortSignal): Promise<void>;
}

export interface EventsCloud {
  /** One PutEvents call with one event. `bus`: the name or the ARN of an event bus. */
  putEvent(bus: string, event: BusEvent, signal: AbortSignal): Promise<void>;
}

export interface BusEvent {
  /** EventBridge's detail-type. */
  type: string;
  /** Milliseconds since 1970. */
  at: number;
  detail: Readonly<Record<string, unknown>>;
}

export interface Metric {
  name: string;
  value: number;
  unit: 'Percent' | 'Gigabytes' | 'Megabytes' | 'Count' | 'Seconds' | 'None';
  dimensions: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  at: number;
}
