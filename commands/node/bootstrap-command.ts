/** Runs the bootstrap, and decides what its failure means for the node. */

import { isTerminating } from '../../agent/lifecycle-states.ts';
import { TakenBack } from '../../agent/departure/confirm.ts';
import { hasReached, isOver } from '../../agent/departure/order.ts';
import { withLaunchHookHeartbeats } from '../../agent/joining/launch-hook-heartbeats.ts';
import { runDeparture, readDeparture } from '../../agent/departure/leave.ts';
import { bootstrap } from '../../bootstrap/bootstrap.ts';
import { judgeFailure } from '../../bootstrap/failure-outcome.ts';
import { withBootstrapLock } from '../../bootstrap/bootstrap-lock.ts';
import { hold, waitForPerson } from '../../bootstrap/hold.ts';
import { deregister } from '../../bootstrap/registrars/registrars.ts';
import { readStorm, type Storm } from '../../bootstrap/storm-guard.ts';
import type { Config } from '../../config/config.ts';
import { Refused, StepError, Unfit, messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { singleErrorMs } from '../../core/lasting.ts';
import { withTimeout } from '../../core/retry.ts';
import type { DepartureState } from '../../core/state/state.ts';

/**
 * Without a registrar, a bootstrap is over by then and needs no heartbeat. The shortest launch hook
 * lasts 30 s, and the machine's boot has used a part of it.
 */
const quietMs = 10_000;

/**
 * Resolves when the ECS agent may start. Waits and retries for as long as a person must fix
 * something in AWS. Otherwise throws the bootstrap's failure, and its exit code tells systemd
 * whether to retry. After a permanent failure the node leaves first, unless the storm guard makes
 * it wait and retry.
 */
export async function runBootstrap(host: Host, config: Config, signal: AbortSignal): Promise<void> {
  const work = () => bootstrapUntilDone(host, config, signal);
  await withLaunchHookHeartbeats(host, config, quietMs, signal, work);
}

/** Waits without the lock: a person that has mended something runs the bootstrap by hand. */
async function bootstrapUntilDone(host: Host, config: Config, signal: AbortSignal): Promise<void> {
  // A bootstrap that runs ends by then.
  const lockMs = config.bootstrap.timeoutSeconds * 1000;
  let earlier: Earlier | undefined;
  for (let refusals = 0; ;) {
    const attempt = () => bootstrapOrLeave(host, config, signal, earlier);
    const pause = await withBootstrapLock(host, lockMs, signal, attempt);
    if (pause === undefined) return;
    earlier = {};
    if (pause.kind === 'hold') await hold(host, config, pause, signal);
    else await waitForPerson(host, pause.reason, refusals++, signal);
  }
}

/** For what the node waits before it tries again. */
type Pause = Extract<Storm, { kind: 'hold' }> | { kind: 'person'; reason: string };

/**
 * Longer than a disk is silent for a moment: a node that has left its registrar must not register
 * again. A file that is never read keeps no healthy node from booting.
 */
const departureMs = singleErrorMs;

/**
 * Makes one attempt, unless the node is leaving: the bootstrap for which this one waited may have
 * failed.
 */
async function bootstrapOrLeave(
  host: Host,
  config: Config,
  signal: AbortSignal,
  earlier: Earlier | undefined,
): Promise<Pause | undefined> {
  const found = await readDeparture(host, signal, departureMs);
  const begun = found === 'unread' ? undefined : found;
  if (begun !== undefined && (await isAboutToBeTerminated(host, begun, signal))) {
    host.log.warn('not bootstrapped: the group ends the node', { cause: begun.cause, reason: begun.reason });
    if (begun.cause === 'bootstrap-failed') throw new Refused(begun.reason);
    return undefined;
  }
  if (begun !== undefined && !isOver(begun)) {
    // The departure was interrupted. A node whose bootstrap failed permanently cannot come back.
    if (begun.cause === 'bootstrap-failed') {
      return departForGood(host, config, new Refused(begun.reason), signal);
    }
    if (begun.ending !== 'remain' && begun.returns !== true && hasReached(begun, 'registrar')) {
      host.log.warn('not bootstrapped: the node is leaving', { cause: begun.cause, reason: begun.reason });
      return undefined;
    }
  }
  return bootstrapOnce(host, config, signal, earlier);
}

/** One call. A silent Auto Scaling API must not delay the bootstrap. */
const membershipMs = 30_000;

/**
 * True when the departure is done and the group is about to end the node; another hook may still
 * delay that. A new registration would remain as an orphan.
 */
async function isAboutToBeTerminated(host: Host, left: DepartureState, signal: AbortSignal): Promise<boolean> {
  if (left.phase !== 'done' || left.undoneAt !== undefined || left.ending === 'remain' || left.returns) return false;
  const read = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const membership = await withTimeout(membershipMs, read, host.clock, signal).catch(() => undefined);
  signal.throwIfAborted();
  return isTerminating(membership);
}

/**
 * A registrar may have shown an older state when the time was up. It shows the present one within
 * this time. The storm guard's bound for an early failure has room for both.
 */
const lateSeconds = 60;

interface LateFailure {
  error: unknown;
  config: Config;
}

/** This process has made an attempt before. */
interface Earlier {
  /** The failure of that attempt, whose time was up. */
  late?: LateFailure;
}

async function bootstrapOnce(
  host: Host,
  config: Config,
  signal: AbortSignal,
  earlier?: Earlier,
): Promise<Pause | undefined> {
  try {
    await bootstrap(host, config, signal, earlier !== undefined);
    return undefined;
  } catch (error) {
    // A shutdown is no failure.
    signal.throwIfAborted();
    const ending = judgeFailure(error, config);
    host.log.error('bootstrap failed', { error: messageOf(error), ending });
    if (ending === 'retry-slowly') return { kind: 'person', reason: messageOf(error) };
    if (ending !== 'for-good') throw error;
    const late = earlier?.late;
    if (late === undefined && isLate(error)) return bootstrapLate(host, { error, config }, signal);
    const first = late ?? { error, config };
    const storm = await readStorm(host, first.config, signal);
    if (storm.kind === 'hold') return storm;
    return departForGood(host, first.config, first.error, signal);
  }
}

function isLate(error: unknown): boolean {
  return error instanceof StepError && error.cause instanceof Unfit && error.cause.essential === 'registration-in-time';
}

/** Makes a short second attempt before the node leaves. */
async function bootstrapLate(host: Host, late: LateFailure, signal: AbortSignal): Promise<Pause | undefined> {
  const { config } = late;
  // A third of the shortest time would be over before the answers that it needs.
  const timeoutSeconds = Math.min(lateSeconds, config.bootstrap.timeoutSeconds / 2);
  host.log.warn('looks once more before the node leaves', { inSeconds: timeoutSeconds });
  await host.clock.sleep(timeoutSeconds * 1000, signal);
  const short = { ...config, bootstrap: { ...config.bootstrap, timeoutSeconds } };
  return bootstrapOnce(host, short, signal, { late });
}

/**
 * Throws `error` once the node has left. A departure that was denied may be wanted later, so the
 * bootstrap tries again: the tag of a person may be removed, and one answer may have been wrong.
 */
async function departForGood(host: Host, config: Config, error: unknown, signal: AbortSignal): Promise<Pause> {
  const order = { cause: 'bootstrap-failed', reason: messageOf(error), ending: 'terminate' } as const;
  try {
    await runDeparture(host, config, order, { deregister }, signal);
  } catch (denial) {
    if (!(denial instanceof TakenBack)) throw denial;
    return { kind: 'person', reason: `${order.reason}; the node stays: ${denial.message}` };
  }
  throw error;
}
