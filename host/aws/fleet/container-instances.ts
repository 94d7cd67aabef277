/** ECS's container instances: all of a cluster by the hundred, and what may be done to one. */

import {
  DeleteAttributesCommand,
  DeregisterContainerInstanceCommand,
  DescribeContainerInstancesCommand,
  ListContainerInstancesCommand,
  PutAttributesCommand,
  UpdateContainerInstancesStateCommand,
  type ContainerInstance,
  type ECSClient,
  type Failure,
} from '@aws-sdk/client-ecs';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { FleetContainerInstance, FleetNodes, Mark } from '../../../core/fleet-nodes.ts';
import type { AwsCall } from '../fault.ts';
import { everyPage, chunks, required } from './paging.ts';

/** What both calls take at most. */
const perCall = 100;

const marks: readonly Mark[] = ['disconnected', 'draining', 'drained'];

const attributeOf = (mark: Mark) => `ecs-node.sweep.${mark}`;

type Reads = Pick<FleetNodes, 'readContainerInstances' | 'readContainerInstancesOf'>;

export function openContainerInstanceReads(client: ECSClient, callAws: AwsCall): Reads {
  const read = async (cluster: string, filter: string | undefined, signal: AbortSignal) => {
    const arns = await everyPage(async (nextToken) => {
      const answer = await callAws('ecs:ListContainerInstances', cluster, signal, (options) =>
        client.send(
          new ListContainerInstancesCommand({
            cluster,
            maxResults: perCall,
            ...(filter && { filter }),
            ...(nextToken && { nextToken }),
          }),
          options,
        ),
      );
      return { items: required(answer.containerInstanceArns, 'ecs:ListContainerInstances'), next: answer.nextToken };
    });
    const found: FleetContainerInstance[] = [];
    for (const some of chunks([...new Set(arns)], perCall))
      found.push(...(await describe(client, callAws, cluster, some, signal)));
    return found.filter(({ status }) => status !== 'INACTIVE');
  };
  return {
    readContainerInstances: (cluster, signal) => read(cluster, undefined, signal),
    async readContainerInstancesOf(cluster, instanceId, signal) {
      const found = await read(cluster, `ec2InstanceId == ${instanceId}`, signal);
      // A deed follows: what another's filter lets through must not count for this one.
      return found.filter((each) => each.instanceId === instanceId);
    },
  };
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
  const found = required(answer.containerInstances, call);
  // One that has left between the two calls is MISSING; anything else is no whole answer.
  const missing = answer.failures?.filter(({ reason }) => reason === 'MISSING') ?? [];
  if (found.length + missing.length < containerInstances.length) {
    throw new Unavailable(`${call}: ${containerInstances.length} were asked for, ${found.length} came`);
  }
  return found.map(parse);
}

function parse(instance: ContainerInstance): FleetContainerInstance {
  const call = 'ecs:DescribeContainerInstances';
  const { attributes = [] } = instance;
  const since = marks.flatMap((mark): [Mark, number][] => {
    const value = Number(attributes.find(({ name }) => name === attributeOf(mark))?.value ?? Number.NaN);
    return Number.isSafeInteger(value) ? [[mark, value]] : [];
  });
  return {
    arn: required(instance.containerInstanceArn, call),
    instanceId: required(instance.ec2InstanceId, call),
    status: required(instance.status, call),
    agentConnected: required(instance.agentConnected, call),
    agentVersion: instance.versionInfo?.agentVersion ?? '',
    runningTasks: required(instance.runningTasksCount, call),
    pendingTasks: required(instance.pendingTasksCount, call),
    registeredAt: required(instance.registeredAt, call).getTime(),
    marks: Object.fromEntries(since),
  };
}

type Actions = Pick<FleetNodes, 'mark' | 'unmark' | 'drain' | 'activate' | 'deregisterContainerInstance'>;

export function openContainerInstanceActions(client: ECSClient, callAws: AwsCall): Actions {
  const target = (arn: string, mark: Mark) =>
    ({ name: attributeOf(mark), targetType: 'container-instance', targetId: arn }) as const;
  const update = async (cluster: string, arn: string, status: 'ACTIVE' | 'DRAINING', signal: AbortSignal) => {
    const { failures } = await callAws('ecs:UpdateContainerInstancesState', arn, signal, (options) =>
      client.send(new UpdateContainerInstancesStateCommand({ cluster, containerInstances: [arn], status }), options),
    );
    refuseFailures(status, failures);
  };
  return {
    async mark(cluster, arn, mark, since, signal) {
      const attributes = [{ ...target(arn, mark), value: String(since) }];
      await callAws('ecs:PutAttributes', arn, signal, (options) =>
        client.send(new PutAttributesCommand({ cluster, attributes }), options),
      );
    },
    async unmark(cluster, arn, which, signal) {
      const attributes = which.map((mark) => target(arn, mark));
      await callAws('ecs:DeleteAttributes', arn, signal, (options) =>
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

/** ECS answers 200 and says in the body what it did not do. */
function refuseFailures(status: string, failures: Failure[] = []): void {
  const [failure] = failures;
  if (failure === undefined) return;
  const { arn = '', reason = 'unknown reason', detail = '' } = failure;
  const what = `ecs:UpdateContainerInstancesState ${status} ${arn}`;
  throw new Refused(`${what}: ${[reason, detail].filter(Boolean).join(', ')}`, { code: reason });
}

/** The container instance, or the attribute, is gone already. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof Refused && error.code === 'TargetNotFoundException')) throw error;
}
