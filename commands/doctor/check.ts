/** One check of something that a node depends on, with its result in one line. */

import type { Config } from '../../config/config.ts';
import type { Docker, EcsAgent, Machine, Metadata } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import type { Clock } from '../../core/retry.ts';
import type { NetworkSettings } from '../../host/environment.ts';
import type { Examination } from '../../host/aws/examine/examination.ts';

/** The facts that the checks judge. A fact is present only if all facts before it were read. */
export interface ExaminedNode {
  machine: Machine;
  metadata: Metadata;
  clock: Clock;
  ecsAgent: EcsAgent;
  docker: Docker;
  identity: Identity | undefined;
  /** The reason for which the identity is missing. */
  identityTrouble: string | undefined;
  config: Config | undefined;
  /** The reasons for which the configuration is missing. */
  configTroubles: readonly string[];
  examination: Examination | undefined;
  network: NetworkSettings;
}

export interface Diagnosis {
  /** `unsure`: the check found no answer, or the finding may be intended. */
  state: 'ok' | 'wrong' | 'unsure';
  what: string;
  /** A way to repair it, or to find out more. */
  remedy?: string;
}

export interface Check {
  name: string;
  /** A thrown error becomes `unsure`. */
  run(node: ExaminedNode, signal: AbortSignal): Promise<Diagnosis | Diagnosis[]>;
}

export const ok = (what: string): Diagnosis => ({ state: 'ok', what });
export const wrong = (what: string, remedy: string): Diagnosis => ({ state: 'wrong', what, remedy });
export const unsure = (what: string, remedy?: string): Diagnosis => ({
  state: 'unsure',
  what,
  ...(remedy !== undefined && { remedy }),
});
