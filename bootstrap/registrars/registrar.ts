/** Where a node registers, so that its team can reach it: one contract; registrars.ts lists those that keep it. */

import type { Config } from '../../core/config.ts';
import type { Host } from '../../core/host.ts';
import type { Registered } from '../../core/state.ts';
import type { Outcome, Trail } from '../step.ts';

export interface Registrar {
  /** Sets `trail.registered`, and keeps it as soon as something may have been registered. Idempotent. */
  register(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome>;
  /** Where registering alone is not enough. Idempotent. */
  assign?(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome>;
  /** Leaves no record behind. Idempotent; the signal bounds it. */
  leave(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
}
