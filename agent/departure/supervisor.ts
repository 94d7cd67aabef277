/**
 * Runs at most one departure: starts it, merges a stricter order into it, and calls it off. Each
 * order keeps its own confirmation, and the departure follows from all of them.
 */

import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { retry } from '../../core/retry.ts';
import type { Cause, DepartureState } from '../../core/state/state.ts';
import { TakenBack } from './confirm.ts';
import { openDeparture, openRewriting, writeDeparture } from './departure.ts';
import { keepDrained } from './drain.ts';
import { chooseOrder, isConfirmedBy, isDoneFor, isOver, isRevocable, merge, type StandingOrder } from './order.ts';
import { isFresh, openPendingOrders } from './pending-orders.ts';
import { openLateDraining, undoDeparture, type UndoOptions } from './undo.ts';
import { runDeparture, type DepartureEffects } from './leave.ts';
import type { Order } from '../watching/watcher.ts';

export interface Supervisor {
  /**
   * Leaves for the order of these that applies, or merges it into the departure under way. Asks the
   * second sources of the others. Returns when the order is being carried out.
   */
  follow(orders: readonly Order[]): Promise<void>;
  /** Whether the second source of this order has confirmed it. */
  isConfirmed(order: Order): boolean;
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
  /** Called when the second source denies a cause. The listener withdraws its order. */
  onTakenBack: ((cause: Cause, why: string, key?: string) => void) | undefined;
}

/** After a bug in a departure, it resumes from the disk with this pause instead of a busy loop. */
const againMs = 5_000;

type Effects = Pick<DepartureEffects, 'deregister'>;

interface Options extends Effects {
  /** The departure that an earlier process left on disk. */
  past?: DepartureState | undefined;
  /** Called when the second source of an order beside the departure is asked, or has answered. */
  onAsked?(state: DepartureState): void;
}

export function openSupervisor(host: Host, config: Config, options: Options, signal: AbortSignal): Supervisor {
  const { promise: left, resolve: onLeft, reject: onFailed } = Promise.withResolvers<DepartureState>();
  left.catch(() => {});
  let standing: readonly Order[] = [];
  let before: Before = { onDisk: options.past };
  const signals = openSignals();
  const oneAtATime = openQueue();
  const undoing = openUndoing(oneAtATime, signal);
  const onDenied = (cause: Cause, why: string, key?: string) => supervisor.onTakenBack?.(cause, why, key);
  const lateDraining = openLateDraining(host, config, signal);
  const departure = openRunner(host, config, options, signal, { onLeft, onFailed, onDenied, ...lateDraining });
  const onConfirmed = () => void oneAtATime(apply).catch(() => {});
  const pending = openPendingOrders(host, config, { ...options, onConfirmed, onDenied }, signal);
  const known = (order: Order) =>
    withAnswers(pending.known(order), departure.state() ?? before.onDisk, before.finished);

  const apply = async () => {
    const state = departure.state() ?? before.onDisk;
    const { order, asked } = decide(standing.map(known), state, departure.wouldChange);
    pending.keep(asked, state);
    if (order === undefined) return;
    await departure.stop('a stricter order takes over');
    const done = departure.state();
    if (done !== undefined && isOver(done)) before = { finished: done };
    const started = departure.start(order);
    signals.begin(order);
    await started;
  };

  const supervisor: Supervisor = {
    left,
    onTakenBack: undefined,
    state: departure.state,
    isAtRest: departure.isAtRest,
    isConfirmed: (order) => known(order).confirmation !== undefined,
    stopped: async () => void (await Promise.all([departure.stopped(), pending.stopped()])),
    idle: () => (departure.isRunning() ? undefined : signals.departureBegins()),
    remaining: signals.remaining,
    async follow(orders) {
      undoing.abort(new Error('a new order'));
      await oneAtATime(() => {
        standing = orders;
        return apply();
      });
    },
    bringBack: undoing.run,
    callOff: (undoOptions) =>
      undoing.run(async (undoSignal) => {
        standing = [];
        pending.keep([], departure.state());
        if (isTooLate(departure.state(), undoOptions)) return false;
        await departure.callOff(undoSignal);
        signals.remain();
        const undone = await undoDeparture(host, config, departure.state(), undoOptions, undoSignal);
        if (undone) before = departure.forget();
        signals.renew();
        if (undone && !undoOptions.keepDraining) lateDraining.watch(signals.departureBegins());
        return undone;
      }),
  };
  return supervisor;
}

interface Decision {
  /** The order that begins a departure, or changes the one under way. */
  order?: StandingOrder;
  /** The orders whose second sources are asked, and whose answers are kept. */
  asked: readonly StandingOrder[];
}

function decide(
  orders: readonly StandingOrder[],
  state: DepartureState | undefined,
  wouldChange: Runner['wouldChange'],
): Decision {
  const order = chooseOrder(orders);
  const open = orders.filter(({ isDone }) => isDone !== true);
  if (order === undefined || (state !== undefined && isTooLateFor(state, order, orders))) return { asked: open };
  const isNew = wouldChange(order);
  // The departure keeps the answer of its own order only, which may not be the order that applies.
  const ofDeparture = isNew ? order.cause : (state?.cause ?? order.cause);
  return { ...(isNew && { order }), asked: open.filter(({ cause }) => cause !== ofDeparture) };
}

interface Signals {
  begin(order: Order): void;
  /** The node joins again, also while ECS cannot be told. */
  remain(): void;
  renew(): void;
  departureBegins(): AbortSignal;
  remaining(): AbortSignal | undefined;
}

/** The signals that end what a node does while it is idle, or while it is in its group. */
function openSignals(): Signals {
  let [departureBegins, nodeLeaves] = [new AbortController(), new AbortController()];
  return {
    begin({ ending }) {
      departureBegins.abort(new Error('the node leaves'));
      // A node that only drains goes on joining, also after another order had stopped that.
      if (ending === 'remain') nodeLeaves = renewed(nodeLeaves);
      else nodeLeaves.abort(new Error('the node leaves its group'));
    },
    remain: () => void (nodeLeaves = renewed(nodeLeaves)),
    renew: () => void ([departureBegins, nodeLeaves] = [renewed(departureBegins), renewed(nodeLeaves)]),
    departureBegins: () => departureBegins.signal,
    remaining: () => (nodeLeaves.signal.aborted ? undefined : nodeLeaves.signal),
  };
}

interface Runner {
  state(): DepartureState | undefined;
  isRunning(): boolean;
  isAtRest(): boolean;
  /** Whether the order begins a departure, or changes the one under way. */
  wouldChange(order: StandingOrder): boolean;
  /** Returns when the state is known, so that the next order is compared with this departure. */
  start(order: StandingOrder): Promise<void>;
  stop(why: string): Promise<void>;
  stopped(): Promise<void>;
  /** Stops it and notes that the instance is back: ECS may be silent until the next order comes. */
  callOff(callSignal: AbortSignal): Promise<void>;
  /** Forgets a departure that was undone. */
  forget(): Before;
}

interface Outcomes {
  onLeft(state: DepartureState): void;
  onFailed(error: unknown): void;
  onDenied(cause: Cause, why: string, key?: string): void;
  onLostDraining(): void;
}

/** The one departure of this process. */
function openRunner(
  host: Host,
  config: Config,
  { deregister }: Effects,
  signal: AbortSignal,
  { onLeft, onFailed, onDenied, onLostDraining }: Outcomes,
): Runner {
  let state: DepartureState | undefined;
  let running: { controller: AbortController; done: Promise<void> } | undefined;
  let opened = Promise.withResolvers<void>();
  const onChange = (next: DepartureState) => {
    state = next;
    opened.resolve();
  };
  const lastState = () => state;
  const run = async (order: StandingOrder, callSignal: AbortSignal): Promise<void> => {
    try {
      await runToItsEnd(host, config, order, { deregister, onChange, lastState, onLeft, onLostDraining }, callSignal);
    } catch (error) {
      if (callSignal.aborted) return;
      if (!(error instanceof TakenBack)) return onFailed(error);
      onDenied(state?.cause ?? order.cause, error.message, state?.key);
    }
  };
  const runner: Runner = {
    state: lastState,
    isRunning: () => running !== undefined,
    isAtRest: () => running === undefined || (state !== undefined && isOver(state)),
    wouldChange: (order) =>
      running === undefined || state === undefined || changes(state, order, config, host.clock.now()),
    async start(order) {
      const controller = new AbortController();
      opened = Promise.withResolvers();
      const { confirmation: _confirmation, ...unconfirmed } = order;
      const next = isFresh(order, host.clock.now()) ? order : unconfirmed;
      running = { controller, done: run(next, AbortSignal.any([signal, controller.signal])) };
      await Promise.race([opened.promise, running.done]);
    },
    async stop(why) {
      running?.controller.abort(new Error(why));
      await running?.done;
      running = undefined;
    },
    stopped: async () => running?.done,
    async callOff(callSignal) {
      await runner.stop('called off');
      if (state?.drainedAt !== undefined) state = { ...state, undoBegunAt: host.clock.now() };
      if (state?.phase !== 'done' || state.returns !== true || state.backAt !== undefined) return;
      state = { ...state, backAt: host.clock.now() };
      await writeDeparture(host, state, callSignal);
    },
    forget() {
      state = undefined;
      return {};
    },
  };
  return runner;
}

/** The departures before the one of this process. */
interface Before {
  /** It counts until this process has a departure. */
  onDisk?: DepartureState | undefined;
  /** It was done before the present one began. Its order may still stand. */
  finished?: DepartureState;
}

/** The order, with its confirmation and its end as the departures know them. */
function withAnswers(
  order: StandingOrder,
  departure: DepartureState | undefined,
  finished: DepartureState | undefined,
): StandingOrder {
  const isDone = [departure, finished].some((each) => each !== undefined && isDoneFor(each, order));
  if (departure === undefined || !isConfirmedBy(departure, order)) return { ...order, isDone };
  const { confirmedAt: at = 0, confirmedBy: words = '' } = departure;
  // The confirmation of a departure that is over does not count for a later event.
  const counts = isDone || !isOver(departure);
  return { ...order, isDone, ...(counts && { confirmation: { at, words } }) };
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

type RunEffects = Effects &
  Required<Pick<DepartureEffects, 'onChange' | 'lastState' | 'onLostDraining'>> &
  Pick<Outcomes, 'onLeft'>;

/**
 * Where the node remains, this goes on until the departure is called off or replaced: it drains
 * each record under which the ECS agent registers. Rejects only when stopped, when the cause is
 * denied, or when the departure belongs to another machine.
 */
async function runToItsEnd(
  host: Host,
  config: Config,
  order: StandingOrder,
  { onLeft, ...own }: RunEffects,
  signal: AbortSignal,
): Promise<void> {
  const onRefused = openRewriting(host, own.lastState, signal);
  const effects = { ...own, onRefused, drainedArns: new Set<string>() };
  const state = await retry((callSignal) => runDeparture(host, config, order, effects, callSignal), {
    clock: host.clock,
    signal,
    withinMs: Infinity,
    pauseMs: againMs,
    maxPauseMs: againMs,
    retryIf: (error) => !(error instanceof Refused || error instanceof TakenBack),
    onRetry: (error) => host.log.error('departure failed, will be resumed', { error: stackOf(error) }),
  });
  own.onChange(state);
  if (isForGood(state)) onLeft(state);
  if (state.ending === 'remain') await keepDrained(openDeparture(host, config, effects, state, signal), signal);
}

/**
 * Not for good: EC2 takes a spot instance at its own time, and a scale-in may still follow. A
 * machine that returns continues afterwards.
 */
function isForGood({ ending, cause, returns }: DepartureState): boolean {
  return ending !== 'remain' && cause !== 'spot' && returns !== true;
}

/**
 * Whether the node has left its registrar, or requested its end, for a confirmed reason that cannot
 * be called off any more. An unconfirmed order does not replace that reason.
 */
function isTooLateFor(state: DepartureState, order: StandingOrder, orders: readonly Order[]): boolean {
  if (isOver(state) || isRevocable(state) || state.confirmedAt === undefined) return false;
  return order.confirmation === undefined && !orders.some(({ cause }) => cause === state.cause);
}

function changes(state: DepartureState, order: Order, config: Config, now: number): boolean {
  return isOver(state) ? !isDoneFor(state, order) : merge(state, order, config, now) !== state;
}

function stackOf(error: unknown): string {
  return error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
}
