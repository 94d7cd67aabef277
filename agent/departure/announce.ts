/** Tells people that the node leaves, and runs their executables beside the draining. */

import { messageOf } from '../../core/errors.ts';
import { runHooks } from '../hooks.ts';
import type { Departure } from './departure.ts';

export async function announce(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const { cause, reason, ending } = state;
  const deadline = new Date(state.deadline).toISOString();
  host.log.warn('leaving', { cause, reason, ending, deadline });
  await host.machine.say(`ecs-node: leaving (${cause}): ${reason}`);
  // Announced again because another cause took over: people's executables have run.
  if (state.entered.drain !== undefined) return;
  const hooks = runHooks(host, config, 'leaving', state, departure.leftMs(), signal);
  departure.background.push(
    hooks.catch((error: unknown) => host.log.warn('hooks cut off', { error: messageOf(error) })),
  );
}
