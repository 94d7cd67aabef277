/** One thing that a node depends on: looked at, and told in one line. */

import type { Config } from '../../config/config.ts';
import type { Docker, EcsAgent, Machine, Metadata } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import type { Clock } from '../../core/retry.ts';
import type { NetworkSettings } from '../../host/environment.ts';
import type { Examination } from '../../host/aws/examine/examination.ts';

/** The facts that the checks judge. A later one is there only if the earlier ones were read. */
export interface ExaminedNode {
  machine: Machine;
  metadata: Metadata;
  clock: Clock;
  ecsAgent: EcsAgent;
  docker: Docker;
  identity: Identity | undefined;
  /** Why there is no identity. */
  identityTrouble: string | undefined;
  config: Config | undefined;
  /** Why there is no configuration. */
  configTroubles: readonly string[];
  examination: Examination | undefined;
  network: NetworkSettings;
}

export interface Diagnosis {
  /** `unsure`: could not be told, or need not be wrong. */
  state: 'ok' | 'wrong' | 'unsure';
  what: string;
  /** How to mend it, or how to find out. */
  remedy?: string;
}

export interface Check {
  name: string;
  /** A throw becomes `unsure`. */
  run(node: ExaminedNode, signal: AbortSignal): Promise<Diagnosis | Diagnosis[]>;
}

export const ok = (what: string): Diagnosis => ({ state: 'ok', what });
export const wrong = (what: string, remedy: string): Diagnosis => ({ state: 'wrong', what, remedy });
export const unsure = (what: string, remedy?: string): Diagnosis => ({
  state: 'unsure',
  what,
  ...(remedy !== undefined && { remedy }),
});
