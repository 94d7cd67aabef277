/**
 * The operator's request to the agent. `ecs-node leave` and `ecs-node stay` write it, and the agent
 * removes it.
 */

import type { Host } from '../../core/host.ts';
import { readState } from '../../core/state/read-state.ts';
import { paths, type OperatorRequest } from '../../core/state/state.ts';
import { isRequest } from '../../core/state/state-shape.ts';

export async function readRequest(host: Host): Promise<OperatorRequest | undefined> {
  // Only our own commands write this file; invalid content counts as no request.
  return readState<OperatorRequest>(host, paths.request, isRequest);
}

export async function removeRequest(host: Host): Promise<void> {
  await host.machine.remove(paths.request);
}
