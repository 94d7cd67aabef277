/**
 * ECS: this instance's container instance, its tasks, and the facts about its cluster that a
 * departure needs.
 */

import {
  DescribeContainerInstancesCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
  type ContainerInstanceField,
  type Failure,
} from '@aws-sdk/client-ecs';
import { Refused, Unavailable, isDenied } from '../../../core/errors.ts';
import type { CloudTask, ClusterCloud } from '../../../core/host.ts';
import { openCapacityProviders } from './capacity-providers.ts';
import { openClusterView } from './cluster-view.ts';
import { parseList } from '../parse-list.ts';
import { idOf, parseArns, parseDescribed, parseRecord, parseTask, type Record } from './ecs-answers.ts';
import { openLeaveQueue } from './leave-queue.ts';
import { listContainerInstances } from './list-container-instances.ts';
import { summarize } from './replaced-records.ts';
import { chunks, everyPage } from '../pages.ts';
import type { AwsCall } from '../fault.ts';
import type { Session } from '../session/session.ts';
import { openStarter } from './start-task.ts';

/** The maximum number of ARNs in one DescribeTasks or DescribeContainerInstances call. */
const perCall = 100;

export function openCluster(session: Session): ClusterCloud & { destroy(): void } {
  const { callAws, settings } = session;
  const client = new ECSClient(settings('ECS'));
  return {
    destroy: () => client.destroy(),
    ...openContainerInstance(client, session),
    async readTasks(cluster, arn, signal) {
      // Under STOPPED, ECS also lists tasks that it wants stopped but that still run. Deactivating
      // and stopping tasks still serve.
      const lists = await Promise.all(
        (['RUNNING', 'STOPPED'] as const).map((wish) => listTasks(client, session, cluster, arn, wish, signal)),
      );
      const tasks: CloudTask[] = [];
      for (const some of chunks(lists.flat(), perCall)) {
        const call = 'ecs:DescribeTasks';
        const answer = await callAws(call, cluster, signal, (options) =>
          client.send(new DescribeTasksCommand({ cluster, tasks: some }), options),
        );
        const described = parseDescribed(call, some, answer.tasks, answer.failures, ({ taskArn }) => taskArn);
        tasks.push(...described.map((task) => parseTask(call, task)));
      }
      return tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    },
    async stopTask(cluster, taskArn, reason, signal) {
      await callAws('ecs:StopTask', taskArn, signal, (options) =>
        // ECS accepts 255 characters, and may need some of them itself.
        client.send(new StopTaskCommand({ cluster, task: taskArn, reason: reason.slice(0, 200) }), options),
      );
    },
    ...openStarter(client, session),
    ...openCapacityProviders(client, session),
    ...openClusterView(client, session),
    ...openLeaveQueue(client, session),
  };
}

type Verbs = Pick<
  ClusterCloud,
  'readContainerInstance' | 'ownsContainerInstance' | 'readRecords' | 'drain' | 'activate'
>;

/** Includes the ECS agent's last report about Docker. */
const include: ContainerInstanceField[] = ['CONTAINER_INSTANCE_HEALTH'];

async function describeRecords(
  client: ECSClient,
  callAws: AwsCall,
  cluster: string,
  arns: readonly string[],
  signal: AbortSignal,
): Promise<Record[]> {
  const call = 'ecs:DescribeContainerInstances';
  const records: Record[] = [];
  for (const asked of chunks(arns, perCall)) {
    const { containerInstances, failures } = await callAws(call, asked.join(), signal, (options) =>
      client.send(new DescribeContainerInstancesCommand({ cluster, containerInstances: asked, include }), options),
    );
    const found = parseDescribed(call, asked, containerInstances, failures, (each) => each.containerInstanceArn);
    records.push(...found.map((each) => parseRecord(call, each)));
  }
  return records;
}

function openContainerInstance(client: ECSClient, { identity, callAws }: Session): Verbs {
  const self = identity.instanceId;
  const list = (cluster: string, signal: AbortSignal) =>
    listContainerInstances(client, callAws, cluster, { filter: `ec2InstanceId == ${self}` }, signal);
  const describe = (cluster: string, arns: readonly string[], signal: AbortSignal) =>
    describeRecords(client, callAws, cluster, arns, signal);
  const readOwn = async (cluster: string, arns: readonly string[], signal: AbortSignal): Promise<Record[]> => {
    const records = await describe(cluster, arns, signal);
    return records.filter(({ ec2InstanceId, status }) => ec2InstanceId === self && status !== 'INACTIVE');
  };
  const update = async (cluster: string, arn: string, status: 'ACTIVE' | 'DRAINING', signal: AbortSignal) => {
    const call = 'ecs:UpdateContainerInstancesState';
    const answer = await callAws(call, arn, signal, (options) =>
      client.send(new UpdateContainerInstancesStateCommand({ cluster, containerInstances: [arn], status }), options),
    );
    refuseFailures(`${call} ${status}`, answer.failures);
    const changed = parseList(call, 'containerInstances', answer.containerInstances);
    if (!changed.some(({ containerInstanceArn = '' }) => idOf(containerInstanceArn) === idOf(arn)))
      throw new Unavailable(`${call}: the answer does not name ${arn}`);
  };
  return {
    async readContainerInstance(cluster, hint, signal) {
      // One call is enough for the record that the ECS agent names, while its agent is connected.
      const [hinted] = hint === undefined ? [] : await readOwn(cluster, [hint], signal);
      if (hinted?.agentConnected === true) return withOthers([hinted]);
      const arns = await list(cluster, signal);
      const isOnly = hinted !== undefined && arns.every((arn) => idOf(arn) === idOf(hinted.arn));
      return withOthers(isOnly ? [hinted] : await readOwn(cluster, arns, signal));
    },
    async ownsContainerInstance(cluster, arn, signal) {
      const isListed = async () => (await list(cluster, signal)).some((own) => idOf(own) === idOf(arn));
      return owns(isListed, async () => (await readOwn(cluster, [arn], signal)).length > 0, signal);
    },
    async readRecords(cluster, arns, signal) {
      return summarize(await describe(cluster, arns, signal), async (filter) =>
        describe(cluster, await listContainerInstances(client, callAws, cluster, { filter }, signal), signal),
      );
    },
    drain: (cluster, arn, signal) => update(cluster, arn, 'DRAINING', signal),
    activate: (cluster, arn, signal) => update(cluster, arn, 'ACTIVE', signal),
  };
}

/** The list may be stale, so a record that it lacks is described. Without that, the list counts. */
async function owns(
  isListed: () => Promise<boolean>,
  isDescribed: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    if (await isListed()) return true;
  } catch (error) {
    // A role may allow the describe call and not the list call.
    if (isDenied(error)) return isDescribed();
    throw error;
  }
  try {
    return await isDescribed();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refused || error instanceof Unavailable) return false;
    throw error;
  }
}

/**
 * An instance has two records when its agent lost its state and registered again. The connected one
 * is real. While none is connected, the newest one is.
 */
function withOthers(records: readonly Record[]) {
  const [first, ...others] = records.toSorted(
    (a, b) => Number(b.agentConnected) - Number(a.agentConnected) || b.registeredAt - a.registeredAt,
  );
  if (first === undefined) return undefined;
  const { ec2InstanceId: _, ...record } = first;
  return { ...record, others: others.map(({ arn }) => arn) };
}

/** ECS answers 200, and lists in the body the parts that it did not do. */
function refuseFailures(what: string, failures: Failure[] = []): void {
  const [failure] = failures;
  if (failure === undefined) return;
  const { arn = '', reason = 'unknown reason', detail = '' } = failure;
  throw new Refused(`${what} ${arn}: ${[reason, detail].filter(Boolean).join(', ')}`, { code: reason });
}

async function listTasks(
  client: ECSClient,
  { callAws }: Session,
  cluster: string,
  containerInstance: string,
  desiredStatus: 'RUNNING' | 'STOPPED',
  signal: AbortSignal,
): Promise<string[]> {
  const call = 'ecs:ListTasks';
  return await everyPage(async (nextToken) => {
    const answer = await callAws(call, containerInstance, signal, (options) =>
      client.send(
        new ListTasksCommand({ cluster, containerInstance, desiredStatus, ...(nextToken && { nextToken }) }),
        options,
      ),
    );
    return { items: parseArns(call, 'taskArns', answer.taskArns), next: answer.nextToken };
  });
}
