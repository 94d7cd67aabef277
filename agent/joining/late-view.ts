/**
 * Checks whether Systems Manager sees a node whose bootstrap did not wait for it. Logs the success
 * and saves it for `ecs-node status`.
 */

import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import { parseState, paths, renderState, type BootstrapState, type Registered } from '../../core/state/state.ts';
import { callOnce, retryUntilDone } from '../calls.ts';

/** A person who fixed the role or the network checks the node some minutes later. */
const firstPauseMs = 60_000;
const longestPauseMs = 900_000;

/** Runs until Systems Manager sees the node or the signal aborts. */
export async function lookForLateView(host: Host, signal: AbortSignal): Promise<void> {
  if ((await readUnseen(host)) === undefined) return;
  await host.clock.sleep(jitter(firstPauseMs), signal);
  const look = async () => {
    const state = await readUnseen(host);
    if (state === undefined) return;
    const ping = await callOnce(host, signal, (callSignal) => host.cloud.readPing(callSignal));
    if (ping !== 'Online') throw new Unavailable(`this node is ${ping ?? 'not registered'} there`);
    const { unseen: _, ...registered } = state.registered;
    await host.machine.writeText(paths.bootstrap, renderState({ ...state, registered }));
    host.log.info('Systems Manager sees this node');
  };
  const pauses = { pauseMs: 2 * firstPauseMs, maxPauseMs: longestPauseMs };
  await retryUntilDone(host, 'Systems Manager not read', pauses, signal, look);
}

/** The bootstrap's state, while it says that Systems Manager did not see the node. */
async function readUnseen(host: Host): Promise<(BootstrapState & { registered: Registered }) | undefined> {
  const text = await host.machine.readText(paths.bootstrap).catch(() => undefined);
  const state = parseState<BootstrapState>(text, host.identity.instanceId, isBootstrapState);
  if (state?.registered?.unseen !== true) return undefined;
  return { ...state, registered: state.registered };
}
