/** Where a node registers, so that its team can reach it: one contract, three ways. */

import type { Config } from '../../core/config.ts';
import type { Host } from '../../core/host.ts';
import type { Registered } from '../../core/state.ts';
import type { Outcome, Trail } from '../step.ts';
import { none } from './none.ts';
import { opsworks } from './opsworks.ts';
import { ssm } from './ssm.ts';

export interface Registrar {
  /** Sets `trail.registered`, and keeps it as soon as something may have been registered. Idempotent. */
  register(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome>;
  /** Where registering alone is not enough. Idempotent. */
  assign?(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome>;
  /** Leaves no record behind. Idempotent; the signal bounds it. */
  leave(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
}

export function registrarOf(config: Pick<Config, 'registrar'>): Registrar {
  return { opsworks, ssm, none }[config.registrar];
}

/** Takes the node out of the registrar that it is registered with; also for a departure, which is given this as a function. */
export async function deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void> {
  await registrarOf(registered).leave(host, registered, signal);
}
