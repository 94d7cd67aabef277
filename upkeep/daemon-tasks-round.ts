/** One round: reads the daemon tasks of this node, and acts on them. */

import { messageOf, Refused, Unavailable } from '../core/errors.ts';
import type { CloudTask, Host, LocalTask } from '../core/host.ts';
import { openLasting } from '../core/lasting.ts';
import { familyOf, revisionNumber, shortDefinition } from '../core/task-definition.ts';
import { writeDaemonTasks, type DaemonTask, type DaemonTasks } from './daemon-tasks-memory.ts';
import {
  decide,
  isOurs,
  startedBy,
  type Decision,
  type TaskAction,
  type Past,
  type DesiredTask,
} from './daemon-tasks.ts';

/** One round, with all facts that it needs. */
export interface DaemonTasksRound {
  host: Host;
  containerInstance: { cluster: string; arn: string };
  names: readonly string[];
  local: readonly LocalTask[];
  before: DaemonTasks;
  /** By family, across the rounds: whether an older revision than the one that runs stays named. */
  olderLasts: Map<string, ReturnType<typeof openLasting>>;
}

/** ECS may be stale or wrong for up to a minute. */
const olderLastsMs = 60_000;

export async function doRound(
  round: DaemonTasksRound,
  signal: AbortSignal,
): Promise<{ actions: number; complete: boolean; error: Error | undefined }> {
  const { host, containerInstance, names } = round;
  const tasks = await host.cloud.readTasks(containerInstance.cluster, containerInstance.arn, signal);
  // Such a task would count as one that is no longer configured, and a second one would start.
  const unnamed = tasks.find(({ definition }) => definition === '');
  if (unnamed !== undefined) throw new Unavailable(`ECS does not name the task definition of ${unnamed.arn}`);
  const families: Record<string, DaemonTask> = {};
  const errors: Error[] = [];
  let actions = await stopOrphans(round, tasks, errors, signal);
  for (const name of names) {
    const decision = await decideOn(round, name, tasks, errors, signal);
    const family = familyOf(name);
    families[family] = noteFamily(round, family, decision);
    // Written before the action: after a crash, the next process knows that a start was about to be
    // requested.
    await writeDaemonTasks(host, { ...round.before, families: { ...round.before.families, ...families } });
    for (const action of decision.actions) {
      const note = await carryOut(round, family, families[family], action, errors, signal);
      if (note.done) actions++;
      families[family] = note.task;
    }
  }
  await writeDaemonTasks(host, { ...round.before, families });
  const isComplete = Object.values(families).every(({ standing }) => standing === 'runs' || standing === 'not ours');
  return { actions, complete: actions === 0 && errors.length === 0 && isComplete, error: errors[0] };
}

async function decideOn(
  round: DaemonTasksRound,
  name: string,
  tasks: readonly CloudTask[],
  errors: Error[],
  signal: AbortSignal,
): Promise<Decision> {
  const { host, containerInstance, local, before } = round;
  const family = familyOf(name);
  const desired: DesiredTask = { family, ...(await readRevision(round, name, tasks, errors, signal)) };
  const past = before.families[family]?.past;
  const isGone = past?.taskArn !== undefined && tasks.every(({ arn }) => arn !== past.taskArn);
  const ended = isGone ? await host.cloud.readStopReason(containerInstance.cluster, past.taskArn!, signal) : undefined;
  const decision = decide(desired, { tasks, local, ended }, past, host.clock.now());
  if (decision.actions.every(({ kind }) => kind !== 'start')) return decision;
  const own = await host.cloud.readContainerInstance(containerInstance.cluster, containerInstance.arn, signal);
  if (own?.status === 'ACTIVE' && own.agentConnected) return decision;
  // A drained node must become empty, and a disconnected agent would start nothing.
  const state = own === undefined ? 'unknown to ECS' : own.agentConnected ? own.status : 'not connected';
  return { standing: 'waits', detail: `this container instance is ${state}`, actions: [], past };
}

async function readRevision(
  round: DaemonTasksRound,
  name: string,
  tasks: readonly CloudTask[],
  errors: Error[],
  signal: AbortSignal,
): Promise<Pick<DesiredTask, 'revision' | 'why'>> {
  try {
    const revision = await round.host.cloud.readTaskDefinition(name, signal);
    if (revision !== undefined) {
      await mustBeNewest(round, name, revision, tasks, signal);
      return { revision };
    }
    throw new Refused(`ECS has no ACTIVE task definition ${name}`, { code: 'ClientException' });
  } catch (error) {
    signal.throwIfAborted();
    errors.push(error as Error);
    return { revision: undefined, why: messageOf(error) };
  }
}

/**
 * A stale answer about the newest revision would stop the task of a newer one. That revision is the
 * newest while it is ACTIVE, and a stale answer may deny that as well, so both must last. A name
 * with its revision is the operator's choice.
 */
async function mustBeNewest(
  { host, olderLasts }: DaemonTasksRound,
  name: string,
  revision: string,
  tasks: readonly CloudTask[],
  signal: AbortSignal,
): Promise<void> {
  if (revisionNumber(name) !== undefined) return;
  const family = familyOf(name);
  const newer = tasks
    .filter((task) => isOurs(task) && familyOf(task.definition) === family)
    .find(({ definition }) => (revisionNumber(definition) ?? 0) > (revisionNumber(revision) ?? Infinity));
  const isActive = newer !== undefined && (await host.cloud.readTaskDefinition(newer.definition, signal)) !== undefined;
  // The pause between two rounds has no limit of its own.
  const lasts = olderLasts.get(family) ?? openLasting(host.clock, olderLastsMs, Infinity);
  olderLasts.set(family, lasts);
  if (lasts(newer !== undefined && !isActive && revision) || newer === undefined) return;
  const [named, running] = [revision, newer.definition].map(shortDefinition);
  const state = isActive ? 'is ACTIVE' : 'runs: it must say so for a minute';
  throw new Unavailable(`ECS names ${named} as the newest revision, and ${running} ${state}`);
}

function noteFamily({ host, before }: DaemonTasksRound, family: string, decision: Decision): DaemonTask {
  const { standing, detail, past } = decision;
  const known = before.families[family];
  const isNews = known?.standing !== standing;
  if (isNews || known.detail !== detail) {
    const level = standing === 'not ours' || standing === 'unknown' ? 'warn' : 'info';
    // A countdown is not news in every round.
    if (isNews || standing === 'runs') host.log[level]('daemon task', { family, standing, detail });
  }
  const since = isNews ? host.clock.now() : known.since;
  return { standing, detail, since, ...(past !== undefined && { past }) };
}

async function carryOut(
  { host, containerInstance }: DaemonTasksRound,
  family: string,
  task: DaemonTask,
  action: TaskAction,
  errors: Error[],
  signal: AbortSignal,
): Promise<{ done: boolean; task: DaemonTask }> {
  try {
    if (action.kind === 'stop') {
      await host.cloud.stopTask(containerInstance.cluster, action.taskArn, `ecs-node: ${action.why}`, signal);
      host.log.info('daemon task stopped', { family, task: action.taskArn, why: action.why });
      return { done: true, task };
    }
    const taskArn = await host.cloud.startTask(
      containerInstance.cluster,
      containerInstance.arn,
      action.revision,
      startedBy,
      signal,
    );
    host.log.info('daemon task started', { family, definition: shortDefinition(action.revision), task: taskArn });
    return { done: true, task: { ...task, past: { ...task.past!, life: 'answered', taskArn } } };
  } catch (error) {
    signal.throwIfAborted();
    errors.push(error as Error);
    // Only a refusal proves that nothing started.
    if (action.kind === 'stop' || !(error instanceof Refused)) return { done: false, task };
    const detail = `could not be started: ${messageOf(error)}`;
    return { done: false, task: { ...task, standing: 'waits', detail, past: withMiss(task.past!, error) } };
  }
}

function withMiss({ revision, startedAt, misses }: Past, error: Refused): Past {
  return { revision, startedAt, life: 'ended', misses: misses + 1, why: messageOf(error) };
}

/** Stops tasks with the mark of ecs-node that are no longer configured. */
async function stopOrphans(
  { host, containerInstance, names }: DaemonTasksRound,
  tasks: readonly CloudTask[],
  errors: Error[],
  signal: AbortSignal,
): Promise<number> {
  const families = new Set(names.map(familyOf));
  const orphans = tasks.filter((task) => isOurs(task) && !families.has(familyOf(task.definition)));
  let stopped = 0;
  for (const { arn, definition, desiredStatus } of orphans) {
    if (desiredStatus === 'STOPPED') continue;
    try {
      await host.cloud.stopTask(containerInstance.cluster, arn, 'ecs-node: no longer configured', signal);
      host.log.info('daemon task stopped', { family: familyOf(definition), task: arn, why: 'no longer configured' });
      stopped++;
    } catch (error) {
      signal.throwIfAborted();
      errors.push(error as Error);
    }
  }
  return stopped;
}
