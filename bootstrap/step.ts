/**
 * One step of a bootstrap: compares, then writes; running it twice changes nothing; it can be
 * resumed after a crash.
 */

import type { Config } from '../config/config.ts';
import type { Host, Registration } from '../core/host.ts';
import type { Registered } from '../core/state/state.ts';

export type StepOutcome = 'changed' | 'unchanged' | 'skipped';

/** What earlier steps found out and later ones need. */
export interface BootstrapContext {
  /** Kept on disk between runs. */
  hostname?: string;
  /** Kept on disk between runs. */
  registered?: Registered;
  /**
   * Found by `preflight`, where the registrar is OpsWorks. Kept on disk until the next boot, with
   * the host name that OpsWorks suggested.
   */
  opsworksTarget?: { stackId: string; layerId: string; suggested?: string };
  /**
   * What OpsWorks said last about this node, and when: what it said a moment ago it need not say
   * again.
   */
  lastRecord?: { at: number; record: Registration };
  /** Writes down now what must not be lost in a crash, instead of at the end of the step. */
  save(): Promise<void>;
  /** Milliseconds that the bootstrap still has. */
  leftMs(): number;
}

export interface Step {
  name: string;
  /** May add to the trail. Throws ConfigError, Refused, Unavailable or a plain Error (a bug). */
  run(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
}
