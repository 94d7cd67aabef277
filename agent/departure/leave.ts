/**
 * The only way to leave, for every cause: one state machine on disk, resumed after a crash or a
 * reboot.
 */

import type { Config } from '../../config/config.ts';
import { ConfigError, Refused, Unavailable, Unfit } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { phases, type DepartureState, type DepartureUptimes, type Phase } from '../../core/state/state.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { callOnce, callWithRetry, retryUntilDone } from '../calls.ts';
import { runAlongside } from '../run-alongside.ts';
import { announce, runLeavingHooks } from './announce.ts';
import { deregisterFromBalancers } from './balancers.ts';
import { isLaunching, isTerminating } from '../lifecycle-states.ts';
import { awaitConfirmation, needsConfirmation, TakenBack } from './confirm.ts';
import {
  forgetDeparture,
  openDeparture,
  readBootId,
  readDeparture,
  type DepartureEffects,
  type Departure,
} from './departure.ts';
import { drain, drainAndRemain, drainImmediately } from './drain.ts';
import { completeTerminateHook } from './hook.ts';
import {
  beginState,
  drainingOf,
  inNewBoot,
  irrevocableOf,
  isDoneFor,
  isOver,
  merge,
  onlyDrains,
  overruledBy,
  withoutOldConfirmation,
  withUptimes,
  type Now,
  type StandingOrder,
} from './order.ts';
import { drainLateRegistration, drainDuring, drainUntilTerminated } from './late-registration.ts';
import { deregisterFromRegistrar } from './leave-registrar.ts';
import { tellLeft } from './tell-left.ts';
import { waitForSteadyServices } from './steady-services.ts';
import { waitForTasks } from './tasks.ts';
import { isTargetTerminated, terminate } from './terminate.ts';
import { undoDeparture } from './undo.ts';
import { globalMarginMs, sendHeartbeats } from '../joining/heartbeats.ts';

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
    await tellLeft(departure);
  },
  async hook(departure, signal) {
    await drainLateRegistration(departure, signal);
    // Waits for both: a stop does not interrupt a hook that is being completed.
    const [left] = await Promise.allSettled([
      completeHookOrTerminate(departure, signal),
      drainUntilTerminated(departure, signal),
    ]);
    if (left.status === 'rejected') throw left.reason;
  },
  done: async () => {},
};

/**
 * A node that left its end to the group, because the group seemed to end it already, ends itself
 * where the group does not: the answers may have been wrong, also those that followed a request. A
 * group that scales in waits for the hook, also while AWS is silent.
 */
async function completeHookOrTerminate(departure: Departure, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      if (await completeTerminateHook(departure, signal)) return;
    } catch (error) {
      signal.throwIfAborted();
      const { cause, ending } = departure.state;
      const isSilent = cause === 'scale-in' && error instanceof Unavailable && error.cause instanceof Unavailable;
      if (!isSilent && (ending !== 'terminate' || (await isBeingEnded(departure, signal)))) throw error;
      await departure.trouble('hook', error);
      if (isSilent) continue;
    }
    await terminate(departure, signal);
  }
}

/**
 * Another program's hook may keep a group for hours from ending a node that requested it. A group
 * that keeps the node, or does not answer, ends nothing, whatever the metadata service says.
 */
async function isBeingEnded(departure: Departure, signal: AbortSignal): Promise<boolean> {
  const { host, state } = departure;
  if (!hasRequestedEnd(state) || (await isTargetTerminated(departure, signal)) === false) return false;
  const read = (callSignal: AbortSignal) => readMembership(host, callSignal);
  const membership = await callOnce(host, signal, read).catch((error: unknown) =>
    error instanceof Refused ? 'refused' : undefined,
  );
  return membership === 'refused' || isTerminating(membership);
}

/** Completing a hook that never was active counts as a request as well, but ends nothing. */
function hasRequestedEnd(state: DepartureState): boolean {
  const { askedToEndAt = Infinity } = irrevocableOf(state);
  return askedToEndAt < (state.entered.hook ?? Infinity);
}

/**
 * Phases whose actions ACTIVE undoes. They do not wait for a second source, because a notice leaves
 * only two minutes.
 */
const harmless: readonly Phase[] = ['announce', 'drain', 'done'];

/** An unexpected failure in one of these phases is tried again until the deadline. */
const needed: readonly Phase[] = ['tasks', 'terminate', 'hook'];

/** False for a bug of ecs-node. */
function isExplained(error: unknown): boolean {
  return [Unavailable, Refused, Unfit, ConfigError].some((kind) => error instanceof kind);
}

/** The phases of a departure, by its ending. On one source alone, no load balancer is left. */
function phasesOf(state: DepartureState): readonly Phase[] {
  const { ending, returns, cause } = state;
  return phases.filter((phase) => {
    if (phase === 'balancers') return !onlyDrains(state);
    if (phase === 'registrar') return ending !== 'remain' && returns !== true;
    if (phase === 'terminate') return ending === 'terminate';
    if (phase === 'hook') return ending !== 'remain';
    return phase !== 'tasks' || cause !== 'bootstrap-failed';
  });
}

/**
 * Leaves for `order`, or continues the departure under way with the order merged into it. Resolves
 * when it is over. Rejects with the signal's reason when stopped, with TakenBack when the cause is
 * denied, and with Refused when the departure belongs to another machine. A new call resumes it.
 */
export async function runDeparture(
  host: Host,
  config: Config,
  order: StandingOrder,
  effects: DepartureEffects,
  signal: AbortSignal,
): Promise<DepartureState> {
  const state = await openState(host, config, order, effects, signal);
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
    if (error instanceof TakenBack && departure.state.cause === 'bootstrap-failed')
      await giveUpBootstrapFailure(departure, error.message, signal);
    throw error;
  }
  if (departure.state.ending !== 'remain') await tellLeft(departure);
  const { cause, ending } = departure.state;
  host.log.warn('left', { cause, ending, ms: host.clock.now() - state.startedAt });
  await host.machine.say(`ecs-node: left (${cause})`);
  return departure.state;
}

async function openState(
  host: Host,
  config: Config,
  order: StandingOrder,
  { lastState }: DepartureEffects,
  signal: AbortSignal,
): Promise<DepartureState> {
  const known = lastState?.();
  const bootId = await readBootId(host, signal);
  const onDisk = known === undefined ? await readDeparture(host, signal) : undefined;
  // A dead disk delays no departure: this one then begins anew.
  const before = known ?? withoutOldConfirmation(onDisk === 'unread' ? undefined : onDisk, bootId);
  const at = { now: host.clock.now(), uptime: host.clock.uptime() };
  const overruled = overruledBy(before);
  const fresh = () => ({
    ...withUptimes(beginState(order, config, host.identity.instanceId, bootId, at.now), order, {}, at),
    ...(overruled.length > 0 && { overruled }),
  });
  if (before === undefined || before.undoneAt !== undefined) return fresh();
  const isSameBoot = before.bootId === bootId;
  // The same order again finds its departure done. A different order, or a machine that came back,
  // begins a new departure.
  if (isOver(before)) return isSameBoot && isDoneFor(before, order) ? before : fresh();
  const { drainedAt: _drained, undoBegunAt: _undo, ...rest } = merge(before, order, config, at.now);
  const timed = isSameBoot
    ? withUptimes(rest, order, keptUptimes(before, rest), at)
    : withUptimes(
        inNewBoot(rest, bootId, config, at.now),
        order,
        { ...ageOfCause(before, rest, at), resumed: at.uptime },
        at,
      );
  // After a restart of the machine, a person may have set ACTIVE.
  const drained = isSameBoot && drainingOf(before);
  // A machine that booted has not ended, whatever was requested: its sources are asked again.
  const { ending, phase, cause } = timed;
  const isBack = !isSameBoot && ending === 'terminate' && phase === 'hook' && cause !== 'bootstrap-failed';
  return { ...timed, ...drained, ...(isBack && { phase: 'terminate' as const }) };
}

/** In a new boot, only the wall clock tells how old a notice is. It may have outlived its end. */
function ageOfCause(before: DepartureState, merged: DepartureState, at: Now): Partial<DepartureUptimes> {
  if (before.cause !== merged.cause || before.key !== merged.key) return {};
  return { cause: at.uptime - Math.max(0, at.now - before.startedAt) };
}

/** The uptimes that another order leaves valid. */
function keptUptimes(before: DepartureState, merged: DepartureState): Partial<DepartureUptimes> {
  const { cause, deadline, ...others } = before.uptimes ?? {};
  const isNew = before.cause !== merged.cause || before.key !== merged.key;
  const isLater = isNew || merged.deadline > before.deadline;
  return {
    ...others,
    ...(!isNew && cause !== undefined && { cause }),
    ...(!isLater && deadline !== undefined && { deadline }),
  };
}

/** The pause between tries to set a node ACTIVE while ECS does not allow it. */
const undoAgainMs = 20_000;

/**
 * No supervisor follows the departure of a bootstrap, so its own process sets ACTIVE again. The
 * file stays until then: a process that dies first leaves the work to the next boot.
 */
async function giveUpBootstrapFailure(departure: Departure, why: string, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const options = { why, keepDraining: false, eventGone: true, isDenied: true } as const;
  if (state.drainedAt !== undefined) {
    await retryUntilDone(host, 'not undone yet', { pauseMs: undoAgainMs }, signal, () =>
      undoDeparture(host, config, state, options, signal),
    );
  }
  // Otherwise each later boot would resume this departure and never bootstrap.
  await forgetDeparture(host, signal);
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
    // A departure of another machine must not terminate this one.
    if ((phase === 'terminate' || phase === 'hook') && error instanceof Refused) throw error;
    // Without these phases, the machine ends under its tasks. A new try resumes the departure.
    if (needed.includes(phase) && !isExplained(error) && departure.leftMs() > 0) throw error;
    // The later phases work without this one, and the node must not wait for ever.
    await departure.trouble(phase, error);
  }
}

/**
 * Sent only when Auto Scaling terminates the node, or is about to. A hook that is not active
 * ignores them.
 */
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
 * For a node that must leave while its group still launches it: a launch hook that times out would
 * terminate it under its tasks.
 */
async function sendLaunchHookHeartbeats(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const hook = config.autoScaling.launchHook;
  // In these cases another part keeps the launch hook alive, or there is none: a node that remains
  // keeps joining, the bootstrap sends heartbeats itself, and a group that confirms the termination
  // no longer launches the node. The target state alone may be wrong.
  // On the way back into the warm pool, the launch hook may be the one that waits.
  const isReturn = state.cause === 'scale-in' && state.returns === true;
  const isConfirmedScaleIn = state.cause === 'scale-in' && !isReturn && !needsConfirmation(state);
  const isElsewhere = state.ending === 'remain' || state.cause === 'bootstrap-failed' || isConfirmedScaleIn;
  if (hook === undefined || isElsewhere) return;
  const read = (callSignal: AbortSignal) => readMembership(host, callSignal);
  const membership = await callWithRetry(host, Infinity, signal, read).catch((error: unknown) =>
    error instanceof Refused ? 'refused' : undefined,
  );
  // A role that may not read the state may still send heartbeats, which only an active hook takes.
  if (membership !== 'refused' && !isLaunching(membership) && !isReturn) return;
  const knownFacts = typeof membership === 'object' ? { group: membership.group } : {};
  const { launchHookSeconds: heartbeatSeconds } = config.autoScaling;
  await sendHeartbeats(host, hook, () => {}, signal, { knownFacts, heartbeatSeconds });
}
