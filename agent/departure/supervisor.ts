/** Runs at most one departure: starts it, hands it to a stricter order, calls it off. */

import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { TakenBack } from './confirm.ts';
import { isOver, isRevocable, merge } from './order.ts';
import { undoDeparture, type UndoOptions } from './undo.ts';
import { runDeparture, type DepartureEffects } from './leave.ts';
import type { Order } from '../watching/watcher.ts';

export interface Supervisor {
  /**
   * Leaves for `order`; one under way takes it into account. Returns when the new order is being
   * carried out.
   */
  follow(order: Order): Promise<void>;
  /** Calls the departure off. False: too late, it goes on. Throws when ECS could not be told. */
  callOff(undoOptions: UndoOptions): Promise<boolean>;
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
  /** Called when a departure ends because its cause is denied: whoever listens calls it off. */
  onTakenBack: ((why: string) => void) | undefined;
}

/** A bug of ours in a departure: resumed from the disk, not in a busy loop. */
const againMs = 5_000;

export function openSupervisor(host: Host, config: Config, effects: DepartureEffects, signal: AbortSignal): Supervisor {
  const { promise: left, resolve, reject } = Promise.withResolvers<DepartureState>();
  left.catch(() => {});
  let state: DepartureState | undefined;
  let running: { controller: AbortController; done: Promise<void> } | undefined;
  let [departureBegins, nodeLeaves] = [new AbortController(), new AbortController()];
  let undoController: AbortController | undefined;
  const oneAtATime = openQueue();
  const onChange = (next: DepartureState) => {
    state = next;
    effects.onChange?.(next);
  };
  const run = async (order: Order, callSignal: AbortSignal): Promise<void> => {
    try {
      state = await runDepartureWithRetry(host, config, order, { ...effects, onChange }, callSignal);
      if (isForGood(state)) resolve(state);
    } catch (error) {
      if (callSignal.aborted) return;
      if (!(error instanceof TakenBack)) return reject(error);
      supervisor.onTakenBack?.(error.message);
    }
  };
  const stop = async (why: string) => {
    running?.controller.abort(new Error(why));
    await running?.done;
    running = undefined;
  };

  const supervisor: Supervisor = {
    left,
    onTakenBack: undefined,
    state: () => state,
    isAtRest: () => running === undefined || (state !== undefined && isOver(state)),
    stopped: async () => running?.done,
    idle: () => (running === undefined ? departureBegins.signal : undefined),
    remaining: () => (nodeLeaves.signal.aborted ? undefined : nodeLeaves.signal),
    async follow(order) {
      undoController?.abort(new Error('a new order'));
      await oneAtATime(async () => {
        if (running !== undefined && state !== undefined && !changes(state, order)) return;
        await stop('a stricter order takes over');
        const controller = new AbortController();
        running = { controller, done: run(order, AbortSignal.any([signal, controller.signal])) };
        departureBegins.abort(new Error('the node leaves'));
        if (order.ending !== 'remain') nodeLeaves.abort(new Error('the node leaves its group'));
      });
    },
    callOff: (undoOptions) =>
      oneAtATime(async () => {
        undoController = new AbortController();
        const undoSignal = AbortSignal.any([signal, undoController.signal]);
        if (isTooLate(state, undoOptions)) return false;
        await stop('called off');
        const undone = await undoDeparture(host, config, undoOptions, undoSignal);
        if (undone) state = undefined;
        [departureBegins, nodeLeaves] = [renewed(departureBegins), renewed(nodeLeaves)];
        return undone;
      }),
  };
  return supervisor;
}

function renewed(controller: AbortController): AbortController {
  return controller.signal.aborted ? new AbortController() : controller;
}

/**
 * A person comes too late once the registrar was left; a cause that is denied is never too late.
 */
function isTooLate(state: DepartureState | undefined, { isDenied }: UndoOptions): boolean {
  return state !== undefined && state.undoneAt === undefined && !isRevocable(state) && isDenied !== true;
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
async function runDepartureWithRetry(
  host: Host,
  config: Config,
  order: Order,
  effects: DepartureEffects,
  signal: AbortSignal,
): Promise<DepartureState> {
  for (;;) {
    try {
      return await runDeparture(host, config, order, effects, signal);
    } catch (error) {
      if (signal.aborted || error instanceof Refused || error instanceof TakenBack) throw error;
      host.log.error('departure failed, will be resumed', { error: stackOf(error) });
      await host.clock.sleep(againMs, signal);
    }
  }
}

/**
 * EC2 takes a spot instance in its own time, and a scale-in may come on top; a machine that returns
 * goes on afterwards.
 */
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
