/** Holds a scale-in back until the services have found room elsewhere; opt-in. */

import { until } from '../../core/patience.ts';
import { askOnce } from '../asking.ts';
import type { Departure } from './departure.ts';

/** Services start tasks in tens of seconds, and each look costs a call for every ten services. */
const everyMs = 15_000;

export async function waitForSteadyServices(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const ms = Math.min(config.leave.steadyClusterSeconds * 1000, departure.leftMs());
  if (state.cause !== 'scale-in' || ms === 0) return;
  const look = async (inner: AbortSignal): Promise<true | undefined> => {
    const unsteady = await askOnce(host, inner, (deeper) => host.cloud.readUnsteadyServices(config.cluster, deeper));
    await departure.note({ blockers: unsteady.map((name) => `service:${name} below its desired count`) });
    return unsteady.length === 0 ? true : undefined;
  };
  await until('steady services', look, { clock: host.clock, signal, withinMs: ms, everyMs });
}
