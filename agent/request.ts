/**
 * The operator's request to the agent. `ecs-node leave` and `ecs-node stay` write it. The agent
 * removes a request to stay once the node stays. It never removes a request to leave: that is the
 * second source of its departure up to the end of the machine, and the file ends with the disk. A
 * machine that comes back all the same, as after a power-off, has not ended, so it leaves again:
 * without the request it would only stay DRAINING. A request to drain holds over reboots.
 */

import type { Host } from '../core/host.ts';
import { readState } from '../core/state/read-state.ts';
import { paths, type OperatorRequest } from '../core/state/state.ts';
import { isRequest } from '../core/state/state-shape.ts';

export async function readRequest(host: Host): Promise<OperatorRequest | undefined> {
  // Only our own commands write this file; invalid content counts as no request.
  return readState<OperatorRequest>(host, paths.request, isRequest);
}

export async function removeRequest(host: Host): Promise<void> {
  await host.machine.remove(paths.request);
}
