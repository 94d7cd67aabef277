/** Removes the node from its registrar, so that no record of it stays behind. */

import { withTimeout } from '../../core/retry.ts';
import { readState } from '../../core/state/read-state.ts';
import { paths, type BootstrapState, type Registered } from '../../core/state/state.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import type { Departure } from './departure.ts';

/** Unassigning runs recipes for up to five minutes. The calls around it take at most two more. */
const patienceMs = 420_000;

export async function deregisterFromRegistrar(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, effects, state } = departure;
  const registered = await readRegistered(departure);
  if (registered === undefined || registered.registrar === 'none') return;
  await departure.noteDeed('deregisteredAt');
  // After a deadline from outside, one short try is left. The node's own deadline may have passed
  // because the clock jumped, and a record left behind costs a person time.
  const leastMs = state.hardDeadline === true ? 10_000 : patienceMs;
  const ms = Math.min(patienceMs, Math.max(departure.leftMs(), leastMs));
  await withTimeout(ms, (callSignal) => effects.deregister(host, registered, callSignal), host.clock, signal);
  host.log.info('registrar left', { registrar: registered.registrar });
}

async function readRegistered({ host }: Departure): Promise<Registered | undefined> {
  return (await readState<BootstrapState>(host, paths.bootstrap, isBootstrapState))?.registered;
}
