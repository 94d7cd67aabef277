/**
 * What a node remembers on its disk, so that a crash or a reboot resumes where it stood. One writer
 * per file.
 */

import type { Identity } from '../identity.ts';
import type { Is } from '../shape.ts';

/** Folders and files of a node, below `--root`. */
export const paths = {
  config: '/etc/ecs-node/config.yaml',
  dropIns: '/etc/ecs-node/config.d',
  hooks: '/etc/ecs-node/hooks.d',
  ecsConfig: '/etc/ecs/ecs.config',
  ohaiHint: '/etc/chef/ohai/hints/ec2.json',
  dockerConfig: '/etc/docker/daemon.json',
  containerdConfig: '/etc/containerd/config.toml',
  /**
   * Names of images that are never removed, written by the image's builder: `*.list`, one a line.
   */
  keepImages: '/etc/ecs-node/keep-images.d',
  /** The ECS agent loads one image for each folder here when it starts. */
  agentDaemons: '/var/lib/ecs/deps/daemons',
  /** For containers to mount, as a folder. */
  containerConfig: '/etc/container_config',
  /**
   * What was pulled from `refresh.source`: the last good documents, and those that were refused.
   */
  refreshed: '/var/lib/ecs-node/refreshed.json',
  /** What was last started of `daemonTasks`, and how each of them stands. */
  daemonTasks: '/var/lib/ecs-node/daemon-tasks.json',
  /**
   * A file for each container and for each task that publishes ports, for containers to mount as a
   * folder; gone after a reboot.
   */
  ports: '/run/ecs-node/ports',
  /** Written by bootstrap. */
  bootstrap: '/var/lib/ecs-node/bootstrap.json',
  /** Written by bootstrap, consumed by the agent: tags that EC2 had no time for. */
  lateTags: '/var/lib/ecs-node/late-tags.json',
  /**
   * Where `Machine.unpack` makes its folders; what a killed bootstrap left there is removed by the
   * next one.
   */
  unpacked: '/var/lib/ecs-node/tmp',
  /** Written by whoever runs the departure: bootstrap when it failed, else the agent. */
  departure: '/var/lib/ecs-node/departure.json',
  /** Written by `ecs-node leave` and `ecs-node stay`, consumed by the agent. */
  request: '/var/lib/ecs-node/request.json',
  /** The last valid configuration; gone after a reboot. */
  lastGood: '/run/ecs-node/last-good.json',
  /** Written by the agent; gone after a reboot. */
  agent: '/run/ecs-node/agent.json',
} as const;

/**
 * Where a node can register. The setting, the flag, the state file and the code of each registrar
 * follow from this list.
 */
export const registrarNames = ['opsworks', 'ssm', 'none'] as const;
export type RegistrarName = (typeof registrarNames)[number];

/** What the registrar knows this node by. */
export interface Registered {
  registrar: RegistrarName;
  /**
   * The registrar's own id, needed to leave it. Absent: registration was begun and may or may not
   * have happened.
   */
  id?: string;
  stackId?: string;
  layerId?: string;
  /** Systems Manager had not seen the node when its bootstrap went on without it. */
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
  /** Of the boot in which the present series of attempts began. */
  bootId?: string;
  /** Of the boot in which this instance bootstrapped first. */
  firstBootId?: string;
  /** When that series began, milliseconds since 1970: a crash does not buy more time. */
  startedAt: number;
  attempts: number;
  outcome: (typeof bootstrapOutcomes)[number];
  steps: StepRecord[];
  hostname?: string;
  registered?: Registered;
  /**
   * What OpsWorks said in this boot, for the names in the configuration: a further attempt need not
   * ask again.
   */
  place?: { stack: string; layer: string; stackId: string; layerId: string; suggested?: string };
  /** Why it failed, or is held. */
  reason?: string;
  /** While held by the storm guard: when it tries again, milliseconds since 1970. */
  heldUntil?: number;
  /**
   * After a failure that a person has to mend: when it tries again by itself, milliseconds since
   * 1970.
   */
  retryAt?: number;
}

/** Tags of this instance that are still to be set. */
export interface LateTags {
  instanceId: string;
  tags: Record<string, string>;
}

/**
 * Why a node leaves, and whether `ecs-node stay` calls such a departure off: never one that AWS has
 * decided.
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

/** The phases of a departure, in order. */
export const phases = ['announce', 'balancers', 'drain', 'tasks', 'registrar', 'terminate', 'hook', 'done'] as const;
export type Phase = (typeof phases)[number];

/** How a departure ends: the node terminates itself, somebody else terminates it, or it stays. */
export const endings = ['terminate', 'await', 'remain'] as const;
export type Ending = (typeof endings)[number];

/** A departure under way, or over. */
export interface DepartureState {
  instanceId: string;
  cause: Cause;
  reason: string;
  startedAt: number;
  /** Everything must be done by then, milliseconds since 1970. */
  deadline: number;
  ending: Ending;
  phase: Phase;
  /** When each phase was entered, milliseconds since 1970. */
  entered: Partial<Record<Phase, number>>;
  /** Tasks that are still in the way. */
  blockers: string[];
  /** What went wrong on the way without stopping it. */
  troubles: string[];
  /** Set when it was undone (`ecs-node stay`, a cancelled event, a freed disk). */
  undoneAt?: number;
  /** It was undone because its event was gone: listed again, that is a new one. */
  eventGone?: true;
  /**
   * Names the event that was the cause, without a clock: one that was undone is not obeyed again
   * after a reboot.
   */
  key?: string;
  /** Of the boot in which it last ran. */
  bootId?: string;
  /**
   * The deadline is somebody else's and will not move (spot, maintenance), not our own patience.
   */
  hardDeadline?: true;
  /** Undone by itself at this time, milliseconds since 1970. */
  undoAt?: number;
  /**
   * The machine comes back as the same instance (spot stop, hibernation, warm pool): it stays
   * registered.
   */
  returns?: true;
  /** When ECS confirmed DRAINING, milliseconds since 1970. */
  drainedAt?: number;
  /**
   * When a second, independent source agreed with the cause, milliseconds since 1970
   * (agent/departure/confirm.ts).
   */
  confirmedAt?: number;
  /** What that source said, for people. */
  confirmedBy?: string;
  /** What was done that ACTIVE does not undo. Absent in files of version 0.1.0. */
  irrevocable?: Irrevocable;
  /**
   * By the uptime of the boot `bootId`, in milliseconds: the wall clock may jump while the node
   * leaves.
   */
  uptimes?: DepartureUptimes;
  /** The last words (tag, metric, hooks.d/left) were begun: they are said once. */
  farewellAt?: number;
}

/** Deeds that ACTIVE does not undo: when each was begun, milliseconds since 1970. */
export interface Irrevocable {
  /** The executables in hooks.d/leaving ran. */
  ranHooksAt?: number;
  leftBalancersAt?: number;
  stoppedTasksAt?: number;
  /** The registrar was left. */
  deregisteredAt?: number;
  /**
   * Auto Scaling, EC2 or the machine itself was asked to end the instance, or to go on ending it.
   */
  askedToEndAt?: number;
}

export interface DepartureUptimes {
  /** When the departure began. */
  started: number;
  /** When the node first heard of the cause that counts now. */
  cause: number;
  deadline: number;
  /** From then on the tasks have `leave.drainSeconds`. */
  tasks?: number;
}

export const requestActions = ['leave', 'stay'] as const;

/** What an operator asked of the agent (`ecs-node leave`, `ecs-node stay`). */
export interface OperatorRequest {
  instanceId: string;
  /** Random: one request is acted upon once. */
  id: string;
  action: (typeof requestActions)[number];
  reason: string;
  /** False: the node drains and stays as it is (`--no-terminate`). */
  terminate: boolean;
  /** Milliseconds since 1970. */
  at: number;
}

/**
 * Reads a state file of ours: undefined when absent, unreadable as JSON, not of its shape
 * (core/state/state-shape.ts), or written for another instance (a copied image).
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
