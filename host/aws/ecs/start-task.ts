/** ECS: task definitions, the start of a task, its time to stop, and the reason of its end. */

import {
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  GetTaskProtectionCommand,
  StartTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs';
import { isDenied, messageOf, Refused, Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { parseList } from '../parse-list.ts';
import type { Session } from '../session/session.ts';

/** The maximum number of ARNs in one GetTaskProtection call. */
const protectionsPerCall = 100;

export function openStarter(
  client: ECSClient,
  session: Session,
): Pick<
  ClusterCloud,
  'readStopReason' | 'readTaskDefinition' | 'readStopTimeout' | 'readProtectedTasks' | 'startTask'
> {
  const { callAws, settings } = session;
  return {
    async readStopReason(cluster, task, signal) {
      const { tasks = [] } = await callAws('ecs:DescribeTasks', task, signal, (options) =>
        client.send(new DescribeTasksCommand({ cluster, tasks: [task] }), options),
      );
      const [found] = tasks;
      return found?.lastStatus === 'STOPPED' ? describeEnd(found) : undefined;
    },
    async readTaskDefinition(name, signal) {
      try {
        const { taskDefinition } = await callAws('ecs:DescribeTaskDefinition', name, signal, (options) =>
          client.send(new DescribeTaskDefinitionCommand({ taskDefinition: name }), options),
        );
        return taskDefinition?.status === 'ACTIVE' ? taskDefinition.taskDefinitionArn : undefined;
      } catch (error) {
        // ECS has no other code for an unknown family or revision.
        if (error instanceof Refused && error.code === 'ClientException') return undefined;
        throw error;
      }
    },
    ...openStopQuestions(client, session),
    async startTask(cluster, arn, taskDefinition, startedBy, signal) {
      // The SDK would repeat a request after a lost answer. That would be a second task.
      const { retryStrategy: _, ...rest } = settings('ECS');
      const once = new ECSClient({ ...rest, maxAttempts: 1 });
      const { tasks = [], failures = [] } = await callAws('ecs:StartTask', taskDefinition, signal, (options) =>
        once.send(new StartTaskCommand({ cluster, containerInstances: [arn], taskDefinition, startedBy }), options),
      )
        .catch(explain)
        .finally(() => once.destroy());
      const started = tasks[0]?.taskArn;
      if (started !== undefined) return started;
      const { reason = 'unknown reason', detail = '' } = failures[0] ?? {};
      const why = `ecs:StartTask ${taskDefinition}: ${[reason, detail].filter(Boolean).join(', ')}`;
      // The ECS agent has lost its connection. That passes.
      if (reason === 'AGENT') throw new Unavailable(why);
      throw new Refused(why, { code: reason });
    },
  };
}

function describeEnd({ stoppedReason = 'stopped', containers = [] }: Task): string {
  const codes = containers
    .filter(({ exitCode }) => exitCode !== undefined)
    .map(({ name = '', exitCode }) => `${name} exit ${exitCode}`);
  return codes.length === 0 ? stoppedReason : `${stoppedReason} (${codes.join(', ')})`;
}

/**
 * To start a task is to pass its roles. IAM reports that permission under the name of another
 * service.
 */
function explain(error: unknown): never {
  const said = messageOf(isDenied(error) ? (error as Error).cause : undefined);
  const role = /iam:PassRole on resource: (\S+)/.exec(said)?.[1];
  if (role === undefined) throw error;
  const why = `iam:PassRole on ${role} is not allowed: the task has this role, and the instance's role must be allowed to pass it`;
  throw new Refused(why, { cause: error, code: 'AccessDeniedException' });
}

function openStopQuestions(
  client: ECSClient,
  { callAws }: Session,
): Pick<ClusterCloud, 'readStopTimeout' | 'readProtectedTasks'> {
  return {
    async readStopTimeout(definition, defaultMs, signal) {
      const call = 'ecs:DescribeTaskDefinition';
      const { taskDefinition } = await callAws(call, definition, signal, (options) =>
        client.send(new DescribeTaskDefinitionCommand({ taskDefinition: definition }), options),
      );
      const containers = parseList(call, 'containerDefinitions', taskDefinition?.containerDefinitions);
      const times = containers.map(({ stopTimeout }) => (stopTimeout === undefined ? defaultMs : stopTimeout * 1000));
      // Containers that depend on each other stop one after the other.
      const isChain = containers.some(({ dependsOn = [] }) => dependsOn.length > 0);
      return isChain ? times.reduce((sum, ms) => sum + ms, 0) : Math.max(0, ...times);
    },
    async readProtectedTasks(cluster, arns, signal) {
      const call = 'ecs:GetTaskProtection';
      const found: string[] = [];
      for (let start = 0; start < arns.length; start += protectionsPerCall) {
        const tasks = arns.slice(start, start + protectionsPerCall);
        const { protectedTasks } = await callAws(call, cluster, signal, (options) =>
          client.send(new GetTaskProtectionCommand({ cluster, tasks }), options),
        );
        // A task that has stopped meanwhile is in `failures`. It is no longer protected.
        for (const task of parseList(call, 'protectedTasks', protectedTasks))
          if (typeof task?.taskArn === 'string' && task.protectionEnabled === true) found.push(task.taskArn);
      }
      return found;
    },
  };
}
