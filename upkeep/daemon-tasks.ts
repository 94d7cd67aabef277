/** Decides about one family's daemon task on this node: keep, start, stop or wait. Pure. */

import type { CloudTask, LocalTask } from '../core/host.ts';
import { familyOf, shortDefinition } from '../core/task-definition.ts';
import { shortArn } from '../core/arn.ts';

/** Marks the tasks that ecs-node starts. ECS allows 36 characters there. */
export const startedBy = 'ecs-node/daemon';

/**
 * The time without another start after a lost answer. ECS lists a new task within seconds, and the
 * agent on this node some seconds later.
 */
export const startVisibleMs = 60_000;

/** A task that ends earlier counts as a failed start. ECS gives a service's task about as long. */
export const youngMs = 600_000;

/**
 * A first failure may be chance, so the next start follows at once. After the second failure the
 * node waits this long, then twice as long after each further one.
 */
const firstPauseMs = 30_000;

/**
 * Limits the pause. Each start pulls an image and writes logs, but a person who repaired the task
 * should not wait longer than this.
 */
const longestPauseMs = 900_000;

export interface DesiredTask {
  family: string;
  /** ARN of the revision that must run. Undefined when it is not known. */
  revision: string | undefined;
  /** The reason for which it is not known. */
  why?: string;
}

/** `asked`: it is not known whether the task started. */
export const lives = ['asked', 'answered', 'ended'] as const;

/** The last start of a family, as the state file records it. */
export interface Past {
  revision: string;
  /** The time of the request, milliseconds since 1970. */
  startedAt: number;
  life: (typeof lives)[number];
  taskArn?: string;
  /** Consecutive starts that failed or whose task ended early. */
  misses: number;
  /** The reason of the last one. */
  why?: string;
}

export interface ObservedTasks {
  /** The tasks on this container instance, from ECS. None of them has STOPPED. */
  tasks: readonly CloudTask[];
  /** The same, from the ECS agent. */
  local: readonly LocalTask[];
  /** The reason for which the task of the last start has stopped, if ECS reports that. */
  ended?: string | undefined;
}

export const standings = ['runs', 'starts', 'stops', 'waits', 'not ours', 'unknown'] as const;
export type Standing = (typeof standings)[number];

export type TaskAction = { kind: 'start'; revision: string } | { kind: 'stop'; taskArn: string; why: string };

export interface Decision {
  standing: Standing;
  /** For people. */
  detail: string;
  actions: readonly TaskAction[];
  past: Past | undefined;
}

export function decide(desired: DesiredTask, observed: ObservedTasks, before: Past | undefined, now: number): Decision {
  const own = observed.tasks.filter((task) => isOurs(task) && familyOf(task.definition) === desired.family);
  const alive = own.filter(({ desiredStatus }) => desiredStatus !== 'STOPPED');
  if (alive.length > 0) return keepOne(desired, { alive, local: observed.local }, before, now);
  if (own.length > 0) return wait('stops', `${shortArn(own[0]!.arn)} is still stopping`, before);
  const unseen = observed.local.find(
    ({ arn, family }) => family === desired.family && observed.tasks.every((task) => task.arn !== arn),
  );
  // Only ECS knows which program started it.
  if (unseen !== undefined) return wait('waits', `ECS does not list ${shortArn(unseen.arn)} yet`, before);
  const past = concludeLastStart(before, observed, now);
  if (past !== undefined && past.life !== 'ended') {
    return wait('starts', `requested ${ago(past, now)} s ago, not seen yet`, past);
  }
  return startAgain(desired, observed, past, now);
}

/**
 * Recognises the node's own tasks by the mark. The family alone does not say which program started
 * a task.
 */
export function isOurs(task: Pick<CloudTask, 'startedBy'>): boolean {
  return task.startedBy === startedBy;
}

/**
 * Keeps the oldest running task. A second one comes from a start whose answer was lost, and has had
 * less time to become useful. An old revision stops before the new one starts: two tasks would
 * compete for ports and files. An old list of ECS may name a task that has ended, so no task stops
 * beside one that the agent does not run.
 */
function keepOne(
  desired: DesiredTask,
  { alive, local }: { alive: readonly CloudTask[]; local: readonly LocalTask[] },
  before: Past | undefined,
  now: number,
): Decision {
  if (desired.revision === undefined) {
    return wait(
      'runs',
      `${shortDefinition(alive[0]!.definition)}; ${desired.why ?? 'its revision is not known'}`,
      before,
    );
  }
  const [kept, ...others] = alive.filter(({ definition }) => definition === desired.revision).toSorted(byPreference);
  if (kept === undefined) {
    const why = `replaced by ${shortDefinition(desired.revision)}`;
    return { standing: 'stops', detail: why, actions: alive.map(({ arn }) => stop(arn, why)), past: before };
  }
  const isKeptSeen = local.some(({ arn }) => arn === kept.arn);
  const surplus = isKeptSeen ? alive.filter((task) => task !== kept) : [];
  const why = others.length > 0 ? 'one is enough on a node' : `replaced by ${shortDefinition(desired.revision)}`;
  return {
    standing: kept.lastStatus === 'RUNNING' ? 'runs' : 'starts',
    detail: `${shortDefinition(kept.definition)}, task ${shortArn(kept.arn)}`,
    actions: surplus.map(({ arn }) => stop(arn, why)),
    past: lastStartOf(kept, before, now),
  };
}

function byPreference(a: CloudTask, b: CloudTask): number {
  const running = (task: CloudTask) => (task.lastStatus === 'RUNNING' ? 0 : 1);
  return running(a) - running(b) || (a.createdAt ?? 0) - (b.createdAt ?? 0) || (a.arn < b.arn ? -1 : 1);
}

function lastStartOf(task: CloudTask, before: Past | undefined, now: number): Past {
  const isKnown = before?.taskArn === task.arn;
  const startedAt = isKnown ? before.startedAt : (task.createdAt ?? before?.startedAt ?? now);
  const hasLived = now - startedAt >= youngMs;
  const misses = hasLived ? 0 : (before?.misses ?? 0);
  const why = misses > 0 && before?.why !== undefined ? { why: before.why } : {};
  return { revision: task.definition, startedAt, life: 'answered', taskArn: task.arn, misses, ...why };
}

/** The result of the last start, once its task is no longer visible. */
function concludeLastStart(past: Past | undefined, { ended }: ObservedTasks, now: number): Past | undefined {
  if (past === undefined || past.life === 'ended') return past;
  const age = ageOf(past, now);
  if (ended === undefined && age < startVisibleMs) return past;
  const { revision, startedAt } = past;
  const why = ended ?? (past.life === 'asked' ? 'the start was not answered' : 'the task is gone');
  return { revision, startedAt, life: 'ended', misses: age < youngMs ? past.misses + 1 : 0, why };
}

function startAgain(desired: DesiredTask, observed: ObservedTasks, past: Past | undefined, now: number): Decision {
  const other = observed.tasks.find(({ definition }) => familyOf(definition) === desired.family);
  if (other !== undefined) {
    const who = `${other.group}${other.startedBy === undefined ? '' : `, started by ${other.startedBy}`}`;
    return wait('not ours', `${shortArn(other.arn)} of another owner runs here (${who})`, past);
  }
  if (desired.revision === undefined) return wait('unknown', desired.why ?? 'its revision is not known', past);
  // A new revision may repair the old one, so it starts without a pause.
  const pause = past?.revision === desired.revision ? pauseMs(past.misses) : 0;
  const left = past === undefined ? 0 : pause - ageOf(past, now);
  if (left > 0) {
    const detail = `failed ${past!.misses} times, next start in ${Math.ceil(left / 1000)} s: ${past!.why ?? ''}`;
    return wait('waits', detail, past);
  }
  const misses = past?.revision === desired.revision ? past.misses : 0;
  return {
    standing: 'starts',
    detail: shortDefinition(desired.revision),
    actions: [{ kind: 'start', revision: desired.revision }],
    past: { revision: desired.revision, startedAt: now, life: 'asked', misses, ...(past?.why && { why: past.why }) },
  };
}

export function pauseMs(misses: number): number {
  return misses < 2 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (misses - 2));
}

/** If the clock was set back by more than a little, the node must not wait for it to catch up. */
function ageOf({ startedAt }: Past, now: number): number {
  const age = now - startedAt;
  return age < -startVisibleMs ? Infinity : Math.max(0, age);
}

function ago(past: Past, now: number): number {
  return Math.round(ageOf(past, now) / 1000);
}

function wait(standing: Standing, detail: string, past: Past | undefined): Decision {
  return { standing, detail, actions: [], past };
}

function stop(taskArn: string, why: string): TaskAction {
  return { kind: 'stop', taskArn, why };
}
