/** Tells whether this is the instance's first boot, and whether the node has been in service. */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { parseState, paths, type BootstrapState } from '../../core/state/state.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { isLaunching } from '../lifecycle-states.ts';

/** False where it is unknown. Auto Scaling's launch hook begins shortly before the first boot. */
export async function isFirstBoot({ machine, identity }: Host): Promise<boolean> {
  try {
    const text = await machine.readText(paths.bootstrap);
    const state = parseState<BootstrapState>(text, identity.instanceId, isBootstrapState);
    return state?.firstBootId !== undefined && state.firstBootId === (await machine.readBootId());
  } catch {
    return false;
  }
}

/**
 * Whether the node was in service before this boot, as far as is known: true unless this is its
 * first boot, or its group still launches it.
 */
export async function hasServed(host: Host, signal: AbortSignal): Promise<boolean> {
  if (await isFirstBoot(host)) return false;
  try {
    return !isLaunching(await callOnce(host, signal, (callSignal) => readMembership(host, callSignal)));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refused || error instanceof Unavailable) return true;
    throw error;
  }
}
