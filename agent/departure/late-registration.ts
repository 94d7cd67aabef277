/**
 * A node that ECS comes to know, or answers for, only while it leaves: drained all the same, and
 * its tasks waited for.
 */

import { runAlongside } from '../run-alongside.ts';
import { sendHeartbeats } from '../joining/heartbeats.ts';
import type { Departure } from './departure.ts';
import { tryToDrain } from './drain.ts';
import { hasReached } from './order.ts';
import { waitForTasks } from './tasks.ts';

/**
 * ECS may not have known the node, or have been silent, when it was time to drain it; since then
 * tasks may have arrived. Never throws.
 */
export async function drainLateRegistration(departure: Departure, signal: AbortSignal): Promise<void> {
  const { drainedAt, cause } = departure.state;
  // ECS is not even started before the bootstrap is done.
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
 * Who ends itself sends no heartbeats, having nothing left to wait for when its group begins: a
 * hook that times out would end it under these tasks.
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
 * As seldom as it is bearable for minutes: until the ECS agent has registered, each look may cost a
 * call.
 */
const lateRegistrationEveryMs = 15_000;

/**
 * Leaving the registrar, or waiting for services to be steady, takes minutes, in which ECS may come
 * to know the node and place tasks on what is about to go.
 */
export async function drainDuring(departure: Departure, work: Promise<void>, signal: AbortSignal): Promise<void> {
  const workEnds = new AbortController();
  const end = () => workEnds.abort(new Error('done with what it was beside'));
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
 * EC2 takes a machine two minutes after its notice, and half a minute later at most: by the
 * machine's own time, since the wall clock may jump.
 */
const noticeMs = 150_000;

/**
 * Spot notices come whenever they like, also before ECS knows the node: as soon as it does it would
 * place tasks on what is about to go.
 */
export async function drainUntilTerminated(departure: Departure, signal: AbortSignal): Promise<void> {
  const { clock } = departure.host;
  if (departure.state.cause !== 'spot') return;
  for (const end = clock.uptime() + noticeMs; departure.state.drainedAt === undefined && clock.uptime() < end;) {
    await clock.sleep(lateRegistrationEveryMs, signal);
    await drainLateRegistration(departure, signal);
  }
}
