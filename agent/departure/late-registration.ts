/**
 * Drains a node that ECS registers, or answers for, only after its departure began, and waits for
 * its tasks.
 */

import { runAlongside } from '../run-alongside.ts';
import { sendHeartbeats } from '../joining/heartbeats.ts';
import type { Departure } from './departure.ts';
import { tryToDrain } from './drain.ts';
import { hasReached } from './order.ts';
import { waitForTasks } from './tasks.ts';

/**
 * When it was time to drain, ECS may not have known the node, or may have been silent. Tasks may
 * have arrived since. Rejects only when stopped.
 */
export async function drainLateRegistration(departure: Departure, signal: AbortSignal): Promise<void> {
  const { drainedAt, cause } = departure.state;
  // ECS has not started before the bootstrap is done.
  if (drainedAt !== undefined || cause === 'bootstrap-failed') return;
  await tryToDrain(departure, signal);
  if (departure.state.drainedAt === undefined) return;
  try {
    await waitForLateTasks(departure, signal);
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble('waiting for late tasks', error);
  }
}

/**
 * A node that terminates itself normally needs no heartbeats. If tasks arrived late, it sends them,
 * or the hook times out under those tasks.
 */
async function waitForLateTasks(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const hook = config.autoScaling.terminateHook;
  if (hook === undefined || state.ending !== 'terminate' || !hasReached(state, 'terminate'))
    return waitForTasks(departure, signal);
  const heartbeats = (callSignal: AbortSignal) => sendHeartbeats(host, hook, () => {}, callSignal);
  await runAlongside(heartbeats, signal, () => waitForTasks(departure, signal));
}

/**
 * Rare enough to continue for minutes: until the ECS agent has registered, each check may cost an
 * AWS call.
 */
const lateRegistrationEveryMs = 15_000;

/**
 * Checks for a late registration during `work`. Leaving the registrar or waiting for steady
 * services takes minutes, in which ECS may register the node and place tasks on it.
 */
export async function drainDuring(departure: Departure, work: Promise<void>, signal: AbortSignal): Promise<void> {
  const workEnds = new AbortController();
  const end = () => workEnds.abort(new Error('the work is over'));
  work.then(end, end);
  while (departure.state.drainedAt === undefined && !workEnds.signal.aborted) {
    const eitherSignal = AbortSignal.any([signal, workEnds.signal]);
    await departure.host.clock.sleep(lateRegistrationEveryMs, eitherSignal).catch(() => {});
    signal.throwIfAborted();
    if (!workEnds.signal.aborted) await drainLateRegistration(departure, signal);
  }
  await work;
}

/**
 * EC2 takes a machine two minutes after its notice, and at most 30 s later. Measured by uptime,
 * because the wall clock may jump.
 */
const noticeMs = 150_000;

/**
 * A spot notice may come before ECS knows the node. Once it does, ECS would place tasks on a node
 * that is about to end.
 */
export async function drainUntilTerminated(departure: Departure, signal: AbortSignal): Promise<void> {
  const { clock } = departure.host;
  if (departure.state.cause !== 'spot') return;
  for (const end = clock.uptime() + noticeMs; departure.state.drainedAt === undefined && clock.uptime() < end;) {
    await clock.sleep(lateRegistrationEveryMs, signal);
    await drainLateRegistration(departure, signal);
  }
}
