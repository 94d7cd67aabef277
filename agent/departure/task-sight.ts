/** The tasks that are still on this node, according to its ECS agent and ECS together. */

import { shortArn } from '../../core/arn.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { CloudTask, Host } from '../../core/host.ts';
import { openLasting, openLastingOfEach } from '../../core/lasting.ts';
import { readDaemonTasks } from '../../upkeep/daemon-tasks-memory.ts';
import { isOurs } from '../../upkeep/daemon-tasks.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent, type ContainerInstanceRef } from '../container-instance.ts';
import type { Protection, StopTimes } from './stop-time.ts';

/** The ECS agent answers from memory, so the node notices within two seconds that it is empty. */
export const localEveryMs = 2_000;

/**
 * ECS is asked when the agent lists no more tasks, and at this interval to name the tasks that
 * remain.
 */
const cloudEveryMs = 15_000;

/**
 * The answer that nothing is left must last this long, which are three looks. One lost list would
 * end the machine under running tasks, and a task that ECS placed right before DRAINING may not be
 * in any list yet.
 */
export const emptyLastsMs = 5_000;

/** The tasks that the departure waits for. */
export interface TaskSight {
  /** The tasks' names, for people. */
  blockers: string[];
  /** The tasks that ECS lists on this container instance. No other task may be stopped. */
  listed: CloudTask[];
  /**
   * The ARNs that this machine names, and ECS does not list. Such a task cannot be stopped yet.
   * A task that ECS leaves out for a minute stays here only while Docker runs it, or is silent.
   */
  unlisted: string[];
  /** The tasks in `listed` that ECS may protect from scale-in. */
  protectedArns: ReadonlySet<string>;
  /**
   * The daemon tasks that this node started (upkeep/daemon-tasks.ts). The departure does not wait
   * for them, and they stop last.
   */
  daemonArns: string[];
  /**
   * True when the agent and ECS have both named all tasks, and when they repeat that none is left.
   * Where only one of them answers, the record in ECS must not count more, and Docker must not run
   * the container of another task. Where Docker is silent as well, that one must repeat it for a
   * minute.
   */
  sure: boolean;
}

export type LookAtTasks = (signal: AbortSignal) => Promise<TaskSight>;

interface Answer {
  at: number;
  tasks: readonly CloudTask[] | 'unknown' | 'refused';
  protection: Protection;
}

const unprotected: Protection = { certain: new Set(), possible: new Set() };

/**
 * ECS knows best which tasks it has placed here, but its list may be stale for some seconds. What
 * it leaves out for longer is a task only if Docker runs it: any process may listen on the ECS
 * agent's port. Where nothing on this machine answers, ECS must repeat for as long that no task is
 * left.
 */
const unlistedLastsMs = 60_000;

/** Returns those of `arns`, which only the ECS agent names, that may be tasks all the same. */
type KeepUnlisted = (arns: string[], answer: Answer | undefined, signal: AbortSignal) => Promise<string[]>;

function openUnlisted(host: Host): KeepUnlisted {
  const lastingOf = openLastingOfEach(host.clock, unlistedLastsMs);
  let disowned: string[] = [];
  let readAt: number | undefined;
  return async (arns, answer, signal) => {
    if (answer === undefined || typeof answer.tasks === 'string') return arns;
    // The same answer seen again does not make it last.
    if (answer.at !== readAt) disowned = lastingOf(arns);
    readAt = answer.at;
    if (!arns.some((arn) => disowned.includes(arn))) return arns;
    const contained = await readContainedArns(host, signal);
    return contained === undefined ? arns : arns.filter((arn) => !disowned.includes(arn) || contained.includes(arn));
  };
}

export function openTaskSight(host: Host, containerInstance: ContainerInstanceRef, stopTimes: StopTimes): LookAtTasks {
  let asked: Answer | undefined;
  // The local ECS agent does not know which program started a task, and ECS may not answer. So the
  // ARNs come from the disk.
  let daemons: Set<string> | undefined;
  const lasts = openLasting(host.clock, emptyLastsMs);
  const lastsLong = openLasting(host.clock, unlistedLastsMs);
  const keepUnlisted = openUnlisted(host);
  const askCloud = async (at: number, signal: AbortSignal): Promise<Answer> => {
    try {
      const tasks = await callOnce(host, signal, (callSignal) =>
        host.cloud.readTasks(containerInstance.cluster, containerInstance.arn, callSignal),
      );
      return { at, tasks, protection: await stopTimes.protectionOf(tasks, signal) };
    } catch (error) {
      signal.throwIfAborted();
      if (asked?.tasks !== 'refused') host.log.warn('tasks not read from ECS', { error: messageOf(error) });
      return { at, tasks: error instanceof Refused ? 'refused' : 'unknown', protection: unprotected };
    }
  };
  return async (signal) => {
    daemons ??= await readOwnArns(host);
    const local = await readLocalTasks(host, signal);
    const now = host.clock.uptime();
    const isQuiet = local === undefined || local.every(({ arn }) => daemons!.has(arn));
    const isDue = asked === undefined || isQuiet || now - asked.at >= cloudEveryMs;
    if (isDue && (asked === undefined || now - asked.at >= localEveryMs * 0.9)) asked = await askCloud(now, signal);
    const { tasks: cloud = 'unknown', protection = unprotected } = asked ?? {};
    // The containers of a dead ECS agent run on, and one that ECS does not confirm may be wrong.
    const isAlone = local === undefined || cloud === 'refused';
    const containedNow = isAlone ? await readContainedArns(host, signal) : [];
    const contained = containedNow ?? [];
    const listed = typeof cloud === 'string' ? [] : cloud;
    for (const task of listed) if (isOurs(task)) daemons.add(task.arn);
    const names = new Map((local ?? []).flatMap(({ arn, name }) => (arn === '' ? [] : [[arn, name]])));
    for (const task of listed) names.set(task.arn, nameOf(task, protection.certain));
    const unnamed = [
      ...(local ?? []).filter(({ arn }) => arn === '').map(({ name }) => name),
      ...contained.filter((arn) => !names.has(arn) && !daemons!.has(arn)).map((arn) => `container of ${shortArn(arn)}`),
    ];
    const arns = [...names.keys()].toSorted();
    const isOrdinary = (arn: string) => !daemons!.has(arn);
    const listedArns = listed.map(({ arn }) => arn);
    const isUnlisted = (arn: string) => isOrdinary(arn) && !listedArns.includes(arn);
    const doubtful = await keepUnlisted([...names.keys()].filter(isUnlisted), asked, signal);
    const blockers = [...arns.filter(isOrdinary).map((arn) => names.get(arn) ?? shortArn(arn)), ...unnamed.toSorted()];
    // Without the permission to list tasks, only the local agent's answer is left. With a dead
    // agent, only ECS's answer is left, which Docker may contradict. A task without a name may be
    // one that ECS does not list.
    const isAnswered = unnamed.length === 0 && cloud !== 'unknown' && (cloud !== 'refused' || local !== undefined);
    const isSaidEmpty = isAnswered && blockers.length === 0;
    // A container instance with more than the named tasks contradicts the answer of one source.
    const isEmpty = isSaidEmpty && (!isAlone || (await countTasks(host, containerInstance, signal)) <= arns.length);
    const [hasLasted, hasLastedLong] = [lasts(isEmpty), lastsLong(isEmpty)];
    const isBelieved = containedNow === undefined ? hasLastedLong : hasLasted;
    return {
      blockers,
      listed: listed.filter(({ arn }) => isOrdinary(arn)),
      unlisted: [...doubtful, ...contained.filter(isUnlisted)],
      protectedArns: protection.possible,
      daemonArns: arns.filter((arn) => !isOrdinary(arn)),
      sure: isAnswered && (!isSaidEmpty || isBelieved),
    };
  };
}

/** The tasks on all records of this instance: only one of them is of the ECS agent that runs. */
export function mergeSights(sights: readonly TaskSight[]): TaskSight {
  const unique = (values: readonly string[]) => [...new Set(values)];
  const listed = sights.flatMap((sight) => sight.listed);
  const unlisted = unique(sights.flatMap((sight) => sight.unlisted));
  return {
    blockers: unique(sights.flatMap(({ blockers }) => blockers)),
    listed,
    unlisted: unlisted.filter((each) => listed.every(({ arn }) => arn !== each)),
    protectedArns: new Set(sights.flatMap(({ protectedArns }) => [...protectedArns])),
    daemonArns: unique(sights.flatMap(({ daemonArns }) => daemonArns)),
    sure: sights.every(({ sure }) => sure),
  };
}

/** The ECS agent and Docker answer within milliseconds. A dead one says nothing. */
const localMs = 3_000;

/** Signs on this machine for or against ECS's answer that it knows no record of this node. */
export interface LocalSigns {
  /** A sign against it. Any process may listen on the ECS agent's port, so it is no proof. */
  contradiction?: string;
  /** Docker answers that it runs no container of a task. */
  isIdle?: true;
}

export async function readLocalSigns(host: Host, cluster: string, signal: AbortSignal): Promise<LocalSigns> {
  const local = await readLocalAgent(host, signal);
  const arn = local?.containerInstanceArn;
  // A record in another cluster does not speak against an answer about this one.
  if (arn !== undefined && local !== undefined && shortArn(local.cluster) === shortArn(cluster))
    return { contradiction: `the ECS agent names ${arn}` };
  const contained = await readContainedArns(host, signal);
  if (contained === undefined) return {};
  return contained.length === 0 ? { isIdle: true } : { contradiction: `Docker runs ${contained.length} tasks` };
}

/** The tasks of which Docker runs a container; undefined while Docker is silent. */
async function readContainedArns(host: Host, signal: AbortSignal): Promise<string[] | undefined> {
  try {
    const containers = await callOnce(host, signal, (callSignal) => host.docker.readContainers(callSignal), localMs);
    return [...new Set(containers.flatMap(({ state, taskArn }) => (state === 'running' ? (taskArn ?? []) : [])))];
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** The number in the node's record; `Infinity` while unknown, 0 where the role may not read it. */
async function countTasks(host: Host, { cluster, arn }: ContainerInstanceRef, signal: AbortSignal): Promise<number> {
  try {
    const record = await callOnce(host, signal, (callSignal) =>
      host.cloud.readContainerInstance(cluster, arn, callSignal),
    );
    // An answer about no record, or about another one of this instance, counts nothing.
    return record?.arn === arn ? record.runningTasks + record.pendingTasks : 0;
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Refused ? 0 : Infinity;
  }
}

async function readOwnArns(host: Host): Promise<Set<string>> {
  const { families } = await readDaemonTasks(host).catch(() => ({ families: {} }));
  return new Set(Object.values(families).flatMap(({ past }) => past?.taskArn ?? []));
}

async function readLocalTasks(host: Host, signal: AbortSignal): Promise<{ arn: string; name: string }[] | undefined> {
  try {
    const tasks = await callOnce(host, signal, (callSignal) => host.ecsAgent.readTasks(callSignal), localMs);
    return tasks
      ?.filter(({ knownStatus }) => knownStatus !== 'STOPPED')
      .map(({ arn, family, knownStatus }) => ({
        arn,
        name: `family:${family} ${shortArn(arn) || 'without an ARN'} ${knownStatus}`,
      }));
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function nameOf({ arn, group, lastStatus }: CloudTask, protectedArns: ReadonlySet<string>): string {
  return `${group} ${shortArn(arn)} ${lastStatus}${protectedArns.has(arn) ? ' (protected)' : ''}`;
}
