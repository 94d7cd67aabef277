/** ECS: task definitions, the start of a task, its time to stop, and the reason of its end. */

import {
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  GetTaskProtectionCommand,
  StartTaskCommand,
  type Task,
  type TaskDefinition,
} from '@aws-sdk/client-ecs';
import { isDenied, messageOf, Refused, Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { familyOf, revisionNumber } from '../../../core/task-definition.ts';
import { parseList } from '../parse-list.ts';
import { chunks } from '../pages.ts';
import { parseDescribed } from './ecs-answers.ts';
import type { Session } from '../session/session.ts';

/** The maximum number of ARNs in one GetTaskProtection call. */
const protectionsPerCall = 100;

/** The failures of tasks that have no protection: they are gone, or belong to no service. */
const unprotected = ['MISSING', 'TASK_NOT_FOUND', 'TASK_NOT_VALID'];

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
      const call = 'ecs:DescribeTasks';
      const { tasks, failures } = await callAws(call, task, signal, (options) =>
        client.send(new DescribeTasksCommand({ cluster, tasks: [task] }), options),
      );
      const [found] = parseDescribed(call, [task], tasks, failures, ({ taskArn }) => taskArn);
      return found?.lastStatus === 'STOPPED' ? describeEnd(found) : undefined;
    },
    async readTaskDefinition(name, signal) {
      try {
        const { status, taskDefinitionArn } = await describeDefinition(client, session, name, signal);
        if (status === undefined) throw new Unavailable(`${describe}: the answer has no status of ${name}`);
        return status === 'ACTIVE' ? taskDefinitionArn : undefined;
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

const describe = 'ecs:DescribeTaskDefinition';

/** An answer about another definition would stop the tasks of this one. */
async function describeDefinition(
  client: ECSClient,
  { callAws }: Session,
  name: string,
  signal: AbortSignal,
): Promise<TaskDefinition> {
  const { taskDefinition } = await callAws(describe, name, signal, (options) =>
    client.send(new DescribeTaskDefinitionCommand({ taskDefinition: name }), options),
  );
  const { taskDefinitionArn: arn = '' } = taskDefinition ?? {};
  const isOther = familyOf(arn) !== familyOf(name);
  const isOtherRevision = ![undefined, revisionNumber(arn)].includes(revisionNumber(name));
  if (taskDefinition === undefined || isOther || isOtherRevision)
    throw new Unavailable(`${describe}: the answer does not describe ${name}`);
  return taskDefinition;
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
  session: Session,
): Pick<ClusterCloud, 'readStopTimeout' | 'readProtectedTasks'> {
  const { callAws } = session;
  return {
    async readStopTimeout(definition, defaultMs, signal) {
      const { containerDefinitions } = await describeDefinition(client, session, definition, signal);
      const containers = parseList(describe, 'containerDefinitions', containerDefinitions);
      const times = containers.map(({ stopTimeout }) => (stopTimeout === undefined ? defaultMs : stopTimeout * 1000));
      // Containers that depend on each other stop one after the other.
      const isChain = containers.some(({ dependsOn = [] }) => dependsOn.length > 0);
      return isChain ? times.reduce((sum, ms) => sum + ms, 0) : Math.max(0, ...times);
    },
    async readProtectedTasks(cluster, arns, signal) {
      const call = 'ecs:GetTaskProtection';
      const found: string[] = [];
      for (const tasks of chunks(arns, protectionsPerCall)) {
        const { protectedTasks, failures } = await callAws(call, cluster, signal, (options) =>
          client.send(new GetTaskProtectionCommand({ cluster, tasks }), options),
        );
        // ECS also names the unprotected tasks. One that has stopped meanwhile is in `failures`.
        const named = parseDescribed(call, tasks, protectedTasks, failures, ({ taskArn }) => taskArn, unprotected);
        for (const { taskArn, protectionEnabled } of named) {
          if (typeof protectionEnabled !== 'boolean')
            throw new Unavailable(`${call}: the answer does not say whether ${taskArn} is protected`);
          if (protectionEnabled) found.push(taskArn!);
        }
      }
      return found;
    },
  };
}
