/**
 * Asks the storm guard before a node that could not join terminates itself. While nodes of the
 * group fail one after another, it waits instead.
 */

import { withLaunchHookHeartbeats } from '../../agent/joining/launch-hook-heartbeats.ts';
import type { KnownFacts } from '../../agent/known-facts.ts';
import { readBootstrapState, writeState } from '../../bootstrap/bootstrap.ts';
import { hold } from '../../bootstrap/hold.ts';
import { readStorm, type Storm } from '../../bootstrap/storm-guard.ts';
import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';

/** The shortest launch hook lasts 30 s. Most reads of the history take less than this. */
const quietMs = 10_000;

/** False after the wait: the node then tries to join once more. */
export async function mayTerminate(
  host: Host,
  config: Config,
  signal: AbortSignal,
  knownFacts?: KnownFacts,
): Promise<boolean> {
  const storm = await withLaunchHookHeartbeats(
    host,
    config,
    quietMs,
    signal,
    () => waitForStormGuard(host, config, signal),
    knownFacts,
  );
  if (storm.kind === 'proceed') return true;
  const state = await readBootstrapState(host);
  if (state?.outcome === 'held') {
    const { heldUntil: _, ...rest } = state;
    await writeState(host, { ...rest, outcome: 'done' });
  }
  return false;
}

async function waitForStormGuard(host: Host, config: Config, signal: AbortSignal): Promise<Storm> {
  const storm = await readStorm(host, config, signal);
  if (storm.kind === 'hold') await hold(host, config, storm, signal);
  return storm;
}
