/**
 * Restricts every verb with an ARN to this instance's own records and tasks. The ARN may come from
 * the ECS agent's introspection port. That port is not privileged: when the agent does not listen,
 * any process may answer there.
 */

import { Refused, Unavailable } from '../../../core/errors.ts';
import type { Cloud } from '../../../core/host.ts';
import { idOf } from './ecs-answers.ts';

/**
 * The same cloud, with verbs that refuse an ARN unless ECS has said that it belongs to this
 * instance. ECS's answers are remembered.
 */
export function guardRecords(cloud: Cloud): Cloud {
  const { own, owns, mustOwn } = openOwnership(cloud);
  const tasks = new Set<string>();
  const gone = new Set<string>();
  const readTasks: Cloud['readTasks'] = async (cluster, arn, signal) => {
    await mustOwn(cluster, arn, signal);
    const found = await cloud.readTasks(cluster, arn, signal);
    // An answer about another instance must not name a task to stop.
    const foreign = found.find(({ containerInstanceArn }) => idOf(containerInstanceArn) !== idOf(arn));
    if (foreign !== undefined) throw new Unavailable(`ecs:DescribeTasks: ${foreign.arn} is not on ${arn}`);
    for (const task of found) tasks.add(task.arn);
    return found;
  };

  const ifOwn =
    (verb: 'drain' | 'activate' | 'deregisterContainerInstance') =>
    async (cluster: string, arn: string, signal: AbortSignal): Promise<void> => {
      // ECS no longer says whose record this was.
      if (verb === 'deregisterContainerInstance' && gone.has(arn)) return;
      await mustOwn(cluster, arn, signal);
      try {
        await cloud[verb](cluster, arn, signal);
        // Only now: where an answer is lost, the call is repeated.
        if (verb === 'deregisterContainerInstance' && own.delete(arn)) gone.add(arn);
      } catch (error) {
        if (error instanceof Refused) own.delete(arn);
        throw error;
      }
    };

  return {
    ...cloud,
    ownsContainerInstance: owns,
    async readContainerInstance(cluster, hint, signal) {
      const found = await cloud.readContainerInstance(cluster, hint, signal);
      if (found !== undefined) for (const arn of [found.arn, ...found.others]) own.add(arn);
      return found;
    },
    readTasks,
    drain: ifOwn('drain'),
    activate: ifOwn('activate'),
    deregisterContainerInstance: ifOwn('deregisterContainerInstance'),
    async stopTask(cluster, taskArn, reason, signal) {
      // Only after a restart of this process does it not know a task that ECS listed before.
      for (const arn of tasks.has(taskArn) ? [] : own) await readTasks(cluster, arn, signal);
      if (!tasks.has(taskArn))
        throw new Refused(`ECS does not list ${taskArn} on this container instance`, { code: notOwn });
      await cloud.stopTask(cluster, taskArn, reason, signal);
    },
    async startTask(cluster, arn, definition, startedBy, signal) {
      await mustOwn(cluster, arn, signal);
      const task = await cloud.startTask(cluster, arn, definition, startedBy, signal);
      tasks.add(task);
      return task;
    },
    async queueToLeave(cluster, arn, reason, since, signal) {
      await mustOwn(cluster, arn, signal);
      await cloud.queueToLeave(cluster, arn, reason, since, signal);
    },
    async unqueue(cluster, arn, reason, signal) {
      await mustOwn(cluster, arn, signal);
      await cloud.unqueue(cluster, arn, reason, signal);
    },
  };
}

const notOwn = 'NotThisInstance';

interface Ownership {
  /**
   * A record never changes its instance, nor a task its record. A record that is deregistered, or
   * refuses to change, may be gone: a stale answer of the port must not name it for ever.
   */
  own: Set<string>;
  owns: Cloud['ownsContainerInstance'];
  mustOwn(cluster: string, arn: string, signal: AbortSignal): Promise<void>;
}

function openOwnership(cloud: Cloud): Ownership {
  const own = new Set<string>();
  const owns: Ownership['owns'] = async (cluster, arn, signal) => {
    if (!own.has(arn) && (await cloud.ownsContainerInstance(cluster, arn, signal))) own.add(arn);
    return own.has(arn);
  };
  return {
    own,
    owns,
    async mustOwn(cluster, arn, signal) {
      if (await owns(cluster, arn, signal)) return;
      throw new Refused(`ECS does not say that ${arn} is this instance's`, { code: notOwn });
    },
  };
}
