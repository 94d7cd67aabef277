/** Delays a scale-in until the services run their tasks elsewhere; opt-in. */

import { poll } from '../../core/poll.ts';
import { callOnce } from '../calls.ts';
import type { Departure } from './departure.ts';

/** Services start tasks in tens of seconds, and each check costs a call for every ten services. */
const everyMs = 15_000;

export async function waitForSteadyServices(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const ms = Math.min(config.leave.steadyClusterSeconds * 1000, departure.leftMs());
  if (state.cause !== 'scale-in' || ms === 0) return;
  const read = async (callSignal: AbortSignal): Promise<true | undefined> => {
    const unsteady = await callOnce(host, callSignal, (innerSignal) =>
      host.cloud.readUnsteadyServices(config.cluster, innerSignal),
    );
    await departure.note({ blockers: unsteady.map((name) => `service:${name} below its desired count`) });
    return unsteady.length === 0 ? true : undefined;
  };
  await poll('steady services', read, { clock: host.clock, signal, withinMs: ms, everyMs });
}
