/**
 * Waits until every task on this node has really stopped, the daemon tasks last. Stops the
 * remaining tasks at the deadline if the configuration allows it.
 */

import { shortArn } from '../../core/arn.ts';
import { Refused, Unavailable } from '../../core/errors.ts';
import { isLethal } from '../../core/essentials.ts';
import type { CloudTask } from '../../core/host.ts';
import { openLasting } from '../../core/lasting.ts';
import { callWithRetry } from '../calls.ts';
import { findContainerInstances, type ContainerInstanceRef } from '../container-instance.ts';
import { mustStillStand } from './confirm.ts';
import type { Departure } from './departure.ts';
import { openDrainAgain, tryToDrain } from './drain.ts';
import { openStopTimes, refusalLastsMs, type StopTimes } from './stop-time.ts';
import {
  emptyLastsMs,
  localEveryMs,
  mergeSights,
  openTaskSight,
  readLocalSigns,
  type LookAtTasks,
  type TaskSight,
} from './task-sight.ts';

interface Wait {
  departure: Departure;
  cluster: string;
  look: LookAtTasks;
  stopTimes: StopTimes;
  drainAgain: ReturnType<typeof openDrainAgain>;
  hadTasks: boolean;
}

export async function waitForTasks(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host } = departure;
  const records = await findRecords(departure, signal);
  const [first] = records;
  if (first === undefined) return;
  const stopTimes = openStopTimes(host, first.cluster);
  const looks = records.map((record) => openTaskSight(host, record, stopTimes));
  const wait: Wait = {
    departure,
    cluster: first.cluster,
    look: async (callSignal) => mergeSights(await Promise.all(looks.map((look) => look(callSignal)))),
    stopTimes,
    drainAgain: openDrainAgain(departure, records),
    hadTasks: false,
  };
  let rest = await waitWhileAllowed(wait, signal);
  departure.isEmptied = wait.hadTasks && rest === undefined;
  await mustStillStand(departure, signal, 0);
  if (rest !== undefined && mayStopTasks(departure)) rest = await stopInTime(wait, rest, signal);
  departure.isEmptied = wait.hadTasks && rest === undefined;
  if (rest === undefined) return stopDaemonTasks(wait, signal);
  // The daemon tasks stay as well: a log shipper is needed as long as another task writes logs.
  await departure.trouble('tasks left to the end of the instance', renderBlockers(departure.state.blockers));
}

/**
 * ECS must say for this long that it knows no record: its list may be stale for some seconds. It
 * takes less where Docker runs no task either: a node that never joined ends before the storm guard
 * of the next one looks.
 */
export const noRecordLastsMs = 30_000;

export const recordEveryMs = 5_000;

/**
 * The records whose tasks are waited for. Empty only where ECS repeats that it knows none and
 * nothing on this machine contradicts it, or at the deadline. A stale list, or an ECS that is
 * silent, would otherwise end the machine under its tasks, and without DRAINING.
 */
async function findRecords(departure: Departure, signal: AbortSignal): Promise<ContainerInstanceRef[]> {
  const { host, config } = departure;
  const lasts = openLasting(host.clock, noRecordLastsMs);
  const lastsIdle = openLasting(host.clock, emptyLastsMs);
  for (;;) {
    const { found, unknown } = await lookForRecords(departure, signal);
    if (found.length > 0) return found;
    const { contradiction, isIdle = false } = await readLocalSigns(host, config.cluster, signal);
    const sign = unknown?.message ?? (contradiction && `ECS knows none, but ${contradiction}`);
    const blockers = sign === undefined ? [] : [`record: ${sign}`];
    if (blockers.join() !== departure.state.blockers.join()) await departure.note({ blockers });
    // Where this role may not ask ECS, only the answer of Docker is left. A refusal may pass, too.
    const isIdleAlone = isIdle && unknown instanceof Refused;
    const isBelieved = lasts(sign === undefined || isIdleAlone) || lastsIdle(isIdle && unknown === undefined);
    if (isBelieved || departure.leftMs() <= 0) return [];
    await host.clock.sleep(recordEveryMs, signal);
  }
}

/** `unknown`: the reason why ECS does not say which records it has. */
async function lookForRecords(
  { host, config, leftMs }: Departure,
  signal: AbortSignal,
): Promise<{ found: ContainerInstanceRef[]; unknown?: Unavailable | Refused }> {
  const ms = Math.min(30_000, Math.max(leftMs(), 5_000));
  try {
    return { found: await findContainerInstances(host, config, ms, signal) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
    // A cluster that does not exist has no records.
    const isNone = error instanceof Refused && isLethal('readContainerInstance', error.code);
    return { found: [], ...(!isNone && { unknown: error }) };
  }
}

/** One source alone stops no task. */
function mayStopTasks({ config, state }: Departure): boolean {
  return config.leave.atDeadline === 'stop-tasks' && state.confirmedAt !== undefined;
}

/**
 * Waits for the tasks to end by themselves, for `leave.drainSeconds` after DRAINING. Undefined: no
 * task is left.
 */
async function waitWhileAllowed(wait: Wait, signal: AbortSignal): Promise<TaskSight | undefined> {
  const { departure, stopTimes } = wait;
  const { clock } = departure.host;
  const drainMs = departure.config.leave.drainSeconds * 1000;
  const since = departure.state.uptimes?.tasks ?? clock.uptime();
  await noteTasksSince(departure, since);
  return waitUntilGone(wait, signal, async (sight) => {
    const ownMs = drainMs - (clock.uptime() - (departure.state.uptimes?.tasks ?? since));
    // A deadline from outside must leave the tasks the time that they need to stop.
    const isHard = departure.state.hardDeadline === true;
    const stopMs = isHard ? await stopTimes.longestMs(sight.listed, signal) : 0;
    return Math.min(ownMs, departure.leftMs() - stopMs);
  });
}

async function noteTasksSince(departure: Departure, tasks: number): Promise<void> {
  const { uptimes } = departure.state;
  if (uptimes !== undefined && uptimes.tasks !== tasks) await departure.note({ uptimes: { ...uptimes, tasks } });
}

/**
 * The wait after StopTask for a task whose stop timeout ECS does not tell. Longer timeouts are
 * rare, and a node must not wait for a silent ECS for ever.
 */
const unknownStopMs = 600_000;

/**
 * Calls StopTask for each task that ECS lists here, and waits for the tasks' own stop timeout. A
 * protected task is stopped only at the departure's deadline. Undefined: no task is left.
 */
async function stopInTime(wait: Wait, first: TaskSight, signal: AbortSignal): Promise<TaskSight | undefined> {
  const { departure, stopTimes } = wait;
  const { clock } = departure.host;
  const why = `ecs-node: ${departure.state.cause}: the node leaves and its time is up`;
  const { stopTasks, isOpen } = openStopping(wait, why);
  const tried = new Set<string>();
  const batches: { tasks: readonly CloudTask[]; at: number }[] = [];
  const stop = async (tasks: readonly CloudTask[]) => {
    const fresh = tasks.filter(({ arn }) => !tried.has(arn));
    // Only the first try moves the deadline: a silent ECS must not hold the node for ever.
    if (fresh.length > 0) {
      for (const { arn } of fresh) tried.add(arn);
      await departure.extend(await stopTimes.longestMs(fresh, signal));
      await departure.noteDeed('stoppedTasksAt');
      await departure.trouble('tasks stopped at the deadline', renderBlockers(departure.state.blockers));
    }
    const arns = tasks.map(({ arn }) => arn);
    const accepted = await stopTasks(arns, signal);
    const told = tasks.filter(({ arn }) => accepted.includes(arn));
    if (told.length > 0) batches.push({ tasks: told, at: clock.uptime() });
  };
  // A stop timeout that was unknown at StopTask may be known at a later look.
  const readEnd = async () => {
    const ends = batches.map(async ({ tasks, at }) => at + (await stopTimes.longestMs(tasks, signal, unknownStopMs)));
    return Math.max(clock.uptime(), ...(await Promise.all(ends)));
  };
  const shielded = ({ listed, protectedArns }: TaskSight) => listed.filter(({ arn }) => protectedArns.has(arn));
  const free = ({ listed, protectedArns }: TaskSight) => listed.filter(({ arn }) => !protectedArns.has(arn));
  await stop(free(first));
  return waitUntilGone(wait, signal, async (sight) => {
    await stop(free(sight));
    const protectedTasks = shielded(sight).filter(({ arn }) => isOpen(arn));
    if (protectedTasks.length > 0) {
      const shieldedMs = departure.leftMs() - (await stopTimes.longestMs(protectedTasks, signal));
      if (shieldedMs > 0) return shieldedMs;
      await stop(protectedTasks);
    }
    // A task that ECS does not list cannot be stopped, nor one while ECS is silent or refuses it.
    // The node asks ECS until the deadline.
    const open = [...sight.unlisted, ...sight.listed.map(({ arn }) => arn).filter((arn) => tried.has(arn))];
    const isBlind = (!sight.sure && [...tried].every(isOpen)) || open.some(isOpen);
    if (isBlind) return departure.leftMs();
    const stopMs = (await readEnd()) - clock.uptime();
    await departure.extend(stopMs);
    return Math.min(stopMs, departure.leftMs());
  });
}

/**
 * Returns the tasks that remain when the time is up; undefined when none is left. After each check,
 * `leftMs` gives the time left to wait.
 */
async function waitUntilGone(
  wait: Wait,
  signal: AbortSignal,
  leftMs: (sight: TaskSight) => Promise<number>,
): Promise<TaskSight | undefined> {
  const { departure, look: readRemaining, drainAgain } = wait;
  const { clock, log } = departure.host;
  for (;;) {
    // If AWS did not answer when it was time to drain, tasks keep arriving, so each round tries
    // again.
    const wasDrained = departure.state.drainedAt !== undefined;
    const isRefused = (await tryToDrain(departure, signal)) === 'refused';
    const isDrained = departure.state.drainedAt !== undefined;
    if (!wasDrained && isDrained) await noteTasksSince(departure, clock.uptime());
    const sight = await readRemaining(signal);
    const isDrainedAgain = isDrained && (await drainAgain(sight.listed, signal));
    if (isDrainedAgain) await noteTasksSince(departure, clock.uptime());
    const { blockers, sure: isCertain } = sight;
    wait.hadTasks ||= blockers.length > 0;
    if (blockers.join() !== departure.state.blockers.join()) {
      await departure.note({ blockers });
      log.info('waiting for tasks', { count: blockers.length, blockers: blockers.slice(0, 10) });
    }
    const isEmpty = isCertain && blockers.length === 0;
    // Before DRAINING, ECS may place a task at any moment.
    if (isEmpty && (isDrained || isRefused)) return undefined;
    // Unknown tasks count as tasks that are there.
    const ms = await leftMs(sight);
    if (ms <= 0) return isEmpty ? undefined : sight;
    await clock.sleep(Math.min(localEveryMs, ms), signal);
  }
}

/**
 * Stops the daemon tasks last, when no other task is left to send them data. DRAINING does not stop
 * them, because no service started them.
 */
async function stopDaemonTasks(wait: Wait, signal: AbortSignal): Promise<void> {
  const { departure, look: readRemaining, stopTimes } = wait;
  const { clock, log } = departure.host;
  const { daemonArns } = await readRemaining(signal);
  if (daemonArns.length === 0 || departure.state.confirmedAt === undefined) return;
  log.info('stopping daemon tasks', { count: daemonArns.length });
  const why = `ecs-node: ${departure.state.cause}: the node leaves, and all other tasks have stopped`;
  const stopMs = await stopTimes.longestMs([], signal);
  const end = clock.uptime() + Math.min(Math.max(stopMs, daemonStopMs), departure.leftMs());
  const { stopTasks, isRefused } = openStopping(wait, why);
  // A call that started a task may take effect late, so each look may show another one.
  for (let left = daemonArns; ; left = (await readRemaining(signal)).daemonArns) {
    await stopTasks(left, signal);
    left = left.filter((arn) => !isRefused(arn));
    if (left.length === 0) return;
    if (clock.uptime() >= end)
      return departure.trouble('daemon tasks left to the end of the instance', left.map(shortArn).join(', '));
    await clock.sleep(Math.min(localEveryMs, end - clock.uptime()), signal);
  }
}

/** The longest wait for a log shipper, whatever its own stop timeout is. */
const daemonStopMs = 150_000;

function renderBlockers(blockers: readonly string[]): string {
  return blockers.slice(0, 10).join(', ') || 'unknown';
}

/** The pause before a task is told again that ECS has refused to stop. */
const refusedAgainMs = 15_000;

/** A refusal counts after this many: the role may lack the permission for a moment only. */
const refusals = refusalLastsMs / refusedAgainMs + 1;

interface Stopping {
  /** Calls StopTask for those that are open. Returns those for which ECS has accepted it. */
  stopTasks(arns: readonly string[], signal: AbortSignal): Promise<string[]>;
  /** ECS has neither accepted StopTask for this task, nor refused it for long enough. */
  isOpen(arn: string): boolean;
  isRefused(arn: string): boolean;
}

function openStopping({ departure, cluster }: Wait, reason: string): Stopping {
  const { host } = departure;
  const { clock, log } = host;
  const accepted = new Set<string>();
  const refused = new Map<string, { count: number; at: number }>();
  const isRefused = (arn: string) => (refused.get(arn)?.count ?? 0) >= refusals;
  const isOpen = (arn: string) => !accepted.has(arn) && !isRefused(arn);
  const isDue = (arn: string) => isOpen(arn) && clock.uptime() - (refused.get(arn)?.at ?? -Infinity) >= refusedAgainMs;
  const stopTask = async (arn: string, signal: AbortSignal) => {
    try {
      const ms = Math.min(20_000, Math.max(departure.leftMs(), 5_000));
      await callWithRetry(host, ms, signal, (callSignal) => host.cloud.stopTask(cluster, arn, reason, callSignal));
      log.warn('task stopped', { task: arn });
      accepted.add(arn);
    } catch (error) {
      signal.throwIfAborted();
      await departure.trouble(`stopping ${shortArn(arn)}`, error);
      if (error instanceof Unavailable) return;
      refused.set(arn, { count: (refused.get(arn)?.count ?? 0) + 1, at: clock.uptime() });
    }
  };
  return {
    isOpen,
    isRefused,
    async stopTasks(arns, signal) {
      const due = arns.filter(isDue);
      if (due.length === 0) return [];
      // The machine may have stood still while the node wrote to its disk.
      await mustStillStand(departure, signal);
      await Promise.all(due.map((arn) => stopTask(arn, signal)));
      return due.filter((arn) => accepted.has(arn));
    },
  };
}
