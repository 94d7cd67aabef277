/** ECS: this container instance, its tasks, and what of its cluster a node must know before it leaves. */

import {
  DescribeContainerInstancesCommand,
  DescribeTasksCommand,
  ECSClient,
  ListContainerInstancesCommand,
  ListTasksCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
  type Failure,
  type Task,
} from '@aws-sdk/client-ecs';
import { Refused } from '../../core/errors.ts';
import type { CloudTask, ClusterCloud, ContainerInstance } from '../../core/host.ts';
import { openClusterView } from './cluster-view.ts';
import { openLeaveQueue, reasonsIn } from './leave-queue.ts';
import { nextPage } from './pages.ts';
import type { Session } from './session.ts';
import { openStarter } from './start-task.ts';

/** What DescribeTasks takes in one call. */
const tasksPerCall = 100;

export function openCluster(session: Session): ClusterCloud & { destroy(): void } {
  const { ask, settings } = session;
  const client = new ECSClient(settings('ECS'));
  return {
    destroy: () => client.destroy(),
    ...openContainerInstance(client, session),
    async readTasks(cluster, arn, signal) {
      // Whatever shall stop but has not is listed under STOPPED: deactivating and stopping tasks still serve.
      const lists = await Promise.all(
        (['RUNNING', 'STOPPED'] as const).map((wish) => listTasks(client, session, cluster, arn, wish, signal)),
      );
      const arns = lists.flat();
      const tasks: CloudTask[] = [];
      for (let start = 0; start < arns.length; start += tasksPerCall) {
        const some = arns.slice(start, start + tasksPerCall);
        const answer = await ask('ecs:DescribeTasks', cluster, signal, (options) =>
          client.send(new DescribeTasksCommand({ cluster, tasks: some }), options),
        );
        tasks.push(...(answer.tasks ?? []).filter(({ lastStatus }) => lastStatus !== 'STOPPED').map(describeTask));
      }
      return tasks;
    },
    async stopTask(cluster, taskArn, reason, signal) {
      await ask('ecs:StopTask', taskArn, signal, (options) =>
        // ECS takes 255 characters, some of which it may need itself.
        client.send(new StopTaskCommand({ cluster, task: taskArn, reason: reason.slice(0, 200) }), options),
      );
    },
    ...openStarter(client, session),
    ...openClusterView(client, session),
    ...openLeaveQueue(client, session),
  };
}

function describeTask(task: Task): CloudTask {
  const { taskArn = '', group = '', lastStatus = '', desiredStatus = '', startedBy, createdAt } = task;
  return {
    arn: taskArn,
    group,
    lastStatus,
    desiredStatus,
    definition: task.taskDefinitionArn ?? '',
    ...(startedBy !== undefined && { startedBy }),
    ...(createdAt !== undefined && { createdAt: createdAt.getTime() }),
  };
}

function openContainerInstance(
  client: ECSClient,
  { identity, ask }: Session,
): Pick<ClusterCloud, 'readContainerInstance' | 'drain' | 'activate'> {
  const self = identity.instanceId;
  const find = async (cluster: string, signal: AbortSignal): Promise<string[]> => {
    const { containerInstanceArns = [] } = await ask('ecs:ListContainerInstances', cluster, signal, (options) =>
      client.send(new ListContainerInstancesCommand({ cluster, filter: `ec2InstanceId == ${self}` }), options),
    );
    return containerInstanceArns;
  };
  const update = async (cluster: string, arn: string, status: 'ACTIVE' | 'DRAINING', signal: AbortSignal) => {
    const { failures } = await ask('ecs:UpdateContainerInstancesState', arn, signal, (options) =>
      client.send(new UpdateContainerInstancesStateCommand({ cluster, containerInstances: [arn], status }), options),
    );
    refuseFailures(`ecs:UpdateContainerInstancesState ${status}`, failures);
  };
  return {
    async readContainerInstance(cluster, known, signal): Promise<ContainerInstance | undefined> {
      const arns = known === undefined ? await find(cluster, signal) : [known];
      if (arns.length === 0) return undefined;
      const { containerInstances = [] } = await ask('ecs:DescribeContainerInstances', arns.join(), signal, (options) =>
        client.send(new DescribeContainerInstancesCommand({ cluster, containerInstances: arns }), options),
      );
      // An ARN out of a copied image or an old state file belongs to another machine: as good as none.
      const own = containerInstances.find(
        ({ ec2InstanceId, status }) => ec2InstanceId === self && status !== 'INACTIVE',
      );
      if (own?.containerInstanceArn === undefined) return undefined;
      return {
        arn: own.containerInstanceArn,
        status: own.status ?? '',
        agentConnected: own.agentConnected === true,
        runningTasks: own.runningTasksCount ?? 0,
        pendingTasks: own.pendingTasksCount ?? 0,
        queuedFor: reasonsIn(own.attributes),
      };
    },
    drain: (cluster, arn, signal) => update(cluster, arn, 'DRAINING', signal),
    activate: (cluster, arn, signal) => update(cluster, arn, 'ACTIVE', signal),
  };
}

/** ECS answers 200 and says in the body what it did not do. */
function refuseFailures(what: string, failures: Failure[] = []): void {
  const [failure] = failures;
  if (failure === undefined) return;
  const { arn = '', reason = 'unknown reason', detail = '' } = failure;
  throw new Refused(`${what} ${arn}: ${[reason, detail].filter(Boolean).join(', ')}`, { code: reason });
}

async function listTasks(
  client: ECSClient,
  { ask }: Session,
  cluster: string,
  containerInstance: string,
  desiredStatus: 'RUNNING' | 'STOPPED',
  signal: AbortSignal,
): Promise<string[]> {
  const arns: string[] = [];
  let nextToken: string | undefined;
  do {
    const answer = await ask('ecs:ListTasks', containerInstance, signal, (options) =>
      client.send(
        new ListTasksCommand({ cluster, containerInstance, desiredStatus, ...(nextToken && { nextToken }) }),
        options,
      ),
    );
    arns.push(...(answer.taskArns ?? []));
    nextToken = nextPage(answer.nextToken, nextToken);
  } while (nextToken);
  return arns;
}
