/** What a scenario is, and what it is given. */

import type { Aws, AwsOptions } from './aws.ts';
import type { Machine } from './machine.ts';
import type { until } from './until.ts';

export interface Scenario {
  /**
   * `baked` has the binary, installed by the script that everybody uses; `stock` has not. Default
   * baked.
   */
  image?: 'baked' | 'stock';
  aws?: AwsOptions;
  /** Throws when something is not as it should be. The machine is off at first. */
  live(world: World): Promise<void>;
}

export interface World {
  aws: Aws;
  machine: Machine;
  /** Folder of what http://127.0.0.1:8080 serves; shared by all worlds, not to be changed. */
  release: string;
  /** From now on the mirror of this world serves `name` as `change` leaves or returns it. */
  tamper(name: string, change: (bytes: Buffer) => Buffer | void): Promise<void>;
  until: typeof until;
}
