/**
 * The contract of a registrar, with which a node registers so that its team can reach it.
 * registrars.ts lists the implementations.
 */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import type { Registered } from '../../core/state/state.ts';
import type { StepOutcome, BootstrapContext } from '../step.ts';

export interface Registrar {
  /** Sets `context.registered`, and saves it before AWS may have made a record. Idempotent. */
  register(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /** For a registrar where registration alone is not enough. Idempotent. */
  assign?(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /** Removes the node's record. Idempotent; the signal limits its time. */
  deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
}
