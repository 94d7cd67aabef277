/** All registrars. A name added to core/state/state.ts does not compile until it is listed here. */

import type { Host } from '../../core/host.ts';
import type { Registered, RegistrarName } from '../../core/state/state.ts';
import { none } from './none.ts';
import { opsworks } from './opsworks/opsworks.ts';
import type { Registrar } from './registrar.ts';
import { ssm } from './ssm.ts';

const registrars: Record<RegistrarName, Registrar> = { opsworks, ssm, none };

export function registrarOf({ registrar }: { registrar: RegistrarName }): Registrar {
  return registrars[registrar];
}

/**
 * Removes the node from the registrar that it is registered with. A departure receives this as a
 * function.
 */
export async function deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void> {
  await registrarOf(registered).deregister(host, registered, signal);
}
