/**
 * Asks the second sources of the orders that stand beside the departure under way. Such an order
 * only drains the node until its own second source agrees.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import type { Cause, DepartureState } from '../../core/state/state.ts';
import type { Order } from '../watching/watcher.ts';
import { awaitConfirmation, needsConfirmation, TakenBack } from './confirm.ts';
import { openDeparture, type Departure } from './departure.ts';
import { drainImmediately } from './drain.ts';
import { beginState, drainingOf, isConfirmedBy, isFor, withUptimes, type StandingOrder } from './order.ts';

export interface PendingOrders {
  /**
   * Asks for exactly these orders, unless they are confirmed. `current`: the departure under way.
   */
  keep(orders: readonly StandingOrder[], current: DepartureState | undefined): void;
  /** The order with the answers of its second source. */
  known(order: Order): StandingOrder;
  /** Resolves when nothing is asked any longer. */
  stopped(): Promise<void>;
}

interface Pending {
  order: Order;
  departure: Departure;
  controller: AbortController;
  done: Promise<void>;
}

interface Listeners {
  /** Called when an order is first asked for, and after each change of its state. */
  onAsked?(state: DepartureState): void;
  onConfirmed(): void;
  onDenied(cause: Cause, why: string): void;
}

/** The node's own reason may be gone after this time, so its departure asks once more. */
const freshMs = 60_000;

export function openPendingOrders(
  host: Host,
  config: Config,
  { onConfirmed, onDenied, onAsked = () => {} }: Listeners,
  signal: AbortSignal,
): PendingOrders {
  const pending = new Map<Cause, Pending>();

  const ask = async (departure: Departure, callSignal: AbortSignal): Promise<void> => {
    const { cause } = departure.state;
    try {
      await drainImmediately(departure, callSignal);
      await awaitConfirmation(departure, callSignal);
      if (!callSignal.aborted) onConfirmed();
    } catch (error) {
      if (callSignal.aborted) return;
      if (error instanceof TakenBack) onDenied(cause, error.message);
      else host.log.error('order not confirmed', { cause, error: messageOf(error) });
    }
  };
  const begin = (order: StandingOrder, current: DepartureState | undefined): void => {
    const controller = new AbortController();
    const callSignal = AbortSignal.any([signal, controller.signal]);
    const departure = openBeside(host, config, order, { current, onAsked }, callSignal);
    // The departure for this order was confirmed before a stricter one took over.
    const done = order.confirmation === undefined ? ask(departure, callSignal) : Promise.resolve();
    pending.set(order.cause, { order, departure, controller, done });
    onAsked(departure.state);
  };

  return {
    keep(orders, current) {
      const asked = orders.filter(needsConfirmation);
      for (const [cause, { order, departure, controller }] of pending) {
        const next = asked.find((each) => each.cause === cause);
        if (next !== undefined && (isFor(order, next) || isConfirmedBy(departure.state, next))) continue;
        controller.abort(new Error('this order does not wait any longer'));
        pending.delete(cause);
      }
      for (const order of asked) if (!pending.has(order.cause)) begin(order, current);
    },
    known(order) {
      const state = pending.get(order.cause)?.departure.state;
      if (state === undefined) return order;
      const { spotDeniedAt, confirmedAt: at = 0, confirmedBy: words = '' } = state;
      return {
        ...order,
        ...(spotDeniedAt !== undefined && { spotDeniedAt }),
        ...(isConfirmedBy(state, order) && { confirmation: { at, words } }),
      };
    },
    async stopped() {
      await Promise.all([...pending.values()].map(({ done }) => done));
    },
  };
}

/** Whether a departure may begin as confirmed by this answer. */
export function isFresh({ ending, confirmation }: StandingOrder, now: number): boolean {
  return confirmation !== undefined && (ending === 'await' || Math.abs(now - confirmation.at) < freshMs);
}

function openBeside(
  host: Host,
  config: Config,
  order: StandingOrder,
  { current, onAsked }: { current: DepartureState | undefined; onAsked: (state: DepartureState) => void },
  signal: AbortSignal,
): Departure {
  const at = { now: host.clock.now(), uptime: host.clock.uptime() };
  const begun = beginState(order, config, host.identity.instanceId, '', at.now);
  const { spotDeniedAt } = current ?? {};
  const state = {
    ...withUptimes(begun, order, {}, at),
    ...drainingOf(current ?? {}),
    ...(spotDeniedAt !== undefined && { spotDeniedAt }),
  };
  return openDeparture(host, config, { deregister: async () => {}, isBeside: true, onChange: onAsked }, state, signal);
}
