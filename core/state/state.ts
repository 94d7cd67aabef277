/**
 * The node's memory on its disk, with which it resumes after a crash or a reboot. Each file has one
 * writer at a time.
 */

import type { Identity } from '../identity.ts';
import type { OpsWorksTarget } from '../opsworks/opsworks-target.ts';
import type { Is } from '../shape.ts';

/** Folders and files of a node, below `--root`. */
export const paths = {
  config: '/etc/ecs-node/config.yaml',
  dropIns: '/etc/ecs-node/config.d',
  hooks: '/etc/ecs-node/hooks.d',
  ecsConfig: '/etc/ecs/ecs.config',
  /** The machine image's part of it. */
  imageEcsConfig: '/var/lib/ecs/ecs.config',
  ohaiHint: '/etc/chef/ohai/hints/ec2.json',
  dockerConfig: '/etc/docker/daemon.json',
  containerdConfig: '/etc/containerd/config.toml',
  /**
   * Names of images that are never removed. The builder of the image writes them: `*.list`, one
   * name a line.
   */
  keepImages: '/etc/ecs-node/keep-images.d',
  /** At its start, the ECS agent loads one image for each folder here. */
  agentDaemons: '/var/lib/ecs/deps/daemons',
  /** Containers mount this folder. */
  containerConfig: '/etc/container_config',
  /** The documents from `refresh.source`: the last good set, and the refused set. */
  refreshed: '/var/lib/ecs-node/refreshed.json',
  /** The node's one new registration, into its group's capacity provider. Written by the agent. */
  registration: '/var/lib/ecs-node/registration.json',
  /** The ECS agent's checkpoint: it names the container instance. Removed to register anew. */
  ecsData: '/var/lib/ecs/data',
  /** The task last started for each entry of `daemonTasks`, and its present state. */
  daemonTasks: '/var/lib/ecs-node/daemon-tasks.json',
  /**
   * One file for each container and each task that publishes ports. Containers mount this folder.
   * It is gone after a reboot.
   */
  ports: '/run/ecs-node/ports',
  /** Written by bootstrap. */
  bootstrap: '/var/lib/ecs-node/bootstrap.json',
  /**
   * The settings of the user data at the last boot that had some. Written by bootstrap. They may be
   * secrets.
   */
  userData: '/var/lib/ecs-node/user-data.json',
  /**
   * The settings in the tags at the last boot that saw the tags. Written by bootstrap. The agent
   * takes over which of them a person has removed or changed since.
   */
  tags: '/var/lib/ecs-node/tags.json',
  /** The tags that EC2 did not accept in time. Bootstrap writes the file, the agent consumes it. */
  lateTags: '/var/lib/ecs-node/late-tags.json',
  /** The boot in which the node joined last. Written by the agent. */
  joined: '/var/lib/ecs-node/joined.json',
  /** The folder of `Machine.unpack`. If a bootstrap was killed, the next one removes its files. */
  unpacked: '/var/lib/ecs-node/tmp',
  /** Written by the process that runs the departure: a failed bootstrap, else the agent. */
  departure: '/var/lib/ecs-node/departure.json',
  /** One file for each event that EventBridge has not accepted yet (upkeep/events/outbox.ts). */
  events: '/var/lib/ecs-node/events',
  /** Written by `ecs-node leave` and `ecs-node stay`, consumed by the agent. */
  request: '/var/lib/ecs-node/request.json',
  /** A request to stay that a full disk did not take. It is in memory, and counts first. */
  requestInMemory: '/run/ecs-node/request.json',
  /**
   * One file for each bootstrap that runs, or waits for another one; gone after a reboot
   * (bootstrap/bootstrap-lock.ts).
   */
  bootstraps: '/run/ecs-node/bootstraps',
  /** The last valid configuration; gone after a reboot. */
  lastGood: '/run/ecs-node/last-good.json',
  /** Written by the agent; gone after a reboot. */
  agent: '/run/ecs-node/agent.json',
} as const;

interface RegistrarTraits {
  /** The words for it in the description of the setting. */
  title: string;
  /** It stores the host name of a node for good, so the node registers under its final name. */
  keepsHostname: boolean;
  /** It turns EC2 termination protection on. */
  protectsInstances: boolean;
}

/**
 * The registrars, and what the rest of the node must know about each. The setting, the flag, the
 * state file and the code of each registrar follow from these names.
 */
export const registrarTraits = {
  opsworks: { title: 'an OpsWorks-compatible endpoint', keepsHostname: true, protectsInstances: true },
  ssm: { title: 'Systems Manager', keepsHostname: false, protectsInstances: false },
  none: { title: 'nowhere', keepsHostname: false, protectsInstances: false },
} as const satisfies Record<string, RegistrarTraits>;

export type RegistrarName = keyof typeof registrarTraits;

export const registrarNames = Object.keys(registrarTraits) as RegistrarName[];

/** The result of a registrar's look into AWS, for one boot. Only that registrar reads it. */
export type RegistrarTarget = OpsWorksTarget;

/** The registrar's identification of this node. */
export interface Registered {
  registrar: RegistrarName;
  /**
   * OpsWorks' id of the node, which a deregistration needs. Absent with `opsworks`: a registration
   * began, and may have succeeded. The other registrars give no id.
   */
  id?: string;
  stackId?: string;
  layerId?: string;
  /** Bootstrap continued before Systems Manager saw the node. */
  unseen?: true;
}

const stepStates = ['running', 'changed', 'unchanged', 'skipped', 'failed'] as const;

export interface StepRecord {
  name: string;
  state: (typeof stepStates)[number];
  /** Milliseconds since 1970. */
  startedAt: number;
  ms?: number;
  error?: string;
}

export const bootstrapOutcomes = ['running', 'done', 'failed', 'held'] as const;

/** The bootstrap's own record. */
export interface BootstrapState {
  instanceId: string;
  /** For people who look at the node while the metadata service or the network is away. */
  identity?: Identity;
  cluster?: string;
  /** The boot in which the present series of attempts began. */
  bootId?: string;
  /** The boot in which this instance bootstrapped first. */
  firstBootId?: string;
  /**
   * The start of the present series of attempts, milliseconds since 1970. A crash does not extend
   * its time.
   */
  startedAt: number;
  attempts: number;
  outcome: (typeof bootstrapOutcomes)[number];
  steps: StepRecord[];
  hostname?: string;
  registered?: Registered;
  /** Registrations that the configuration no longer names, and that are not removed yet. */
  former?: readonly Registered[];
  /**
   * The OpsWorks target that the registrar found in AWS in this boot: it spares a further attempt
   * the same calls. Nodes have files with this key, so it keeps its name.
   */
  place?: RegistrarTarget;
  /** The reason for which it failed, or is held. */
  reason?: string;
  /** While the storm guard holds it: the time of its next attempt, milliseconds since 1970. */
  heldUntil?: number;
  /**
   * After a failure that needs a person: the time of its own next attempt, milliseconds since 1970.
   */
  retryAt?: number;
}

/** The parts of the user data that hold settings. */
export interface UserDataCopy {
  instanceId: string;
  parts: UserDataPart[];
}

export interface UserDataPart {
  /** The name of the part, as faults show it. */
  path: string;
  text: string;
}

/** Tags that the agent must still set on this instance, or tags that hold settings. */
export interface InstanceTags {
  instanceId: string;
  tags: Record<string, string>;
}

/**
 * The causes of a departure, and whether `ecs-node stay` calls it off. It never calls off a
 * departure that AWS has decided.
 */
export const causes = {
  'bootstrap-failed': { yieldsToStay: false },
  'join-failed': { yieldsToStay: true },
  'scale-in': { yieldsToStay: false },
  spot: { yieldsToStay: false },
  rebalance: { yieldsToStay: true },
  maintenance: { yieldsToStay: true },
  disk: { yieldsToStay: true },
  'ecs-agent': { yieldsToStay: true },
  docker: { yieldsToStay: true },
  operator: { yieldsToStay: true },
} as const satisfies Record<string, { yieldsToStay: boolean }>;

export type Cause = keyof typeof causes;

export const causeNames = Object.keys(causes) as Cause[];

export function isCause(name: string): name is Cause {
  return Object.hasOwn(causes, name);
}

/** The phases of a departure, in order. */
export const phases = ['announce', 'balancers', 'drain', 'tasks', 'registrar', 'terminate', 'hook', 'done'] as const;
export type Phase = (typeof phases)[number];

/**
 * How a departure ends: the node terminates itself, AWS or another program terminates it, or it
 * stays.
 */
export const endings = ['terminate', 'await', 'remain'] as const;
export type Ending = (typeof endings)[number];

/** A departure, in progress or over. */
export interface DepartureState {
  instanceId: string;
  cause: Cause;
  reason: string;
  startedAt: number;
  /** The end of the whole departure, milliseconds since 1970. */
  deadline: number;
  ending: Ending;
  phase: Phase;
  /** When each phase was entered, milliseconds since 1970. */
  entered: Partial<Record<Phase, number>>;
  /**
   * The departure waits for these, in words: tasks, `confirmation: …`, `record: …`, `service: …`.
   */
  blockers: string[];
  /** Failures that did not stop the departure. */
  troubles: string[];
  /**
   * The time at which its undoing began: the node may be ACTIVE since then, whatever `drainedAt`
   * says. A departure that goes on drains it again.
   */
  undoBegunAt?: number;
  /** The time at which it was undone (`ecs-node stay`, a withdrawn event, a freed disk). */
  undoneAt?: number;
  /**
   * It was undone because AWS no longer listed its event, or the second source denied it. If AWS
   * lists the event again, it counts as new.
   */
  eventGone?: true;
  /**
   * Identifies the event that was the cause, without a time. After a reboot, the node does not obey
   * an event again that was called off.
   */
  key?: string;
  /** The keys of the events of earlier departures that were called off, newest last. */
  overruled?: readonly string[];
  /** The boot in which it last ran. */
  bootId?: string;
  /**
   * The deadline comes from AWS and will not move (spot, maintenance). Otherwise it comes from the
   * configuration.
   */
  hardDeadline?: true;
  /** The time at which the node undoes it by itself, milliseconds since 1970. */
  undoAt?: number;
  /**
   * The machine comes back as the same instance (spot stop, hibernation, warm pool), so it stays
   * registered.
   */
  returns?: true;
  /**
   * The time at which the instance was back after all phases. The node may not be ACTIVE yet, and
   * the next order begins a new departure.
   */
  backAt?: number;
  /** When ECS confirmed DRAINING, milliseconds since 1970. */
  drainedAt?: number;
  /**
   * The time at which a second, independent source agreed with the cause, milliseconds since 1970
   * (agent/departure/confirm.ts).
   */
  confirmedAt?: number;
  /** The answer of that source, for people. */
  confirmedBy?: string;
  /**
   * The time at which EC2 first answered that it does not take this spot instance, milliseconds
   * since 1970. From then on, also after a restart, the notice alone confirms nothing.
   */
  spotDeniedAt?: number;
  /** Actions that a return to ACTIVE does not revert. Absent in files of version 0.1.0. */
  irrevocable?: Irrevocable;
  /**
   * By the uptime of the boot `bootId`, in milliseconds: the wall clock may jump while the node
   * leaves.
   */
  uptimes?: DepartureUptimes;
  /** The time at which the departure report (tag, metric, hooks.d/left) began. It is sent once. */
  farewellAt?: number;
  /** The time at which the event `left` was queued. It is told once. */
  leftEventAt?: number;
}

/** Actions that a return to ACTIVE does not revert, with their start in milliseconds since 1970. */
export interface Irrevocable {
  /** The executables in hooks.d/leaving ran. */
  ranHooksAt?: number;
  leftBalancersAt?: number;
  stoppedTasksAt?: number;
  /** The node deregistered from its registrar. */
  deregisteredAt?: number;
  /**
   * The node asked Auto Scaling, EC2 or the machine itself to end the instance, or to continue
   * ending it.
   */
  askedToEndAt?: number;
}

export interface DepartureUptimes {
  /** When the departure began. */
  started: number;
  /** The time at which the node first noticed the present cause. */
  cause: number;
  deadline: number;
  /** The start of `leave.drainSeconds` for the tasks. */
  tasks?: number;
  /** When the agent went on with it after a reboot. */
  resumed?: number;
}

export const requestActions = ['leave', 'stay'] as const;

/** An operator's request to the agent (`ecs-node leave`, `ecs-node stay`). */
export interface OperatorRequest {
  instanceId: string;
  /** Random: the agent acts on a request once. */
  id: string;
  action: (typeof requestActions)[number];
  reason: string;
  /** False: the node drains and stays (`--no-terminate`). */
  terminate: boolean;
  /** Milliseconds since 1970. */
  at: number;
}

/**
 * Reads a state file. Undefined when it is absent, is not JSON, does not match its shape
 * (core/state/state-shape.ts), or belongs to another instance (a copied image).
 */
export function parseState<T extends { instanceId: string }>(
  text: string | undefined,
  instanceId: string,
  isWhole: Is<T>,
): T | undefined {
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as T | null;
    return isWhole(state) && state?.instanceId === instanceId ? state : undefined;
  } catch {
    return undefined;
  }
}

export function renderState(state: object): string {
  return `${JSON.stringify(state, undefined, 2)}\n`;
}
