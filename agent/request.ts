/** What an operator asks of the agent: written by `ecs-node leave` and `ecs-node stay`, removed by the agent. */

import type { Host } from '../core/host.ts';
import { parseState, paths, type Request } from '../core/state.ts';
import { isRequest } from '../core/state-shape.ts';

export async function readRequest(host: Host): Promise<Request | undefined> {
  // Nothing but our own commands writes there; what makes no sense is no request.
  return parseState<Request>(await host.machine.readText(paths.request), host.identity.instanceId, isRequest);
}

export async function removeRequest(host: Host): Promise<void> {
  await host.machine.remove(paths.request);
}
