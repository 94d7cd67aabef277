/** ECS's container instances: all of a cluster, a hundred a call, and the actions on one. */

import {
  DeleteAttributesCommand,
  DeregisterContainerInstanceCommand,
  DescribeContainerInstancesCommand,
  ListClustersCommand,
  UpdateContainerInstancesStateCommand,
  type ContainerInstance,
  type ECSClient,
  type Failure,
} from '@aws-sdk/client-ecs';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { FleetContainerInstance, FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import { describeCluster } from '../ecs/describe-cluster.ts';
import { idOf, queuePrefix } from '../ecs/ecs-answers.ts';
import { listContainerInstances } from '../ecs/list-container-instances.ts';
import type { AwsCall } from '../fault.ts';
import { everyPage, chunks } from '../pages.ts';
import { required } from './paging.ts';

/** The maximum of both calls. */
const perCall = 100;

/** Attributes in which sweeps up to 0.1.0 kept their notes. */
const oldNotePrefix = 'ecs-node.sweep.';

/** Each costs one call for each node that is looked for. */
const maxOtherClusters = 100;

type Reads = Pick<
  FleetNodes,
  'readContainerInstances' | 'readContainerInstancesOf' | 'readOtherClusterOf' | 'readContainerInstanceCount'
>;

export function openContainerInstanceReads(client: ECSClient, callAws: AwsCall): Reads {
  const list = (cluster: string, filter: string | undefined, signal: AbortSignal) =>
    listContainerInstances(client, callAws, cluster, filter === undefined ? {} : { filter }, signal);
  const read = async (cluster: string, filter: string | undefined, signal: AbortSignal) => {
    const arns = await list(cluster, filter, signal);
    const found: FleetContainerInstance[] = [];
    for (const some of chunks([...new Set(arns)], perCall))
      found.push(...(await describe(client, callAws, cluster, some, signal)));
    return found.filter(({ status }) => status !== 'INACTIVE');
  };
  return {
    readContainerInstances: (cluster, signal) => read(cluster, undefined, signal),
    async readContainerInstancesOf(cluster, instanceId, signal) {
      const found = await read(cluster, `ec2InstanceId == ${instanceId}`, signal);
      // An action follows, so do not rely on the filter alone.
      return found.filter((each) => each.instanceId === instanceId);
    },
    async readOtherClusterOf(cluster, instanceId, signal) {
      for (const other of await readOtherClusters(client, callAws, cluster, signal)) {
        if ((await list(other, `ec2InstanceId == ${instanceId}`, signal)).length > 0) return other;
      }
      return undefined;
    },
    async readContainerInstanceCount(cluster, signal) {
      const { registeredContainerInstancesCount } = await describeCluster(client, callAws, cluster, signal);
      return required(registeredContainerInstancesCount, 'ecs:DescribeClusters');
    },
  };
}

async function readOtherClusters(
  client: ECSClient,
  callAws: AwsCall,
  cluster: string,
  signal: AbortSignal,
): Promise<string[]> {
  const call = 'ecs:ListClusters';
  const arns = await everyPage(async (nextToken) => {
    const answer = await callAws(call, '*', signal, (options) =>
      client.send(new ListClustersCommand({ maxResults: perCall, ...(nextToken && { nextToken }) }), options),
    );
    return { items: required(answer.clusterArns, call), next: answer.nextToken };
  });
  // A cluster's id is its name.
  const names = new Set(arns.map(idOf));
  // Without the sweep's own cluster, the list is incomplete or of another account.
  if (!names.delete(cluster)) throw new Unavailable(`${call}: ECS did not list the cluster ${cluster}`);
  if (names.size > maxOtherClusters) {
    throw new Unavailable(`${call}: ${names.size} other clusters, and a sweep reads at most ${maxOtherClusters}`);
  }
  return [...names];
}

async function describe(
  client: ECSClient,
  callAws: AwsCall,
  cluster: string,
  containerInstances: string[],
  signal: AbortSignal,
): Promise<FleetContainerInstance[]> {
  const call = 'ecs:DescribeContainerInstances';
  const answer = await callAws(call, cluster, signal, (options) =>
    client.send(new DescribeContainerInstancesCommand({ cluster, containerInstances }), options),
  );
  const found = required(answer.containerInstances, call).map(parse);
  // MISSING: it was deregistered between the two calls. Any other gap makes the answer incomplete.
  const missing = answer.failures?.filter(({ reason }) => reason === 'MISSING').map(({ arn }) => arn ?? '') ?? [];
  const named = new Set([...found.map(({ arn }) => arn), ...missing].map(idOf));
  if (!containerInstances.every((arn) => named.has(idOf(arn)))) {
    throw new Unavailable(
      `${call}: ECS did not answer for all of the ${containerInstances.length} container instances`,
    );
  }
  return found;
}

function parse(instance: ContainerInstance): FleetContainerInstance {
  const call = 'ecs:DescribeContainerInstances';
  const names = instance.attributes?.map(({ name = '' }) => name) ?? [];
  return {
    arn: required(instance.containerInstanceArn, call),
    instanceId: required(instance.ec2InstanceId, call),
    status: required(instance.status, call),
    agentConnected: required(instance.agentConnected, call),
    agentVersion: instance.versionInfo?.agentVersion ?? '',
    runningTasks: required(instance.runningTasksCount, call),
    pendingTasks: required(instance.pendingTasksCount, call),
    registeredAt: required(instance.registeredAt, call).getTime(),
    oldNotes: names.filter((name) => name.startsWith(oldNotePrefix)),
    ...leavesSinceIn(instance),
  };
}

function leavesSinceIn({ attributes = [] }: ContainerInstance): Pick<FleetContainerInstance, 'leavesSince'> {
  const own = attributes.filter(({ name }) => name?.startsWith(queuePrefix));
  const times = own.map(({ value }) => Number(value)).map((time) => (Number.isSafeInteger(time) ? time : 0));
  return times.length === 0 ? {} : { leavesSince: Math.max(...times) };
}

type Actions = Pick<FleetNodes, 'removeOldNotes' | 'drain' | 'activate' | 'deregisterContainerInstance'>;

export function openContainerInstanceActions(client: ECSClient, callAws: AwsCall): Actions {
  const update = async (cluster: string, arn: string, status: 'ACTIVE' | 'DRAINING', signal: AbortSignal) => {
    const { failures } = await callAws('ecs:UpdateContainerInstancesState', arn, signal, (options) =>
      client.send(new UpdateContainerInstancesStateCommand({ cluster, containerInstances: [arn], status }), options),
    );
    refuseFailures(status, failures);
  };
  return {
    async removeOldNotes(cluster, targetId, names, signal) {
      const attributes = names.map((name) => ({ name, targetType: 'container-instance', targetId }) as const);
      await callAws('ecs:DeleteAttributes', targetId, signal, (options) =>
        client.send(new DeleteAttributesCommand({ cluster, attributes }), options),
      ).catch(ignoreGone);
    },
    drain: (cluster, arn, signal) => update(cluster, arn, 'DRAINING', signal),
    activate: (cluster, arn, signal) => update(cluster, arn, 'ACTIVE', signal),
    async deregisterContainerInstance(cluster, containerInstance, signal) {
      await callAws('ecs:DeregisterContainerInstance', containerInstance, signal, (options) =>
        client.send(new DeregisterContainerInstanceCommand({ cluster, containerInstance, force: true }), options),
      );
    },
  };
}

/** ECS answers 200 and lists in the body what it did not do. */
function refuseFailures(status: string, failures: Failure[] = []): void {
  const [failure] = failures;
  if (failure === undefined) return;
  const { arn = '', reason = 'unknown reason', detail = '' } = failure;
  const what = `ecs:UpdateContainerInstancesState ${status} ${arn}`;
  throw new Refused(`${what}: ${[reason, detail].filter(Boolean).join(', ')}`, { code: reason });
}

/** The container instance or the attribute does not exist any more. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof Refused && error.code === 'TargetNotFoundException')) throw error;
}
