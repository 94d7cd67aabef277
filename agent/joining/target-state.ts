/** The state in which Auto Scaling wants this node, from the metadata service. */

import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/** The metadata service answers in milliseconds, or not at all. */
export const targetMs = 5_000;

/** Undefined where the metadata service does not answer, or knows no target state. */
export async function readTarget(host: Host, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await callOnce(host, signal, (callSignal) => host.metadata.readTargetState(callSignal), targetMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('target state not read', { error: messageOf(error) });
    return undefined;
  }
}
