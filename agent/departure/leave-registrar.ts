/** Removes the node from its registrars, so that no record of it stays behind. */

import { withTimeout } from '../../core/retry.ts';
import { readState } from '../../core/state/read-state.ts';
import { paths, type BootstrapState, type Registered } from '../../core/state/state.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import { mustStillStand } from './confirm.ts';
import type { Departure } from './departure.ts';

/** Unassigning runs recipes for up to five minutes. The calls around it take at most two more. */
const patienceMs = 420_000;

/** Also deregisters from those that the bootstrap could not leave, all at once to cost no time. */
export async function deregisterFromRegistrar(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, effects, state } = departure;
  const { registered, former = [] } = (await readState<BootstrapState>(host, paths.bootstrap, isBootstrapState)) ?? {};
  const isRegistered = registered !== undefined && registered.registrar !== 'none';
  const all = [...(isRegistered ? [registered] : []), ...former];
  if (all.length === 0) return;
  await mustStillStand(departure, signal);
  if (isRegistered) await departure.noteDeed('deregisteredAt');
  // The machine may have stood still while that was written to disk.
  await mustStillStand(departure, signal);
  // After a deadline from outside, one short try is left. The node's own deadline may have passed
  // because the clock jumped, and a record left behind costs a person time.
  const leastMs = state.hardDeadline === true ? 10_000 : patienceMs;
  const ms = Math.min(patienceMs, Math.max(departure.leftMs(), leastMs));
  const leave = async (one: Registered) => {
    try {
      await withTimeout(ms, (callSignal) => effects.deregister(host, one, callSignal), host.clock, signal);
      host.log.info('registrar left', { registrar: one.registrar });
    } catch (error) {
      signal.throwIfAborted();
      await departure.trouble('registrar', error);
    }
  };
  await Promise.all(all.map(leave));
}
