/** Brings a node back that was leaving, as long as nothing irrevocable has been done. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import { findContainerInstance, resumePlacement } from '../container-instance.ts';
import { hasBalancers } from './balancers.ts';
import { forgetDeparture, readDeparture, writeDeparture } from './departure.ts';
import { isRevocable, withTrouble } from './order.ts';

/** The caller comes again when AWS needs longer. */
const patienceMs = 60_000;

export interface UndoOptions {
  why: string;
  /** Something else keeps it out of service. */
  keepDraining: boolean;
  /** Because what it left for is over, and not because somebody wants it to stay in spite of it. */
  eventGone: boolean;
}

/**
 * ACTIVE again, unless something else keeps the node out of service. Throws when ECS could not be
 * told; false when it is too late.
 */
export async function undoDeparture(
  host: Host,
  config: Config,
  { why, keepDraining, eventGone }: UndoOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const state = await readDeparture(host);
  if (state === undefined || state.undoneAt !== undefined) return true;
  if (!isRevocable(state)) {
    host.log.warn('too late to stay', { cause: state.cause, phase: state.phase, why });
    return false;
  }
  const containerInstance = keepDraining ? undefined : await findContainerInstance(host, config, patienceMs, signal);
  if (containerInstance !== undefined) await resumePlacement(host, containerInstance, patienceMs, signal);
  const balancersLeft = state.entered.balancers !== undefined && hasBalancers({ config });
  if (balancersLeft) host.log.error('not in its load balancers any more: register it again', { why });
  const trouble = 'deregistered from its load balancers, which the undoing does not change';
  const isKept = await writeDeparture(
    host,
    {
      ...state,
      undoneAt: host.clock.now(),
      ...(eventGone && { eventGone }),
      blockers: [],
      troubles: balancersLeft ? withTrouble(state.troubles, trouble) : state.troubles,
    },
    signal,
  );
  // Otherwise the next agent would go on with it.
  if (!isKept) await forgetDeparture(host, signal);
  host.log.info('stays', { cause: state.cause, why, active: containerInstance !== undefined });
  await host.machine.say(`ecs-node: stays: ${why}`);
  return true;
}
