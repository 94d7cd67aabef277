/**
 * What an operator asks of the agent: written by `ecs-node leave` and `ecs-node stay`, removed by
 * the agent.
 */

import type { Host } from '../../core/host.ts';
import { parseState, paths, type OperatorRequest } from '../../core/state/state.ts';
import { isRequest } from '../../core/state/state-shape.ts';

export async function readRequest(host: Host): Promise<OperatorRequest | undefined> {
  // Nothing but our own commands writes there; what makes no sense is no request.
  return parseState<OperatorRequest>(await host.machine.readText(paths.request), host.identity.instanceId, isRequest);
}

export async function removeRequest(host: Host): Promise<void> {
  await host.machine.remove(paths.request);
}
