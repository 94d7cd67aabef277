/**
 * Waits until every task on this node has really stopped, the daemon tasks last, and does what is
 * configured when that takes too long.
 */

import { Refused, messageOf } from '../../core/errors.ts';
import type { CloudTask } from '../../core/host.ts';
import { readDaemonTasks } from '../../upkeep/daemon-tasks-memory.ts';
import { isOurs } from '../../upkeep/daemon-tasks.ts';
import { callWithRetry, callOnce } from '../calls.ts';
import { findContainerInstance, type ContainerInstanceRef } from '../container-instance.ts';
import type { Departure } from './departure.ts';
import { tryToDrain } from './drain.ts';
import { shortArn } from '../../core/arn.ts';

/** The agent answers from memory, so a drained node is noticed within two seconds. */
const localEveryMs = 2_000;

/** ECS is asked when the agent sees nothing any more, and now and then to name what blocks. */
const cloudEveryMs = 15_000;

/** A container has 30 s between SIGTERM and SIGKILL unless its task says otherwise. */
const stopGraceMs = 30_000;

/** The longest stopTimeout that a task may have is 120 s; then the agent has to say so. */
const longestStopMs = 150_000;

/** What is in the way; `isCertain` when both the agent and ECS have looked, as far as they can. */
interface RemainingTasks {
  blockers: string[];
  taskArns: string[];
  /** The node's own (upkeep/daemon-tasks.ts): they hold nothing up, and outlive all others. */
  daemonArns: string[];
  isCertain: boolean;
}

type ReadRemainingTasks = (signal: AbortSignal) => Promise<RemainingTasks>;

export async function waitForTasks(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const containerInstance = await findContainerInstance(
    host,
    config,
    Math.min(30_000, Math.max(departure.leftMs(), 5_000)),
    signal,
  );
  if (containerInstance === undefined) return;
  const readRemaining = openRemainingTasks(departure, containerInstance);
  // Who was DRAINING later than it began to wait gives its tasks as much time as any other.
  const since = Math.max(state.entered.tasks ?? host.clock.now(), state.drainedAt ?? 0);
  const drainMs = config.leave.drainSeconds * 1000;
  const stopMs = () => (state.hardDeadline === true ? departure.leftMs() - stopGraceMs : departure.leftMs());
  const patienceMs = Math.min(drainMs - Math.max(0, host.clock.now() - since), stopMs());
  const rest = await waitUntilGone(departure, readRemaining, patienceMs, signal, () => Math.min(drainMs, stopMs()));
  if (rest.length === 0) return stopDaemonTasks(departure, containerInstance, readRemaining, signal);
  if (config.leave.atDeadline === 'stop-tasks') {
    await departure.trouble('tasks stopped at the deadline', renderBlockers(departure.state.blockers));
    await stopTasks(
      departure,
      containerInstance,
      rest,
      `ecs-node: ${state.cause}: the node leaves and its time is up`,
      signal,
    );
    const graceMs = state.hardDeadline === true ? departure.leftMs() : longestStopMs;
    if ((await waitUntilGone(departure, readRemaining, graceMs, signal)).length === 0)
      return stopDaemonTasks(departure, containerInstance, readRemaining, signal);
  }
  // The daemon tasks stay with them: what ships logs is needed as long as somebody writes some.
  await departure.trouble('tasks left to the end of the instance', renderBlockers(departure.state.blockers));
}

/**
 * Last of all: whatever they collect, nobody is left to give them any. DRAINING does not stop them,
 * since no service has started them.
 */
async function stopDaemonTasks(
  departure: Departure,
  containerInstance: ContainerInstanceRef,
  readRemaining: ReadRemainingTasks,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = departure.host;
  const { daemonArns } = await readRemaining(signal);
  if (daemonArns.length === 0) return;
  log.info('stopping daemon tasks', { count: daemonArns.length });
  const why = `ecs-node: ${departure.state.cause}: the node leaves, and all other tasks have stopped`;
  const end = clock.uptime() + Math.min(longestStopMs, departure.leftMs());
  for (let left = await stopTasks(departure, containerInstance, daemonArns, why, signal); left.length > 0;) {
    if (clock.uptime() >= end)
      return departure.trouble('daemon tasks left to the end of the instance', left.map(shortArn).join(', '));
    await clock.sleep(Math.min(localEveryMs, end - clock.uptime()), signal);
    left = (await readRemaining(signal)).daemonArns.filter((arn) => left.includes(arn));
  }
}

function renderBlockers(blockers: readonly string[]): string {
  return blockers.slice(0, 10).join(', ') || 'unknown';
}

/**
 * ARNs of what is still there when the time is up; empty when all is gone. `drainedMs`: the time
 * from DRAINING on, when that comes only meanwhile.
 */
async function waitUntilGone(
  departure: Departure,
  readRemaining: ReadRemainingTasks,
  withinMs: number,
  signal: AbortSignal,
  drainedMs: () => number = () => 0,
): Promise<string[]> {
  const { clock, log } = departure.host;
  let end = clock.uptime() + Math.max(0, withinMs);
  for (;;) {
    // As long as AWS had no answer when it was time to, tasks go on arriving.
    const wasDrained = departure.state.drainedAt !== undefined;
    await tryToDrain(departure, signal);
    if (!wasDrained && departure.state.drainedAt !== undefined) end = Math.max(end, clock.uptime() + drainedMs());
    const { blockers, taskArns, isCertain } = await readRemaining(signal);
    if (blockers.join() !== departure.state.blockers.join()) {
      await departure.note({ blockers });
      log.info('waiting for tasks', { count: blockers.length, blockers: blockers.slice(0, 10) });
    }
    if (isCertain && blockers.length === 0) return [];
    // Not knowing whether tasks are there is waited for as if they were.
    if (clock.uptime() >= end) return taskArns.length > 0 ? taskArns : ['unknown'];
    await clock.sleep(Math.min(localEveryMs, end - clock.uptime()), signal);
  }
}

interface SeenTask {
  arn: string;
  name: string;
  isDaemon?: boolean;
}

function openRemainingTasks({ host }: Departure, containerInstance: ContainerInstanceRef): ReadRemainingTasks {
  let lastAnswer: { at: number; tasks: SeenTask[] | 'unknown' | 'refused' } | undefined;
  // The agent on this node does not know who has started a task, and ECS may not answer.
  let daemons: Set<string> | undefined;
  const readCloudTasks = async (signal: AbortSignal) => {
    try {
      const tasks = await callOnce(host, signal, (callSignal) =>
        host.cloud.readTasks(containerInstance.cluster, containerInstance.arn, callSignal),
      );
      return tasks.map((task) => ({ arn: task.arn, name: nameOf(task), isDaemon: isOurs(task) }));
    } catch (error) {
      signal.throwIfAborted();
      if (lastAnswer?.tasks !== 'refused') host.log.warn('tasks not seen in ECS', { error: messageOf(error) });
      return error instanceof Refused ? 'refused' : 'unknown';
    }
  };
  return async (signal) => {
    daemons ??= await readOwnArns(host);
    const local = await readLocalTasks(host, signal);
    const now = host.clock.uptime();
    const isQuiet = local === undefined || local.every(({ arn }) => daemons!.has(arn));
    if (lastAnswer === undefined || isQuiet || now - lastAnswer.at >= cloudEveryMs) {
      if (lastAnswer === undefined || now - lastAnswer.at >= localEveryMs * 0.9)
        lastAnswer = { at: now, tasks: await readCloudTasks(signal) };
    }
    const cloud = lastAnswer?.tasks ?? 'unknown';
    const seen = new Map([...(local ?? []), ...(Array.isArray(cloud) ? cloud : [])].map((task) => [task.arn, task]));
    // A node whose role may not list tasks has only its agent's word; one whose agent is dead only
    // ECS's.
    const isCertain = cloud === 'unknown' ? false : cloud === 'refused' ? local !== undefined : true;
    for (const { arn, isDaemon } of seen.values()) if (isDaemon === true) daemons.add(arn);
    const all = [...seen.values()].toSorted((a, b) => (a.arn < b.arn ? -1 : 1));
    const tasks = all.filter(({ arn }) => !daemons!.has(arn));
    return {
      blockers: tasks.map(({ name }) => name),
      taskArns: tasks.map(({ arn }) => arn),
      daemonArns: all.filter(({ arn }) => daemons!.has(arn)).map(({ arn }) => arn),
      isCertain,
    };
  };
}

async function readOwnArns(host: Departure['host']): Promise<Set<string>> {
  const { families } = await readDaemonTasks(host).catch(() => ({ families: {} }));
  return new Set(Object.values(families).flatMap(({ past }) => past?.taskArn ?? []));
}

async function readLocalTasks(host: Departure['host'], signal: AbortSignal): Promise<SeenTask[] | undefined> {
  try {
    const tasks = await callOnce(host, signal, (callSignal) => host.ecsAgent.readTasks(callSignal), 3_000);
    return tasks
      ?.filter(({ knownStatus }) => knownStatus !== 'STOPPED')
      .map(({ arn, family, knownStatus }) => ({ arn, name: `family:${family} ${shortArn(arn)} ${knownStatus}` }));
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function nameOf({ arn, group, lastStatus }: CloudTask): string {
  return `${group} ${shortArn(arn)} ${lastStatus}`;
}

/** Those that ECS was told to stop. */
async function stopTasks(
  departure: Departure,
  containerInstance: ContainerInstanceRef,
  arns: readonly string[],
  reason: string,
  signal: AbortSignal,
): Promise<string[]> {
  const { host } = departure;
  const known = arns.filter((arn) => arn !== 'unknown');
  const accepted = await Promise.all(
    known.map(async (arn) => {
      try {
        const ms = Math.min(20_000, Math.max(departure.leftMs(), 5_000));
        await callWithRetry(host, ms, signal, (callSignal) =>
          host.cloud.stopTask(containerInstance.cluster, arn, reason, callSignal),
        );
        host.log.warn('task stopped', { task: arn });
        return [arn];
      } catch (error) {
        signal.throwIfAborted();
        await departure.trouble(`stopping ${shortArn(arn)}`, error);
        return [];
      }
    }),
  );
  return accepted.flat();
}
