/**
 * Checks ECS's answers before any code acts on them. An empty or incomplete answer says nothing
 * about the node.
 */

import type {
  Attribute,
  ContainerInstance as AwsContainerInstance,
  Failure,
  InstanceHealthCheckResult,
  Task,
} from '@aws-sdk/client-ecs';
import { Unavailable } from '../../../core/errors.ts';
import { parseList } from '../parse-list.ts';
import type { CloudTask, ContainerInstance } from '../../../core/host.ts';

export function parseArns(call: string, field: string, value: readonly string[] | undefined): string[] {
  const arns = parseList<unknown>(call, field, value);
  if (arns.every((arn) => typeof arn === 'string' && arn !== '')) return [...arns] as string[];
  throw new Unavailable(`${call}: ${field} holds something that is not an ARN`);
}

/**
 * The described items, by the requested ARN. ECS names each ARN either there or in `failures` as
 * MISSING. An ARN in neither list, or with a failure that is not one of `absent`, makes the whole
 * answer unusable.
 */
export function parseDescribed<T extends object>(
  call: string,
  asked: readonly string[],
  found: readonly T[] | undefined,
  failures: readonly Failure[] | undefined,
  arnOf: (thing: T) => string | undefined,
  absent: readonly string[] = ['MISSING'],
): T[] {
  const things = parseList(call, 'of what it describes', found);
  const isNamed = (arn: string | undefined, asked: string) => typeof arn === 'string' && idOf(arn) === idOf(asked);
  return asked.flatMap((arn) => {
    const thing = things.find((each) => isNamed(each === null ? undefined : arnOf(each), arn));
    if (thing !== undefined) return [thing];
    const failure = (failures ?? []).find((each) => isNamed(each?.arn, arn));
    if (absent.includes(failure?.reason ?? '')) return [];
    throw new Unavailable(`${call}: ${arn} is ${failure === undefined ? 'not in the answer' : failure.reason}`);
  });
}

/**
 * The older form of an ARN lacks the cluster's name. Only the last part is the same in both forms.
 */
export function idOf(arn: string): string {
  return arn.split('/').at(-1) ?? arn;
}

/** One record of a container instance, with its EC2 instance. */
export interface Record extends Omit<ContainerInstance, 'others'> {
  ec2InstanceId: string;
}

export function parseRecord(call: string, record: AwsContainerInstance): Record {
  const { containerInstanceArn: arn, ec2InstanceId, status, agentConnected, registeredAt } = record;
  const { runningTasksCount: runningTasks = 0, pendingTasksCount: pendingTasks = 0 } = record;
  const { capacityProviderName: capacityProvider } = record;
  const isWhole =
    typeof arn === 'string' &&
    typeof ec2InstanceId === 'string' &&
    typeof status === 'string' &&
    typeof agentConnected === 'boolean' &&
    typeof runningTasks === 'number' &&
    typeof pendingTasks === 'number';
  if (!isWhole) throw new Unavailable(`${call}: a container instance lacks a field, or has one of another type`);
  return {
    arn,
    ec2InstanceId,
    status,
    agentConnected,
    runningTasks,
    pendingTasks,
    ...runtimeHealthIn(record),
    ...(typeof capacityProvider === 'string' && capacityProvider !== '' && { capacityProvider }),
    queuedFor: reasonsIn(record.attributes),
    registeredAt: timeOf(registeredAt) ?? 0,
  };
}

/** Optional: an unexpected value counts as absent. */
function runtimeHealthIn({ healthStatus }: AwsContainerInstance): Pick<Record, 'runtimeHealth'> {
  const details: unknown = healthStatus?.details;
  if (!Array.isArray(details)) return {};
  const runtime = (details as (InstanceHealthCheckResult | null)[]).find((each) => each?.type === 'CONTAINER_RUNTIME');
  return typeof runtime?.status === 'string' ? { runtimeHealth: runtime.status } : {};
}

/**
 * A task without a status counts as one that runs: the node waits for it, its name is told with
 * this status, and the others are still seen.
 */
export function parseTask(call: string, task: Task): CloudTask {
  const { taskArn: arn, containerInstanceArn = '', desiredStatus = '', group = '' } = task;
  const lastStatus = typeof task.lastStatus === 'string' && task.lastStatus !== '' ? task.lastStatus : 'UNKNOWN';
  const { startedBy, taskDefinitionArn = '' } = task;
  const createdAt = timeOf(task.createdAt);
  if (typeof arn !== 'string') throw new Unavailable(`${call}: a task lacks its ARN`);
  return {
    arn,
    containerInstanceArn,
    group,
    lastStatus,
    desiredStatus,
    definition: taskDefinitionArn,
    ...(startedBy !== undefined && { startedBy }),
    ...(createdAt !== undefined && { createdAt }),
  };
}

function timeOf(date: Date | undefined): number | undefined {
  const at = date instanceof Date ? date.getTime() : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** Prefix of the attributes that are entries of a leave queue. The reason follows it. */
export const queuePrefix = 'ecs-node.leave.';

/** The reasons for which a container instance is in a leave queue, from its own attributes. */
export function reasonsIn(attributes: readonly Attribute[] | undefined): string[] {
  if (!Array.isArray(attributes)) return [];
  return (attributes as readonly Attribute[]).flatMap(({ name }) =>
    typeof name === 'string' && name.startsWith(queuePrefix) ? [name.slice(queuePrefix.length)] : [],
  );
}
