/**
 * The only way out, whatever the cause: one state machine on disk, resumed after a crash or a
 * reboot.
 */

import type { Config } from '../../config/config.ts';
import { Refused } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { phases, type DepartureState, type Phase } from '../../core/state/state.ts';
import { callWithRetry } from '../calls.ts';
import { runAlongside } from '../run-alongside.ts';
import { announce, runLeavingHooks } from './announce.ts';
import { hasBalancers, deregisterFromBalancers } from './balancers.ts';
import { awaitConfirmation, isLaunching, TakenBack } from './confirm.ts';
import { forgetDeparture, openDeparture, readDeparture, type DepartureEffects, type Departure } from './departure.ts';
import { drain, drainAndRemain, tryToDrain } from './drain.ts';
import { completeTerminateHook } from './hook.ts';
import { beginState, hasReached, isOver, isUrgent, merge, withUptimes } from './order.ts';
import { drainLateRegistration, drainDuring, drainUntilTerminated } from './late-registration.ts';
import { deregisterFromRegistrar } from './leave-registrar.ts';
import { waitForSteadyServices } from './steady-services.ts';
import { waitForTasks } from './tasks.ts';
import { terminate } from './terminate.ts';
import { globalMarginMs, sendHeartbeats } from '../joining/heartbeats.ts';
import type { Order } from '../watching/watcher.ts';

export { readDeparture, type DepartureEffects } from './departure.ts';

type PhaseHandler = (departure: Departure, signal: AbortSignal) => Promise<void>;

const phaseHandlers: Record<Phase, PhaseHandler> = {
  announce,
  balancers: deregisterFromBalancers,
  drain: (departure, signal) =>
    departure.state.ending === 'remain' ? drainAndRemain(departure, signal) : drain(departure, signal),
  async tasks(departure, signal) {
    await waitForTasks(departure, signal);
    await drainDuring(departure, waitForSteadyServices(departure, signal), signal);
  },
  async registrar(departure, signal) {
    await Promise.all(departure.background);
    await drainDuring(departure, deregisterFromRegistrar(departure, signal), signal);
  },
  async terminate(departure, signal) {
    await drainLateRegistration(departure, signal);
    await terminate(departure, signal);
  },
  async hook(departure, signal) {
    await drainLateRegistration(departure, signal);
    // Both to their end: a stop does not cut off a hook that is being completed.
    const [left] = await Promise.allSettled([
      completeTerminateHook(departure, signal),
      drainUntilTerminated(departure, signal),
    ]);
    if (left.status === 'rejected') throw left.reason;
  },
  done: async () => {},
};

/**
 * Phases whose deeds ACTIVE undoes: they wait for no second source, since a notice leaves two
 * minutes.
 */
const harmless: readonly Phase[] = ['announce', 'drain', 'done'];

/**
 * What a departure does, by how it ends. One that time undoes leaves alone what ACTIVE would not
 * bring back.
 */
function phasesOf({ ending, undoAt, returns, cause }: DepartureState): readonly Phase[] {
  return phases.filter((phase) => {
    if (phase === 'balancers') return undoAt === undefined;
    if (phase === 'registrar') return ending !== 'remain' && returns !== true;
    if (phase === 'terminate') return ending === 'terminate';
    if (phase === 'hook') return ending !== 'remain';
    return phase !== 'tasks' || cause !== 'bootstrap-failed';
  });
}

/**
 * Leaves for `order`, or goes on with a departure that is under way, taking the order into account.
 * Resolves when it is over; rejects with the signal's reason when stopped, with TakenBack when the
 * cause is denied, and with Refused when this machine is not the one that was to leave. Call it
 * again to resume.
 */
export async function runDeparture(
  host: Host,
  config: Config,
  order: Order,
  effects: DepartureEffects,
  signal: AbortSignal,
): Promise<DepartureState> {
  const state = await openState(host, config, order);
  const departure = openDeparture(host, config, effects, state, signal);
  if (isOver(state)) return state;
  await departure.note({});
  await drainImmediately(departure, signal);
  const heartbeats = (callSignal: AbortSignal) =>
    Promise.all([sendTerminateHookHeartbeats(departure, callSignal), sendLaunchHookHeartbeats(departure, callSignal)]);
  try {
    await runAlongside(heartbeats, signal, async () => {
      for (const phase of phasesOf(departure.state)) {
        if (phases.indexOf(phase) >= phases.indexOf(departure.state.phase)) await runPhase(departure, phase, signal);
      }
    });
  } catch (error) {
    // Otherwise each further boot would go on with it, and never bootstrap.
    if (error instanceof TakenBack && departure.state.cause === 'bootstrap-failed') await forgetDeparture(host, signal);
    throw error;
  }
  const { cause, ending } = departure.state;
  host.log.warn('left', { cause, ending, ms: host.clock.now() - state.startedAt });
  await host.machine.say(`ecs-node: left (${cause})`);
  return departure.state;
}

async function openState(host: Host, config: Config, order: Order): Promise<DepartureState> {
  const before = await readDeparture(host);
  const bootId = await host.machine.readBootId().catch(() => '');
  const at = { now: host.clock.now(), uptime: host.clock.uptime() };
  const fresh = () =>
    withUptimes(beginState(order, config, host.identity.instanceId, bootId, at.now), order, false, at);
  if (before === undefined || before.undoneAt !== undefined) return fresh();
  const isSameBoot = before.bootId === bootId;
  if (isOver(before)) {
    // Called again for what is done already; anything else, or a machine that came back, is a new
    // departure.
    const same = isSameBoot && before.cause === order.cause && before.key === order.key;
    return same && before.ending === order.ending ? before : fresh();
  }
  const { drainedAt, ...rest } = merge(before, order);
  const isNew = before.cause !== rest.cause || before.key !== rest.key;
  const timed = withUptimes({ ...rest, bootId }, isNew ? { ...order, cause: rest.cause } : order, isSameBoot, at);
  // Whoever started the machine again may have made it ACTIVE: draining once more changes nothing
  // else.
  return { ...timed, ...(isSameBoot && drainedAt !== undefined && { drainedAt }) };
}

/**
 * Placement is stopped before anything is told. Only where load balancers have to let go first, and
 * there is time for it, do the tasks go on until then.
 */
async function drainImmediately(departure: Departure, signal: AbortSignal): Promise<void> {
  const { state, config } = departure;
  const waits = hasBalancers(departure) && !isUrgent(state, config, departure.leftMs()) && state.undoAt === undefined;
  if (waits || hasReached(state, 'registrar')) return;
  await tryToDrain(departure, signal);
}

async function runPhase(departure: Departure, phase: Phase, signal: AbortSignal): Promise<void> {
  const { host, state } = departure;
  signal.throwIfAborted();
  if (!harmless.includes(phase)) {
    await awaitConfirmation(departure, signal);
    runLeavingHooks(departure, signal);
  }
  await departure.note({ phase, entered: { ...state.entered, [phase]: state.entered[phase] ?? host.clock.now() } });
  host.log.info('phase', { phase });
  try {
    await phaseHandlers[phase](departure, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TakenBack) throw error;
    // Only this machine's own end may follow what this machine has begun.
    if (phase === 'terminate' && error instanceof Refused) throw error;
    // What is to come is right without it, and the node must not be held up for ever.
    await departure.trouble(phase, error);
  }
}

/** Only where Auto Scaling has begun, or is about to; a hook that is not active takes no notice. */
async function sendTerminateHookHeartbeats(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const hook = config.autoScaling.terminateHook;
  if (hook === undefined || state.ending !== 'await') return;
  await sendHeartbeats(
    host,
    hook,
    ({ globalSeconds }) => departure.limit(globalSeconds * 1000 - globalMarginMs),
    signal,
  );
}

/**
 * A node that was told to go while its group still launches it: a hook that times out ends it under
 * the tasks that it waits for.
 */
async function sendLaunchHookHeartbeats(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const hook = config.autoScaling.launchHook;
  // A node that remains goes on joining, which keeps the hook alive, as the first minutes do; a
  // group that ends it launches it no more.
  const isElsewhere = state.ending === 'remain' || state.cause === 'bootstrap-failed' || state.cause === 'scale-in';
  if (hook === undefined || isElsewhere) return;
  const read = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const membership = await callWithRetry(host, departure.leftMs(), signal, read).catch(() => undefined);
  if (membership === undefined || !isLaunching.test(membership.lifecycleState)) return;
  const { launchHookSeconds: heartbeatSeconds } = config.autoScaling;
  await sendHeartbeats(host, hook, () => {}, signal, { knownFacts: { group: membership.group }, heartbeatSeconds });
}
