/**
 * Tells whether this is the instance's first boot. Auto Scaling's launch hook begins shortly before
 * that boot.
 */

import type { Host } from '../../core/host.ts';
import { parseState, paths, type BootstrapState } from '../../core/state/state.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';

/** False where it is unknown. */
export async function isFirstBoot({ machine, identity }: Host): Promise<boolean> {
  try {
    const text = await machine.readText(paths.bootstrap);
    const state = parseState<BootstrapState>(text, identity.instanceId, isBootstrapState);
    return state?.firstBootId !== undefined && state.firstBootId === (await machine.readBootId());
  } catch {
    return false;
  }
}
