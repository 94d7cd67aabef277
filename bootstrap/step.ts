/**
 * One step of a bootstrap. It compares before it writes, so running it twice changes nothing and a
 * crash can be resumed.
 */

import type { Config } from '../config/config.ts';
import type { Host, Registration } from '../core/host.ts';
import type { Registered, RegistrarTarget } from '../core/state/state.ts';

export type StepOutcome = 'changed' | 'unchanged' | 'skipped';

/** Results of earlier steps that later steps need. */
export interface BootstrapContext {
  /** Kept on disk between runs. */
  hostname?: string;
  /** Kept on disk between runs. */
  registered?: Registered;
  /** Registrations to remove. Kept on disk until they are removed. */
  former: readonly Registered[];
  /** The result of the registrar's `prepare`. Kept on disk until the next boot. */
  registrarTarget?: RegistrarTarget;
  /** The last record that the registrar returned, and when. It saves a repeated call. */
  lastRecord?: { at: number; record: Registration };
  /**
   * Writes the context to disk now, so that a crash within the step does not lose it. Throws where
   * the disk does not yet have the registration.
   */
  save(): Promise<void>;
  /** Milliseconds that the bootstrap still has. */
  leftMs(): number;
}

export interface Step {
  name: string;
  /**
   * May add to the context. Throws ConfigError, Refused, Unavailable, Unfit, or a plain Error (a
   * bug).
   */
  run(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
}
