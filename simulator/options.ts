/** The options for starting a simulator. */

import type { Clock } from './clock.ts';
import type { SettingsPatch } from './settings.ts';
import type { CommandOutput, Instance, LaunchOptions } from './world/state.ts';

export interface SimulatorOptions {
  /** us-east-1 */
  region?: string;
  /** The port of the AWS endpoint; 0, the default, takes any free port. */
  port?: number;
  /** 127.0.0.1 */
  host?: string;
  /** The same seed gives the same ids and the same faults. */
  seed?: number;
  clock?: Clock;
  settings?: SettingsPatch;
  /** Default: `ecs-nodes` with 0 … 100 members and a desired capacity of 0. */
  groups?: readonly GroupOptions[];
  /** `demo` */
  clusters?: readonly string[];
  /** Default: one stack, `demo`, with the layer `ecs` (`stackId` and `layerId` in simulator.ts). */
  stacks?: readonly StackOptions[];
  /**
   * Where an instance's metadata and introspection listen (`169.254.169.254:80`,
   * `127.0.0.1:51678`); by default any free loopback ports.
   */
  addresses?: (instance: Instance) => { imds?: string; introspection?: string };
  /** Called for a new instance when its metadata service answers. */
  onLaunch?: (instance: Instance) => void;
  /**
   * Runs the script of a Run Command on the instance, as root there. Without it, commands stay
   * Pending.
   */
  onCommand?: (instanceId: string, script: string) => Promise<CommandOutput>;
  /** Called at `shutting-down` or `stopping`, just before the machine's processes end. */
  onTerminate?: (instance: Instance) => void;
}

export interface GroupOptions {
  name: string;
  min?: number;
  max?: number;
  desired?: number;
  graceSeconds?: number;
  protectNew?: boolean;
  hooks?: readonly HookOptions[];
  tags?: Record<string, string>;
  warmPool?: WarmPoolOptions;
  onAbandon?: 'terminate' | 'retain';
  /** The attributes of the group's instances. */
  template?: LaunchOptions;
}

export interface WarmPoolOptions {
  size: number;
  state?: 'Stopped' | 'Running' | 'Hibernated';
  /** Takes instances back into the pool on scale-in (ReuseOnScaleIn). */
  reuse?: boolean;
}

export interface HookOptions {
  name: string;
  transition: 'launch' | 'terminate';
  /**
   * Default 3600. AWS wants at least 30 s; this accepts anything above 0, because tests cannot wait
   * 30 s.
   */
  heartbeatSeconds?: number;
  globalSeconds?: number;
  /** ABANDON */
  defaultResult?: 'CONTINUE' | 'ABANDON';
  /** Makes it a foreign hook: the simulator completes it with CONTINUE after this time. */
  completesAfterMs?: number;
}

export interface StackOptions {
  id?: string;
  name: string;
  /** Default: the simulator's region. */
  region?: string;
  layers: readonly { id?: string; name?: string; shortName: string }[];
}

export interface ServiceOptions {
  name: string;
  desired?: number;
  daemon?: boolean;
  minimumHealthyPercent?: number;
  maximumPercent?: number;
  /** The deployment controller, if it is not ECS. */
  controller?: 'CODE_DEPLOY' | 'EXTERNAL';
  cpu?: number;
  memory?: number;
  stopMs?: number;
}

export interface TaskOptions {
  family?: string;
  cpu?: number;
  memory?: number;
  stopMs?: number;
}
