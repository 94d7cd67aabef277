/**
 * The operator's request to the agent. `ecs-node leave` and `ecs-node stay` write it, and the agent
 * removes it.
 */

import type { Host } from '../../core/host.ts';
import { parseState, paths, type OperatorRequest } from '../../core/state/state.ts';
import { isRequest } from '../../core/state/state-shape.ts';

export async function readRequest(host: Host): Promise<OperatorRequest | undefined> {
  // Only our own commands write this file; invalid content counts as no request.
  return parseState<OperatorRequest>(await host.machine.readText(paths.request), host.identity.instanceId, isRequest);
}

export async function removeRequest(host: Host): Promise<void> {
  await host.machine.remove(paths.request);
}
