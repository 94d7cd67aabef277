/** Tells people that the node leaves, and runs the operator's executables while the node drains. */

import { messageOf } from '../../core/errors.ts';
import { runHooks } from '../hooks.ts';
import { irrevocableOf } from './order.ts';
import type { Departure } from './departure.ts';

export async function announce({ host, state }: Departure, _signal: AbortSignal): Promise<void> {
  const { cause, reason, ending } = state;
  const deadline = new Date(state.deadline).toISOString();
  host.log.warn('leaving', { cause, reason, ending, deadline });
  await host.machine.say(`ecs-node: leaving (${cause}): ${reason}`);
}

/**
 * Runs the executables in hooks.d/leaving, once per departure and only when it is confirmed: their
 * effects cannot be undone.
 */
export function runLeavingHooks(departure: Departure, signal: AbortSignal): void {
  const { state } = departure;
  if (state.confirmedAt === undefined || irrevocableOf(state).ranHooksAt !== undefined) return;
  const { host, config } = departure;
  const run = async () => {
    await departure.noteDeed('ranHooksAt');
    await runHooks(host, config, 'leaving', departure.state, departure.leftMs(), signal);
  };
  departure.background.push(
    run().catch((error: unknown) => host.log.warn('hooks cut off', { error: messageOf(error) })),
  );
}
