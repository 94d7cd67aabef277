/**
 * ECS: which revision of a task definition shall run here, starting a task of it, and why one has
 * ended.
 */

import {
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  StartTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs';
import { isDenied, messageOf, Refused, Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import type { Session } from '../session/session.ts';

export function openStarter(
  client: ECSClient,
  { callAws, settings }: Session,
): Pick<ClusterCloud, 'readStopReason' | 'readTaskDefinition' | 'startTask'> {
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
        // That is all that ECS says of a family or a revision that it does not have.
        if (error instanceof Refused && error.code === 'ClientException') return undefined;
        throw error;
      }
    },
    async startTask(cluster, arn, taskDefinition, startedBy, signal) {
      // The SDK's second try after a lost answer would be a second task.
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
      // The agent has lost its connection, which passes.
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
 * Who starts a task hands over its roles: IAM asks about them under the name of another service.
 */
function explain(error: unknown): never {
  const said = messageOf(isDenied(error) ? (error as Error).cause : undefined);
  const role = /iam:PassRole on resource: (\S+)/.exec(said)?.[1];
  if (role === undefined) throw error;
  const why = `iam:PassRole on ${role} is not allowed: the task has this role, and the instance's role must be allowed to pass it`;
  throw new Refused(why, { cause: error, code: 'AccessDeniedException' });
}
