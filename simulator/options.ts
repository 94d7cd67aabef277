/** What a simulator can be started with. */

import type { Clock } from './clock.ts';
import type { SettingsPatch } from './settings.ts';
import type { Instance, LaunchOptions } from './world/state.ts';

export interface SimulatorOptions {
  /** us-east-1 */
  region?: string;
  /** Of the AWS endpoint; 0, the default, takes any free one. */
  port?: number;
  /** 127.0.0.1 */
  host?: string;
  /** Same seed, same ids and same faults. */
  seed?: number;
  clock?: Clock;
  settings?: SettingsPatch;
  /** `ecs-nodes` with 0 … 100 members and none desired. */
  groups?: readonly GroupOptions[];
  /** `demo` */
  clusters?: readonly string[];
  /** One, `demo`, with the layer `ecs`: stackId and layerId below. */
  stacks?: readonly StackOptions[];
  /**
   * Where the metadata and the introspection of an instance listen (`169.254.169.254:80`,
   * `127.0.0.1:51678`); any free loopback ports by default.
   */
  addresses?: (instance: Instance) => { imds?: string; introspection?: string };
  /** Its metadata answer already. */
  onLaunch?: (instance: Instance) => void;
  /** At `shutting-down`, at `stopping`: the machine's processes are about to end. */
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
  warmPool?: { size: number; state?: 'Stopped' | 'Running' | 'Hibernated' };
  onAbandon?: 'terminate' | 'retain';
  /** What its instances are like. */
  template?: LaunchOptions;
}

export interface HookOptions {
  name: string;
  transition: 'launch' | 'terminate';
  /** 3600. Unlike AWS, anything above 0: tests cannot wait 30 s. */
  heartbeatSeconds?: number;
  globalSeconds?: number;
  /** ABANDON */
  defaultResult?: 'CONTINUE' | 'ABANDON';
  /** Somebody else's: completed with CONTINUE by the simulator after so many ms. */
  completesAfterMs?: number;
}

export interface StackOptions {
  id?: string;
  name: string;
  /** The simulator's region. */
  region?: string;
  layers: readonly { id?: string; name?: string; shortName: string }[];
}

export interface ServiceOptions {
  name: string;
  desired?: number;
  daemon?: boolean;
  minimumHealthyPercent?: number;
  maximumPercent?: number;
  /** Who deploys it, where it is not ECS. */
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
