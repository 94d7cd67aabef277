/**
 * The whole state of the simulated account: plain data that only the files in this folder change.
 */

import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Settings } from '../settings.ts';

export interface World {
  readonly region: string;
  readonly accountId: string;
  readonly zones: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: Settings;
  readonly instances: Map<string, Instance>;
  readonly groups: Map<string, Group>;
  readonly clusters: Map<string, Cluster>;
  readonly capacityProviders: Map<string, CapacityProvider>;
  /** Maps a family to its revisions, oldest first. */
  readonly taskDefinitions: Map<string, TaskDefinition[]>;
  readonly stacks: Map<string, Stack>;
  readonly layers: Map<string, Layer>;
  /** Maps OpsWorks' own instance ids to its records. */
  readonly registrations: Map<string, Registration>;
  readonly parameters: Map<string, Parameter>;
  /** Maps a bucket to its objects by key. */
  readonly buckets: Map<string, Map<string, StoredObject>>;
  readonly managed: Map<string, ManagedInstance>;
  readonly targetGroups: Map<string, TargetGroup>;
  readonly loadBalancers: Map<string, LoadBalancer>;
  /** Maps a resource such as `service/CLUSTER/SERVICE` to its target. */
  readonly scalableTargets: Map<string, ScalableTarget>;
  readonly metrics: MetricDatum[];
  /** The events that EventBridge has taken. */
  readonly events: BusEvent[];
  /** Run Commands by their id. */
  readonly commands: Map<string, Command>;
  runCommand: ((instanceId: string, script: string) => Promise<CommandOutput>) | undefined;
  readonly experiments: Map<string, Experiment>;
  /** The instances of each experiment template. */
  readonly experimentTemplates: Map<string, readonly string[]>;
  /** The instance refreshes of each group, the newest first. */
  readonly refreshes: Map<string, Refresh[]>;
  readonly listeners: Set<(event: WorldEvent) => void>;
}

export interface BusEvent {
  id: string;
  at: number;
  /** ARN of the bus. */
  bus: string;
  source: string;
  type: string;
  time: number;
  resources: readonly string[];
  detail: Readonly<Record<string, unknown>>;
  /** Undefined for an operator. */
  instanceId: string | undefined;
}

/**
 * The changes of the world, sent as they happen. The areas of the world learn of each other only
 * through these.
 */
export type WorldEvent =
  | { kind: 'instance'; instance: Instance; state: InstanceState; reason: string }
  | { kind: 'member'; group: Group; member: Member; state: string }
  | { kind: 'container-instance'; cluster: Cluster; instance: ContainerInstance; state: string }
  | { kind: 'task'; cluster: Cluster; task: Task; state: string }
  | { kind: 'registration'; registration: Registration; state: string }
  | { kind: 'notice'; instanceId: string; state: string };

export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export interface Instance {
  readonly id: string;
  /** 0, 1, 2 … in launch order. */
  readonly index: number;
  readonly zone: string;
  readonly type: string;
  readonly imageId: string;
  readonly architecture: 'x86_64' | 'arm64';
  readonly privateIp: string;
  readonly purchase: 'on-demand' | 'spot';
  readonly launchedAt: number;
  readonly keyName: string | undefined;
  state: InstanceState;
  reason: string;
  tags: Map<string, string>;
  /** Without a role there are no credentials. */
  role: string | undefined;
  /** Without a policy IAM allows everything. */
  policy: unknown;
  userData: string | undefined;
  disableApiTermination: boolean;
  shutdownBehavior: 'stop' | 'terminate';
  metadata: MetadataSwitches;
  notices: Notices;
}

/** The ways in which the instance's metadata service misbehaves. */
export interface MetadataSwitches {
  /** The server refuses connections. */
  down: boolean;
  /** The service answers 503 for this long after the launch. */
  lateMs: number;
  slowMs: number;
  html: boolean;
  always401: boolean;
  /** The launch option InstanceMetadataTags=enabled. */
  tags: boolean;
  /** EC2 cannot assume the role, because the role's trust policy does not allow it. */
  unassumable: boolean;
}

export interface Notices {
  spot?: { action: 'terminate' | 'stop' | 'hibernate'; at: number; isClaimed?: true };
  rebalance?: number;
  maintenance: MaintenanceEvent[];
  targetState?: string;
}

export interface MaintenanceEvent {
  id: string;
  code: string;
  state: 'active' | 'completed' | 'canceled';
  description: string;
  notBefore: number;
  notAfter?: number;
  /** Only the metadata service announces it; EC2's API does not know it. */
  isClaimed?: true;
}

export interface Group {
  readonly name: string;
  readonly arn: string;
  min: number;
  max: number;
  desired: number;
  /** New members are protected from scale-in. */
  protectNew: boolean;
  graceMs: number;
  readonly hooks: Map<string, Hook>;
  readonly members: Map<string, Member>;
  /** Newest last. */
  readonly activities: Activity[];
  readonly suspended: Set<string>;
  /** Tags that each instance of the group gets at launch. */
  readonly tags: Map<string, string>;
  /** Tags of the group alone (`PropagateAtLaunch: false`). */
  readonly ownTags: Map<string, string>;
  warmPool: WarmPool | undefined;
  /** The consequence of a terminate hook that is abandoned or times out. */
  onAbandon: 'terminate' | 'retain';
  readonly template: LaunchOptions;
  reconciling: boolean;
}

export interface Refresh {
  readonly id: string;
  readonly startedAt: number;
  endedAt: number | undefined;
  status: 'InProgress' | 'Successful';
  /** The members that are not replaced yet. */
  left: string[];
  readonly total: number;
}

export interface WarmPool {
  size: number;
  state: 'Stopped' | 'Running' | 'Hibernated';
  reuse: boolean;
}

export interface Hook {
  name: string;
  transition: 'launch' | 'terminate';
  heartbeatSeconds: number;
  globalSeconds: number;
  defaultResult: 'CONTINUE' | 'ABANDON';
}

export interface Member {
  readonly instanceId: string;
  state: string;
  healthy: boolean;
  protected: boolean;
  inServiceAt: number | undefined;
  joinedAt: number;
  activity: Activity;
  /** The lifecycle actions that the member must complete in its :Wait state. */
  actions: Map<string, Action>;
  removed: boolean;
}

export interface Action {
  readonly hook: Hook;
  readonly token: string;
  readonly startedAt: number;
  result: 'CONTINUE' | 'ABANDON' | undefined;
  cancelHeartbeat: () => void;
  cancelGlobal: () => void;
}

export interface Activity {
  readonly id: string;
  description: string;
  cause: string;
  readonly startedAt: number;
  endedAt: number | undefined;
  status: string;
  message: string | undefined;
  progress: number;
}

export interface Cluster {
  readonly name: string;
  readonly arn: string;
  readonly containerInstances: Map<string, ContainerInstance>;
  readonly byInstance: Map<string, ContainerInstance>;
  readonly services: Map<string, Service>;
  readonly tasks: Map<string, Task>;
  /** Names of the capacity providers that are associated with it. */
  readonly capacityProviders: string[];
  scheduling: boolean;
}

export interface CapacityProvider {
  readonly name: string;
  readonly arn: string;
  /** The ARN of its Auto Scaling group. */
  readonly group: string;
}

export interface CommandOutput {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Command {
  readonly id: string;
  readonly instanceId: string;
  readonly requestedAt: number;
  /** Absent while it runs. */
  output?: CommandOutput;
}

/** An experiment of Fault Injection Service, which interrupts spot instances. */
export interface Experiment {
  readonly id: string;
  readonly template: string;
  readonly instances: readonly string[];
  status: 'running' | 'completed' | 'failed';
  reason: string;
}

export interface ContainerInstance {
  readonly arn: string;
  readonly instanceId: string;
  readonly registeredAt: number;
  status: 'REGISTERING' | 'ACTIVE' | 'DRAINING' | 'DEREGISTERING' | 'INACTIVE';
  agentConnected: boolean;
  /** The health of Docker that the ECS agent reports. */
  runtimeHealth: 'OK' | 'IMPAIRED';
  agentVersion: string;
  /** The total CPU units, and below the memory in MiB. */
  readonly cpu: number;
  readonly memory: number;
  /** The tasks that have not stopped. */
  readonly tasks: Map<string, Task>;
  /** Stopped tasks that the agent and ECS still remember. */
  readonly stopped: Map<string, Task>;
  readonly attributes: Map<string, string | undefined>;
  readonly capacityProvider: string | undefined;
}

export interface Service {
  readonly name: string;
  readonly arn: string;
  desired: number;
  readonly daemon: boolean;
  minimumHealthyPercent: number;
  maximumPercent: number;
  taskDefinition: string;
  readonly cpu: number;
  readonly memory: number;
  /** From SIGTERM to the end of the last container. */
  readonly stopMs: number | undefined;
  status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  readonly controller: 'ECS' | 'CODE_DEPLOY' | 'EXTERNAL';
  /** The primary deployment comes first; empty if another controller than ECS deploys. */
  readonly deployments: Deployment[];
  readonly tasks: Map<string, Task>;
}

export interface Deployment {
  readonly id: string;
  status: 'PRIMARY' | 'ACTIVE';
  /** Undefined behind a classic load balancer. */
  rollout: 'COMPLETED' | 'IN_PROGRESS' | 'FAILED' | undefined;
  readonly createdAt: number;
}

export interface ScalableTarget {
  readonly resourceId: string;
  min: number;
  max: number;
  readonly createdAt: number;
}

export interface TaskDefinition {
  readonly family: string;
  readonly revision: number;
  readonly arn: string;
  status: 'ACTIVE' | 'INACTIVE';
  readonly cpu: number;
  readonly memory: number;
  readonly containers: readonly ContainerDefinition[];
}

export interface ContainerDefinition {
  readonly name: string;
  readonly image: string;
  /** Host port 0 means any port that is free when the container starts. */
  readonly ports: readonly PortMapping[];
  /** Seconds between SIGTERM and SIGKILL. */
  readonly stopTimeout?: number;
}

export interface PortMapping {
  readonly containerPort: number;
  readonly hostPort: number;
  readonly protocol: 'tcp' | 'udp';
}

export interface Container {
  readonly name: string;
  readonly dockerId: string;
  readonly ports: readonly PortMapping[];
}

export interface Task {
  readonly arn: string;
  readonly taskDefinition: string;
  /** `service:NAME`, `family:NAME` */
  readonly group: string;
  readonly startedBy: string | undefined;
  readonly service: Service | undefined;
  readonly containerInstance: ContainerInstance;
  /** The containers bind their ports while they run. */
  readonly containers: readonly Container[];
  readonly cpu: number;
  readonly memory: number;
  readonly stopMs: number | undefined;
  /** ECS protects the task from scale-in until this time. */
  protectedUntil: number | undefined;
  readonly createdAt: number;
  desiredStatus: 'RUNNING' | 'STOPPED';
  lastStatus: string;
  startedAt: number | undefined;
  stoppingAt: number | undefined;
  stoppedAt: number | undefined;
  stoppedReason: string | undefined;
  stopCode: string | undefined;
}

export interface Stack {
  readonly id: string;
  readonly name: string;
  readonly arn: string;
  readonly region: string;
  readonly parameters: Record<string, string>;
}

export interface Layer {
  readonly id: string;
  readonly stackId: string;
  readonly name: string;
  readonly shortName: string;
}

export interface Registration {
  readonly id: string;
  readonly stackId: string;
  readonly arn: string;
  readonly instanceId: string;
  readonly hostname: string;
  readonly privateIp: string;
  readonly publicIp: string;
  readonly createdAt: number;
  status: string;
  layerIds: string[];
  /** Lists omit the record before this time. */
  listedFrom: number;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: Buffer;
  /** The value includes its quotes. */
  readonly etag: string;
  readonly modifiedAt: number;
}

export interface Parameter {
  name: string;
  type: 'String' | 'StringList' | 'SecureString';
  value: string;
  version: number;
  modifiedAt: number;
}

export interface ManagedInstance {
  readonly instanceId: string;
  ping: 'Online' | 'ConnectionLost' | 'Inactive';
  lastPingAt: number;
  registeredAt: number;
}

export interface TargetGroup {
  readonly arn: string;
  readonly name: string;
  readonly port: number;
  readonly targetType: 'instance' | 'ip';
  deregistrationDelaySeconds: number;
  readonly targets: Map<string, Target>;
}

export interface Target {
  readonly id: string;
  readonly port: number;
  state: 'initial' | 'healthy' | 'unhealthy' | 'draining' | 'unused';
}

export interface LoadBalancer {
  readonly name: string;
  connectionDraining: boolean;
  drainingSeconds: number;
  readonly instances: Map<string, 'InService' | 'draining'>;
}

export interface MetricDatum {
  at: number;
  namespace: string;
  name: string;
  dimensions: Record<string, string>;
  value: number | undefined;
  unit: string | undefined;
  timestamp: number | undefined;
  instanceId: string | undefined;
}

export interface LaunchOptions {
  type?: string;
  imageId?: string;
  architecture?: 'x86_64' | 'arm64';
  purchase?: 'on-demand' | 'spot';
  zone?: string;
  tags?: Record<string, string>;
  /** null launches without an instance profile. */
  role?: string | null;
  policy?: unknown;
  userData?: string;
  disableApiTermination?: boolean;
  shutdownBehavior?: 'stop' | 'terminate';
  metadata?: Partial<MetadataSwitches>;
}

export function emit(world: World, event: WorldEvent): void {
  for (const listener of world.listeners) listener(event);
}

export function arnOf(world: World, service: string, resource: string): string {
  return `arn:aws:${service}:${world.region}:${world.accountId}:${resource}`;
}
