/**
 * What becomes of one family's daemon task on this node: kept, started, stopped, waited for. Pure.
 */

import type { CloudTask, LocalTask } from '../core/host.ts';
import { familyOf, shortDefinition } from '../core/task-definition.ts';
import { shortArn } from '../core/arn.ts';

/** The mark of tasks that are ours. ECS takes 36 characters there. */
export const startedBy = 'ecs-node/daemon';

/**
 * After a start whose answer was lost, so long nothing is started again: ECS tells of a new task
 * within seconds, and the agent on this node some seconds later.
 */
export const startVisibleMs = 60_000;

/** What dies younger has not really run: ECS itself gives a service's task about as long. */
export const youngMs = 600_000;

/**
 * A first failure may be chance, and is mended at once; after the second this long, twice as long
 * after each further one.
 */
const firstPauseMs = 30_000;

/**
 * Every further start pulls an image and writes logs; a person who mends the task waits no longer
 * than this.
 */
const longestPauseMs = 900_000;

export interface DesiredTask {
  family: string;
  /** ARN of the revision that shall run; undefined when it is not known. */
  revision: string | undefined;
  /** Why it is not known. */
  why?: string;
}

/** `asked`: nobody knows whether it has happened. */
export const lives = ['asked', 'answered', 'ended'] as const;

/** The last start of a family, as it is remembered on the disk. */
export interface Past {
  revision: string;
  /** When it was asked for, milliseconds since 1970. */
  startedAt: number;
  life: (typeof lives)[number];
  taskArn?: string;
  /** Starts in a row that came to nothing or died young. */
  misses: number;
  /** Of the last one. */
  why?: string;
}

export interface ObservedTasks {
  /** On this container instance, as ECS tells; none that has STOPPED. */
  tasks: readonly CloudTask[];
  /** The same, as the agent tells. */
  local: readonly LocalTask[];
  /** Why the task of the last start has stopped, when ECS says that it has. */
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
  if (alive.length > 0) return keepOne(desired, alive, before, now);
  if (own.length > 0) return wait('stops', `${shortArn(own[0]!.arn)} is still stopping`, before);
  const unseen = observed.local.find(
    ({ arn, family }) => family === desired.family && observed.tasks.every((task) => task.arn !== arn),
  );
  // Whose it is only ECS can say.
  if (unseen !== undefined) return wait('waits', `ECS does not tell of ${shortArn(unseen.arn)} yet`, before);
  const past = concludeLastStart(before, observed, now);
  if (past !== undefined && past.life !== 'ended') {
    return wait('starts', `asked for ${ago(past, now)} s ago, not seen yet`, past);
  }
  return startAgain(desired, observed, past, now);
}

/**
 * Ours by the mark, on this container instance: the name of the family alone says nothing about who
 * wants it here.
 */
export function isOurs(task: Pick<CloudTask, 'startedBy'>): boolean {
  return task.startedBy === startedBy;
}

/**
 * Keeps the one that runs, the oldest of them: a second one is a start whose answer was lost, and
 * has had less time to become useful. An old revision is stopped first, and the new one started
 * when it has: two would fight for ports and files.
 */
function keepOne(desired: DesiredTask, alive: readonly CloudTask[], before: Past | undefined, now: number): Decision {
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
  const surplus = alive.filter((task) => task !== kept);
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

/** What the last start has come to, now that nothing of it is to be seen. */
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
    return wait('not ours', `${shortArn(other.arn)} of somebody else runs here (${who})`, past);
  }
  if (desired.revision === undefined) return wait('unknown', desired.why ?? 'its revision is not known', past);
  // A new revision may be the mending of the old one.
  const pause = past?.revision === desired.revision ? pauseMs(past.misses) : 0;
  const left = past === undefined ? 0 : pause - ageOf(past, now);
  if (left > 0) {
    const detail = `came to nothing ${past!.misses} times, next start in ${Math.ceil(left / 1000)} s: ${past!.why ?? ''}`;
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

/**
 * A clock that was set back by more than a little must not keep a node waiting for it to catch up.
 */
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
