/** Asks the storm guard before a node dies that could not join; where nodes die one after another, it waits instead. */

import { readBootstrapState, writeState } from '../bootstrap/bootstrap.ts';
import { hold } from '../bootstrap/holding.ts';
import { readStorm } from '../bootstrap/storm-guard.ts';
import type { Config } from '../core/config.ts';
import type { Host } from '../core/host.ts';
import { keepingHookAlive } from './keeping-hook-alive.ts';

/** False after the wait: try once more. */
export async function mayDie(host: Host, config: Config, signal: AbortSignal): Promise<boolean> {
  const storm = await readStorm(host, config, signal);
  if (storm.kind === 'proceed') return true;
  await keepingHookAlive(host, config, 0, signal, () => hold(host, config, storm, signal));
  const state = await readBootstrapState(host);
  if (state?.outcome === 'held') {
    const { heldUntil: _, ...rest } = state;
    await writeState(host, { ...rest, outcome: 'done' });
  }
  return false;
}
