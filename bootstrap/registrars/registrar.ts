/**
 * Where a node registers, so that its team can reach it: one contract; registrars.ts lists those
 * that keep it.
 */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import type { Registered } from '../../core/state/state.ts';
import type { StepOutcome, BootstrapContext } from '../step.ts';

export interface Registrar {
  /**
   * Sets `context.registered`, and keeps it as soon as something may have been registered.
   * Idempotent.
   */
  register(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /** Where registering alone is not enough. Idempotent. */
  assign?(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /** Leaves no record behind. Idempotent; the signal bounds it. */
  deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
}
