/** Runs at most one departure: starts it, hands it to a stricter order, calls it off. */

import type { Config } from '../core/config.ts';
import { Refused, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import type { DepartureState } from '../core/state.ts';
import { isOver, isRevocable, merge } from './departure/order.ts';
import { undoDeparture, type Undoing } from './departure/undo.ts';
import { leave, type Deeds } from './leave.ts';
import type { Order } from './watcher.ts';

export interface Supervisor {
  /** Leaves for `order`; one under way takes it into account. Returns when the new order is being carried out. */
  follow(order: Order): Promise<void>;
  /** Calls the departure off. False: too late, it goes on. Throws when ECS could not be told. */
  callOff(undoing: Undoing): Promise<boolean>;
  /** The departure under way, or what is left of the last one. */
  state(): DepartureState | undefined;
  /** Aborts when the next departure begins. */
  idle(): AbortSignal | undefined;
  /** As `idle`, but a departure that only drains the node is none. */
  remaining(): AbortSignal | undefined;
  /** No departure is under way; one that is over, with the node drained and staying, is none. */
  isAtRest(): boolean;
  /** Resolves when nothing of a departure runs any more; for the end of the agent. */
  stopped(): Promise<void>;
  /** Resolves when the node has left for good; rejects when it must not. */
  left: Promise<DepartureState>;
}

/** A bug of ours in a departure: resumed from the disk, not in a busy loop. */
const againMs = 5_000;

export function openSupervisor(host: Host, config: Config, deeds: Deeds, signal: AbortSignal): Supervisor {
  const { promise: left, resolve, reject } = Promise.withResolvers<DepartureState>();
  left.catch(() => {});
  let state: DepartureState | undefined;
  let running: { controller: AbortController; done: Promise<void> } | undefined;
  let [beginning, parting] = [new AbortController(), new AbortController()];
  let undoing: AbortController | undefined;
  const inTurn = openQueue();
  const watched: Deeds = {
    ...deeds,
    onChange(next) {
      state = next;
      deeds.onChange?.(next);
    },
  };

  const run = async (order: Order, inner: AbortSignal): Promise<void> => {
    try {
      state = await leavePatiently(host, config, order, watched, inner);
      if (isForGood(state)) resolve(state);
    } catch (error) {
      if (!inner.aborted) reject(error);
    }
  };
  const stop = async (why: string) => {
    running?.controller.abort(new Error(why));
    await running?.done;
    running = undefined;
  };

  return {
    left,
    state: () => state,
    isAtRest: () => running === undefined || (state !== undefined && isOver(state)),
    stopped: async () => running?.done,
    idle: () => (running === undefined ? beginning.signal : undefined),
    remaining: () => (parting.signal.aborted ? undefined : parting.signal),
    async follow(order) {
      undoing?.abort(new Error('a new order'));
      await inTurn(async () => {
        if (running !== undefined && state !== undefined && !changes(state, order)) return;
        await stop('a stricter order takes over');
        const controller = new AbortController();
        running = { controller, done: run(order, AbortSignal.any([signal, controller.signal])) };
        beginning.abort(new Error('the node leaves'));
        if (order.ending !== 'remain') parting.abort(new Error('the node leaves its group'));
      });
    },
    callOff: (how) =>
      inTurn(async () => {
        undoing = new AbortController();
        const both = AbortSignal.any([signal, undoing.signal]);
        if (state !== undefined && state.undoneAt === undefined && !isRevocable(state)) return false;
        await stop('called off');
        const undone = await undoDeparture(host, config, how, both);
        if (undone) state = undefined;
        if (beginning.signal.aborted) beginning = new AbortController();
        if (parting.signal.aborted) parting = new AbortController();
        return undone;
      }),
  };
}

/** One change at a time; what is waited for in it is short, or aborted by the next one. */
function openQueue(): <T>(change: () => Promise<T>) => Promise<T> {
  let turn: Promise<unknown> = Promise.resolve();
  return (change) => {
    const next = turn.then(change);
    turn = next.catch(() => {});
    return next;
  };
}

/** Rejects only when stopped, or when this machine is not the one that was to leave. */
async function leavePatiently(
  host: Host,
  config: Config,
  order: Order,
  deeds: Deeds,
  signal: AbortSignal,
): Promise<DepartureState> {
  for (;;) {
    try {
      return await leave(host, config, order, deeds, signal);
    } catch (error) {
      if (signal.aborted || error instanceof Refused) throw error;
      host.log.error('departure failed, will be resumed', { error: stackOf(error) });
      await host.clock.sleep(againMs, signal);
    }
  }
}

/** Spot reclaims the machine in its own time, and a scale-in may come on top; who returns goes on afterwards. */
function isForGood({ ending, cause, returns }: DepartureState): boolean {
  return ending !== 'remain' && cause !== 'spot' && returns !== true;
}

function changes(state: DepartureState, order: Order): boolean {
  if (isOver(state)) return state.cause !== order.cause || state.key !== order.key || state.ending !== order.ending;
  return merge(state, order) !== state;
}

function stackOf(error: unknown): string {
  return error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
}
