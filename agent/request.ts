/**
 * The operator's request to the agent. `ecs-node leave` and `ecs-node stay` write it. The agent
 * removes a request to stay once the node stays. It never removes a request to leave: that is the
 * second source of its departure up to the end of the machine, and the file ends with the disk. A
 * machine that comes back all the same, as after a power-off, has not ended, so it leaves again:
 * without the request it would only stay DRAINING. A request to drain holds over reboots.
 */

import { Unavailable } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { readState } from '../core/state/read-state.ts';
import { paths, renderState, type OperatorRequest } from '../core/state/state.ts';
import { isRequest } from '../core/state/state-shape.ts';

export async function readRequest(host: Host): Promise<OperatorRequest | undefined> {
  // Only our own commands write these files; invalid content counts as no request.
  const read = (path: string) => readState<OperatorRequest>(host, path, isRequest);
  return (await read(paths.requestInMemory)) ?? read(paths.request);
}

/** A request to stay also removes the request to leave, which it could not replace. */
export async function removeRequest({ machine }: Pick<Host, 'machine'>): Promise<void> {
  await machine.remove(paths.request);
  await machine.remove(paths.requestInMemory);
}

/**
 * Only a request to stay may be lost at a reboot. The node that needs it may have a full disk, and
 * would otherwise end although a person wants to keep it.
 */
export async function writeRequest({ machine }: Pick<Host, 'machine'>, request: OperatorRequest): Promise<void> {
  const text = renderState(request);
  try {
    await machine.writeText(paths.request, text, 0o600);
  } catch (error) {
    if (request.action !== 'stay' || !(error instanceof Unavailable)) throw error;
    await machine.writeText(paths.requestInMemory, text, 0o600);
    return;
  }
  await machine.remove(paths.requestInMemory);
}
