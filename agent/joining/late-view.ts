/**
 * Checks whether Systems Manager sees a node whose bootstrap did not wait for it. Logs the success
 * and saves it for `ecs-node status`.
 */

import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { jitter } from '../../core/retry.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import { parseState, paths, renderState, type BootstrapState } from '../../core/state/state.ts';
import { callOnce } from '../calls.ts';

/** A person who fixed the role or the network checks the node some minutes later. */
const firstPauseMs = 60_000;
const longestPauseMs = 900_000;

/** Runs until Systems Manager sees the node or the signal aborts. */
export async function lookForLateView(host: Host, signal: AbortSignal): Promise<void> {
  let told = '';
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const text = await host.machine.readText(paths.bootstrap).catch(() => undefined);
    const state = parseState<BootstrapState>(text, host.identity.instanceId, isBootstrapState);
    if (state?.registered?.unseen !== true) return;
    await host.clock.sleep(jitter(pauseMs), signal);
    try {
      const ping = await callOnce(host, signal, (callSignal) => host.cloud.readPing(callSignal));
      if (ping !== 'Online') continue;
      const { unseen: _, ...registered } = state.registered;
      await host.machine.writeText(paths.bootstrap, renderState({ ...state, registered }));
      host.log.info('Systems Manager sees this node');
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (messageOf(error) !== told) host.log.warn('Systems Manager not read', { error: messageOf(error) });
      told = messageOf(error);
    }
  }
}
