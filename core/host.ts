/**
 * Every effect there is, as small interfaces in our verbs. `host/` implements them; tests and
 * simulations bring their own.
 */

import type { Confirmed } from './confirmed.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import type { Clock } from './retry.ts';

/** What steps and watchers are given: first parameter, always. */
export interface Host {
  identity: Identity;
  metadata: Metadata;
  machine: Machine;
  ecsAgent: EcsAgent;
  docker: Docker;
  cloud: Cloud;
  clock: Clock;
  log: Log;
}

// ---------------------------------------------------------------- the instance metadata service

/**
 * IMDSv2, never v1. Every verb throws `Unavailable` when it does not answer sensibly; expected
 * absence is `undefined`.
 */
export interface Metadata {
  readIdentity(signal: AbortSignal): Promise<Identity>;
  /**
   * Instance tags whose key begins with `prefix`, by default all; undefined where
   * InstanceMetadataTags is not enabled.
   */
  readTags(signal: AbortSignal, prefix?: string): Promise<Record<string, string> | undefined>;
  /** One instance tag, without listing all. */
  readTag(key: string, signal: AbortSignal): Promise<string | undefined>;
  readUserData(signal: AbortSignal): Promise<Uint8Array | undefined>;
  readSpotNotice(signal: AbortSignal): Promise<SpotNotice | undefined>;
  /** When the rebalance recommendation was given, as AWS wrote it. */
  readRebalanceNotice(signal: AbortSignal): Promise<string | undefined>;
  readMaintenance(signal: AbortSignal): Promise<MaintenanceEvent[]>;
  /**
   * Auto Scaling's target state (`InService`, `Terminated`, `Warmed:Stopped` …), which may run
   * ahead of the group's own state.
   */
  readTargetState(signal: AbortSignal): Promise<string | undefined>;
  /** The service's own wall clock, milliseconds since 1970; undefined where it does not tell. */
  readTime(signal: AbortSignal): Promise<number | undefined>;
}

export interface SpotNotice {
  action: 'terminate' | 'stop' | 'hibernate';
  /** Milliseconds since 1970. */
  at: number;
}

export interface MaintenanceEvent {
  id: string;
  /**
   * `instance-reboot`, `system-reboot`, `system-maintenance`, `instance-retirement`,
   * `instance-stop`, or one not known yet.
   */
  code: string;
  state: 'active' | 'completed' | 'canceled';
  /** Milliseconds since 1970; absent where AWS gave none. */
  notBefore?: number;
  notAfter?: number;
  description: string;
}

// ---------------------------------------------------------------- the machine

/** Files, processes and hardware of this machine. Paths are absolute and lie below `--root`. */
export interface Machine {
  /**
   * Undefined when there is no such file. Throws ConfigError when it cannot be read or is not
   * UTF-8.
   */
  readText(path: string): Promise<string | undefined>;
  /**
   * Compares, then writes atomically and durably (temporary file, fsync, rename, fsync of the
   * folder). Makes missing folders.
   */
  writeText(path: string, text: string, mode?: number): Promise<'changed' | 'unchanged'>;
  /** True when there was something to remove. */
  remove(path: string): Promise<boolean>;
  /** Names in a folder, sorted; empty when there is no such folder. */
  list(path: string): Promise<string[]>;
  /**
   * How full the file systems at these paths are. One that cannot be measured does not hide the
   * others. Never throws; takes 20 s at most.
   */
  measureDisks(paths: readonly string[]): Promise<DiskMeasurement>;
  measureMemory(): Promise<MemoryUse>;
  /** Changes at each boot. */
  readBootId(): Promise<string>;
  /**
   * Runs a program (absolute path) without a shell, with nothing but `environment`; kills its
   * process group when the signal aborts.
   */
  run(command: ProcessCommand, signal: AbortSignal): Promise<Exit>;
  /**
   * Downloads a .tgz and unpacks it into a new private folder, refusing entries that climb out of
   * it. The caller removes it with `remove`.
   */
  unpack(url: string, signal: AbortSignal): Promise<string>;
  /** GET; the status code. Throws `Unavailable` when nobody answers. */
  probe(url: string, signal: AbortSignal): Promise<number>;
  /** Asks systemd to restart a unit without waiting for it. */
  restartUnit(unit: string, signal: AbortSignal): Promise<void>;
  /** `active`, `activating`, `failed`, `inactive` … as systemd calls it. */
  readUnitState(unit: string, signal: AbortSignal): Promise<string>;
  powerOff(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /** One line for whoever looks at the machine's console. Never throws. */
  say(line: string): Promise<void>;
  /** sd_notify; does nothing outside systemd. Never throws. */
  notify(state: string): Promise<void>;
}

export interface DiskMeasurement {
  uses: DiskUse[];
  /**
   * Paths whose file system gave no answer (a hung network file system, a stale handle), and why.
   */
  unmeasured: { path: string; reason: string }[];
}

export interface DiskUse {
  path: string;
  /** Device and mount point, as `df` names them. */
  filesystem: string;
  mountPath: string;
  totalBytes: number;
  /** As `df` says under Used. */
  usedBytes: number;
  /**
   * Free for unprivileged programs, as `df` says under Available: without the blocks that are
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
  /** Given the variables of the proxy and of the certificates, too: it downloads something. */
  downloads?: true;
  folder?: string;
  /** For what it makes: 0o007 for the OpsWorks installer. */
  umask?: number;
  /** Refused where anybody but root can change the program, or put another in its place. */
  rootOwned?: true;
}

export interface Exit {
  /** The exit code, or 128 + the signal's number. */
  code: number;
  /**
   * The last 4 kB of standard output and standard error together, without what looks like a secret.
   */
  tail: string;
}

// ---------------------------------------------------------------- the ECS agent on this machine

/** The agent's introspection API. Nobody listening means "not registered": undefined. */
export interface EcsAgent {
  readAgent(signal: AbortSignal): Promise<LocalAgent | undefined>;
  /** Tasks as the agent sees them, stopped ones included. */
  readTasks(signal: AbortSignal): Promise<LocalTask[] | undefined>;
}

export interface LocalAgent {
  cluster: string;
  /** Absent until registration. */
  containerInstanceArn?: string;
  version: string;
}

export interface LocalTask {
  arn: string;
  family: string;
  version: string;
  desiredStatus: string;
  knownStatus: string;
  /** Absent where nobody tells. */
  containers?: readonly LocalContainer[];
}

export interface LocalContainer {
  name: string;
  /** Docker's, 64 characters; empty until Docker has made the container. */
  dockerId: string;
  /** Host ports. Empty until every port of the container is bound. */
  ports: readonly PortBinding[];
  /** The task's own address, in awsvpc mode. Absent: the ports are bound at the node's address. */
  address?: string;
}

export interface PortBinding {
  protocol: string;
  containerPort: number;
  hostPort: number;
  /** The address on the host that it is bound to, where the agent says so. */
  hostIp?: string;
}

// ---------------------------------------------------------------- Docker on this machine

/**
 * Docker's Engine API. Every verb throws `Unavailable` when Docker does not answer in time,
 * `Refused` when it says no.
 */
export interface Docker {
  /** Docker's own health question. It changes nothing. */
  ping(signal: AbortSignal): Promise<void>;
  readStore(signal: AbortSignal): Promise<DockerStore>;
  /** Without the intermediate layers of builds. */
  readImages(signal: AbortSignal): Promise<DockerImage[]>;
  /** Running and stopped ones. */
  readContainers(signal: AbortSignal): Promise<DockerContainer[]>;
  /**
   * `reference` is an id or a name. A name that is not the image's last one is only taken away.
   * Never forced: Docker keeps an image that a container uses, running or stopped.
   */
  removeImage(reference: string, signal: AbortSignal): Promise<'removed' | 'in use' | 'absent'>;
}

/** Where Docker keeps its data. */
export interface DockerStore {
  /** Containers, their logs, volumes; images too, unless containerd keeps them. */
  root: string;
  /** containerd keeps the images (Docker 29's default), below its own root. */
  imagesInContainerd: boolean;
  /** containerd's socket, where Docker tells it. */
  containerdSocket?: string;
}

export interface DockerImage {
  /** `sha256:…` */
  id: string;
  /** `app:1`, `registry.example.com/app:1`; empty for an image that has lost its names. */
  names: readonly string[];
  /** `app@sha256:…`: as a registry knows it. */
  digests: readonly string[];
  /**
   * When it was built, or when it came to this node where the build says nothing sensible.
   * Milliseconds since 1970.
   */
  createdAt: number;
}

export interface DockerContainer {
  name: string;
  imageId: string;
  /** `running`, `exited`, `created` … or one not known yet. */
  state: string;
}

// ---------------------------------------------------------------- AWS, for this instance only

/**
 * AWS in our verbs, opened for one identity: no verb takes an instance id, so none can harm another
 * node. Every verb throws `Unavailable` (throttled, slow, absent: may heal) or `Refused` (would be
 * refused again), nothing else. Arguments and results are plain JSON, so that a short-lived child
 * process can speak for a resident one.
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
    ConfigurationCloud {
  /** Lets go of connections and helpers. */
  close(): Promise<void>;
}

export interface InstanceCloud {
  /** Sets these tags on the instance. Idempotent. */
  tagSelf(tags: Record<string, string>, signal: AbortSignal): Promise<void>;
  readOwnTags(signal: AbortSignal): Promise<Record<string, string>>;
  readTerminationProtection(signal: AbortSignal): Promise<boolean>;
  clearTerminationProtection(signal: AbortSignal): Promise<void>;
  /** EC2 TerminateInstances: runs no hooks first. Use `terminateInGroup` where there is a group. */
  terminateSelf(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /**
   * EC2's word about this instance's spot request (`fulfilled`, `marked-for-termination` …);
   * undefined where it has none.
   */
  readSpotStatus(signal: AbortSignal): Promise<string | undefined>;
  /**
   * Events that EC2's API says are scheduled for this instance; those that are over are left out.
   */
  readScheduledEvents(signal: AbortSignal): Promise<ScheduledEvent[]>;
  /** Those of these EC2 instances (at most 100) that are pending or running; reads only. */
  readRunning(instanceIds: readonly string[], signal: AbortSignal): Promise<string[]>;
}

export interface ScheduledEvent {
  id: string;
  code: string;
}

export interface GroupCloud {
  /** Undefined when the instance is in no Auto Scaling group. */
  readMembership(signal: AbortSignal): Promise<Membership | undefined>;
  readHooks(group: string, signal: AbortSignal): Promise<LifecycleHook[]>;
  /** Extends the hook's time. False: there is no active action for it. */
  heartbeat(group: string, hook: string, signal: AbortSignal): Promise<boolean>;
  /** False: there is no active action for it (not yet, or no more). */
  completeHook(group: string, hook: string, result: 'CONTINUE' | 'ABANDON', signal: AbortSignal): Promise<boolean>;
  /**
   * TerminateInstanceInAutoScalingGroup without decrement: hooks run and the group replaces the
   * node.
   */
  terminateInGroup(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /**
   * SetInstanceHealth Unhealthy, grace period ignored: the group replaces the node in its own time.
   */
  reportUnhealthy(confirmed: Confirmed, signal: AbortSignal): Promise<void>;
  /**
   * Launches and terminations in the group that began at or after `since` (milliseconds since
   * 1970); of a large group the newest two thousand.
   */
  readActivities(group: string, since: number, signal: AbortSignal): Promise<ScalingActivity[]>;
}

export interface Membership {
  group: string;
  /** `Pending:Wait`, `InService`, `Terminating:Wait`, `Warmed:…` or one not known yet. */
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
   * This instance's record: the connected one, else the one that registered last. Undefined when
   * ECS says that it has none. `hint` is what the ECS agent says; it spares a call, and leads to no
   * other instance's record.
   */
  readContainerInstance(
    cluster: string,
    hint: string | undefined,
    signal: AbortSignal,
  ): Promise<ContainerInstance | undefined>;
  /** Whether ECS says that this record is of this instance. */
  ownsContainerInstance(cluster: string, arn: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Which EC2 instances stand behind these records (at most 100); those that ECS does not have are
   * left out.
   */
  readRecords(cluster: string, arns: readonly string[], signal: AbortSignal): Promise<RecordSummary[]>;
  /**
   * DRAINING: ECS places nothing more here and moves service tasks away. Idempotent. This verb and
   * all others that take an ARN are Refused for a record, or a task, that ECS does not say to be
   * this instance's.
   */
  drain(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** ACTIVE again. Idempotent. */
  activate(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
  /** Tasks on this container instance that are not STOPPED. */
  readTasks(cluster: string, arn: string, signal: AbortSignal): Promise<CloudTask[]>;
  stopTask(cluster: string, taskArn: string, reason: string, signal: AbortSignal): Promise<void>;
  /**
   * How long the containers of a task definition may take to stop, in milliseconds; `defaultMs` for
   * those that do not say.
   */
  readStopTimeout(definition: string, defaultMs: number, signal: AbortSignal): Promise<number>;
  /** Those of these tasks (at most 100) that ECS protects from scale-in. */
  readProtectedTasks(cluster: string, arns: readonly string[], signal: AbortSignal): Promise<string[]>;
  /** Why a task has STOPPED; undefined when it has not, or ECS does not know it (any more). */
  readStopReason(cluster: string, taskArn: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * ARN of an ACTIVE revision, by ARN, FAMILY:REVISION or FAMILY (the newest one); undefined when
   * there is none such.
   */
  readTaskDefinition(name: string, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Starts one task here, past ECS's scheduler, and gives its ARN. Not idempotent, and ECS has no
   * token for it: after Unavailable it may have been started all the same. Refused with ECS's
   * reason (`RESOURCE:MEMORY` …) when there is no room for it.
   */
  startTask(cluster: string, arn: string, definition: string, startedBy: string, signal: AbortSignal): Promise<string>;
  readClusterHealth(cluster: string, signal: AbortSignal): Promise<ClusterHealth>;
  /** Names of services whose running count is below the desired one. */
  readUnsteadyServices(cluster: string, signal: AbortSignal): Promise<string[]>;
  /**
   * Puts this node into the cluster's queue of nodes that want to leave for `reason`. Keeps an
   * earlier place.
   */
  queueToLeave(cluster: string, arn: string, reason: string, since: number, signal: AbortSignal): Promise<void>;
  /** Everybody in that queue, first come first. */
  readLeaveQueue(cluster: string, reason: string, signal: AbortSignal): Promise<{ arn: string; since: number }[]>;
  unqueue(cluster: string, arn: string, reason: string, signal: AbortSignal): Promise<void>;
}

export interface ContainerInstance {
  arn: string;
  /** `ACTIVE`, `DRAINING`, `REGISTERING` … or one not known yet. */
  status: string;
  agentConnected: boolean;
  /**
   * What the ECS agent last said of Docker: `OK`, `IMPAIRED`, `INITIALIZING`, `INSUFFICIENT_DATA` or
   * one not known yet. Absent where ECS does not tell.
   */
  runtimeHealth?: string;
  runningTasks: number;
  pendingTasks: number;
  /** The reasons for which it is in the cluster's queue of nodes that want to leave. */
  queuedFor: readonly string[];
  /** Milliseconds since 1970. */
  registeredAt: number;
  /** ARNs of further records of this instance; empty where nobody has looked for them. */
  others: readonly string[];
}

export interface RecordSummary {
  arn: string;
  ec2InstanceId: string;
  agentConnected: boolean;
}

export interface CloudTask {
  arn: string;
  /** `service:NAME`, `family:NAME` … as ECS groups tasks. */
  group: string;
  lastStatus: string;
  desiredStatus: string;
  /** ARN of its task definition, revision and all. */
  definition: string;
  /** Whoever started it may have left a word; a service leaves the id of its deployment. */
  startedBy?: string;
  /** Milliseconds since 1970. */
  createdAt?: number;
}

export interface ClusterHealth {
  /** Registered container instances, ACTIVE and DRAINING. */
  registered: number;
  draining: number;
  disconnected: number;
  /** ARNs of at most 100 disconnected ones. */
  disconnectedArns: readonly string[];
}

export interface BalancerCloud {
  /** Idempotent: an absent target is fine. */
  deregisterTarget(targetGroupArn: string, signal: AbortSignal): Promise<void>;
  /** True while connections still drain. */
  isTargetDraining(targetGroupArn: string, signal: AbortSignal): Promise<boolean>;
  deregisterFromLoadBalancer(name: string, signal: AbortSignal): Promise<void>;
  isLoadBalancerDraining(name: string, signal: AbortSignal): Promise<boolean>;
}

export interface OpsWorksCloud {
  /** By id, or by unique name. Undefined when there is none; Refused when a name is not unique. */
  readStack(idOrName: string, signal: AbortSignal): Promise<Stack | undefined>;
  /** By id or short name, of any stack when an id is given: compare `stackId`. */
  readLayer(stackId: string, idOrShortName: string, signal: AbortSignal): Promise<Layer | undefined>;
  readProvisioning(stackId: string, signal: AbortSignal): Promise<Provisioning>;
  suggestHostname(layerId: string, signal: AbortSignal): Promise<string>;
  /** Lists the whole stack: O(stack). Once per node at most. */
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

/** What OpsWorks knows about this instance. */
export interface Registration {
  id: string;
  hostname: string;
  /**
   * `registering`, `registered`, `running_setup`, `online`, `setup_failed` … or one not known yet.
   */
  status: string;
  layerIds: string[];
}

export interface SystemsManagerCloud {
  /** `Online`, `ConnectionLost` …; undefined while Systems Manager does not know the instance. */
  readPing(signal: AbortSignal): Promise<string | undefined>;
}

/** Documents of the configuration that are kept for many nodes at one place. */
export interface ConfigurationCloud {
  /**
   * What lies directly below `ssm:/PATH` or `s3://BUCKET/PREFIX`, by name; of what is `known` (name
   * → version) no text is fetched. Refused also when there is more than a configuration can be.
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

export interface Metric {
  name: string;
  value: number;
  unit: 'Percent' | 'Gigabytes' | 'Megabytes' | 'Count' | 'Seconds' | 'None';
  dimensions: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  at: number;
}
