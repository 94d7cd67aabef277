/** Runs at most one departure: starts it, merges a stricter order into it, and calls it off. */

import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { retry } from '../../core/retry.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { TakenBack } from './confirm.ts';
import { isOver, isRevocable, merge } from './order.ts';
import { undoDeparture, type UndoOptions } from './undo.ts';
import { runDeparture, type DepartureEffects } from './leave.ts';
import type { Order } from '../watching/watcher.ts';

export interface Supervisor {
  /**
   * Leaves for `order`, or merges it into the departure under way. Returns when the new order is
   * being carried out.
   */
  follow(order: Order): Promise<void>;
  /**
   * Calls the departure off. False: too late, the departure continues. Throws when ECS could not be
   * told.
   */
  callOff(undoOptions: UndoOptions): Promise<boolean>;
  /**
   * Brings a node back that no departure drained. A new order stops that and waits for its end:
   * otherwise the node becomes ACTIVE after the departure has set DRAINING.
   */
  bringBack(work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean>;
  /** The departure under way, or the final state of the last one. */
  state(): DepartureState | undefined;
  /** A signal that aborts when the next departure begins; undefined during one. */
  idle(): AbortSignal | undefined;
  /** As `idle`, but ignores a departure that only drains the node. */
  remaining(): AbortSignal | undefined;
  /**
   * True while no departure is under way. A finished departure after which the node remains counts
   * as none.
   */
  isAtRest(): boolean;
  /** Resolves when no part of a departure runs any longer; for the end of the agent. */
  stopped(): Promise<void>;
  /** Resolves when the node has left for good; rejects when it must not leave. */
  left: Promise<DepartureState>;
  /** Called when a departure ends because its cause is denied. The listener undoes it. */
  onTakenBack: ((why: string) => void) | undefined;
}

/** After a bug in a departure, it resumes from the disk with this pause instead of a busy loop. */
const againMs = 5_000;

type Effects = Pick<DepartureEffects, 'deregister'>;

export function openSupervisor(host: Host, config: Config, effects: Effects, signal: AbortSignal): Supervisor {
  const { promise: left, resolve, reject } = Promise.withResolvers<DepartureState>();
  left.catch(() => {});
  let state: DepartureState | undefined;
  let running: { controller: AbortController; done: Promise<void> } | undefined;
  let [departureBegins, nodeLeaves] = [new AbortController(), new AbortController()];
  const oneAtATime = openQueue();
  const undoing = openUndoing(oneAtATime, signal);
  const onChange = (next: DepartureState) => void (state = next);
  const tracked = { ...effects, onChange, lastState: () => state };
  const run = async (order: Order, callSignal: AbortSignal): Promise<void> => {
    try {
      state = await runDepartureWithRetry(host, config, order, tracked, callSignal);
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
      undoing.abort(new Error('a new order'));
      await oneAtATime(async () => {
        if (running !== undefined && state !== undefined && !changes(state, order)) return;
        await stop('a stricter order takes over');
        const controller = new AbortController();
        running = { controller, done: run(order, AbortSignal.any([signal, controller.signal])) };
        departureBegins.abort(new Error('the node leaves'));
        // A node that only drains goes on joining, also after another order had stopped that.
        if (order.ending === 'remain') nodeLeaves = renewed(nodeLeaves);
        else nodeLeaves.abort(new Error('the node leaves its group'));
      });
    },
    bringBack: undoing.run,
    callOff: (undoOptions) =>
      undoing.run(async (undoSignal) => {
        if (isTooLate(state, undoOptions)) return false;
        await stop('called off');
        const undone = await undoDeparture(host, config, state, undoOptions, undoSignal);
        if (undone) state = undefined;
        [departureBegins, nodeLeaves] = [renewed(departureBegins), renewed(nodeLeaves)];
        return undone;
      }),
  };
  return supervisor;
}

interface Undoing {
  run(work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean>;
  /** Stops the work that runs, not work that begins later. */
  abort(why: Error): void;
}

function openUndoing(oneAtATime: ReturnType<typeof openQueue>, signal: AbortSignal): Undoing {
  let controller: AbortController | undefined;
  return {
    run: (work) =>
      oneAtATime(() => {
        controller = new AbortController();
        return work(AbortSignal.any([signal, controller.signal]));
      }),
    abort: (why) => controller?.abort(why),
  };
}

function renewed(controller: AbortController): AbortController {
  return controller.signal.aborted ? new AbortController() : controller;
}

/** A person is too late once the node has left its registrar. A denied cause is never too late. */
function isTooLate(state: DepartureState | undefined, { isDenied }: UndoOptions): boolean {
  return state !== undefined && state.undoneAt === undefined && !isRevocable(state) && isDenied !== true;
}

/** Runs one change at a time. Each change is short, or the next one aborts its wait. */
function openQueue(): <T>(change: () => Promise<T>) => Promise<T> {
  let turn: Promise<unknown> = Promise.resolve();
  return (change) => {
    const next = turn.then(change);
    turn = next.catch(() => {});
    return next;
  };
}

/**
 * Rejects only when stopped, when the cause is denied, or when the departure belongs to another
 * machine.
 */
async function runDepartureWithRetry(
  host: Host,
  config: Config,
  order: Order,
  effects: DepartureEffects,
  signal: AbortSignal,
): Promise<DepartureState> {
  return retry((callSignal) => runDeparture(host, config, order, effects, callSignal), {
    clock: host.clock,
    signal,
    withinMs: Infinity,
    pauseMs: againMs,
    maxPauseMs: againMs,
    retryIf: (error) => !(error instanceof Refused || error instanceof TakenBack),
    onRetry: (error) => host.log.error('departure failed, will be resumed', { error: stackOf(error) }),
  });
}

/**
 * Not for good: EC2 takes a spot instance at its own time, and a scale-in may still follow. A
 * machine that returns continues afterwards.
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
