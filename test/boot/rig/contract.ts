/** The types of a scenario and of its world. */

import type { Aws, AwsOptions } from './aws.ts';
import type { Machine } from './machine.ts';
import type { until } from './until.ts';

export interface Scenario {
  /** `baked` (default) has the binary, installed by install-files.sh. `stock` has none. */
  image?: 'baked' | 'stock';
  aws?: AwsOptions;
  /** Throws if a check fails. The machine is off at first. */
  live(world: World): Promise<void>;
}

export interface World {
  aws: Aws;
  machine: Machine;
  /** The folder that http://127.0.0.1:8080 serves. All worlds share it: never change it. */
  release: string;
  /**
   * From now on this world's mirror serves a changed `name`. `change` edits the bytes in place or
   * returns new ones.
   */
  tamper(name: string, change: (bytes: Buffer) => Buffer | void): Promise<void>;
  until: typeof until;
}
