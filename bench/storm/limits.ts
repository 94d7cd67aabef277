/**
 * The token buckets of AWS: the calls that share a bucket, and its size. The figures are per
 * account and region, as AWS documents them in 2026, or assumed if AWS documents none.
 */

import { openTokenBucket, type TokenBucket } from './token-bucket.ts';

export interface Limit {
  name: string;
  /** `service:Action`; a star means the remaining actions of a service. */
  actions: readonly string[];
  burst: number;
  perSecond: number;
  /** AWS does not document this limit. */
  assumed?: true;
}

/** EC2 documents one bucket per action; the action's kind gives the size. */
const ec2 = (action: string, burst: number, perSecond: number): Limit => ({
  name: `ec2:${action}`,
  actions: [`ec2:${action}`],
  burst,
  perSecond,
});

export const limits: readonly Limit[] = [
  ec2('DescribeInstanceAttribute', 100, 20),
  ec2('ModifyInstanceAttribute', 50, 5),
  ec2('CreateTags', 100, 10),
  ec2('DescribeTags', 100, 20),
  ec2('TerminateInstances', 100, 5),
  {
    name: 'ecs: cluster resources, read',
    actions: [
      'ListContainerInstances',
      'DescribeContainerInstances',
      'ListTasks',
      'DescribeTasks',
      'ListAttributes',
    ].map((action) => `ecs:${action}`),
    burst: 100,
    perSecond: 20,
  },
  {
    name: 'ecs: cluster resources, modify',
    actions: ['UpdateContainerInstancesState', 'PutAttributes', 'DeleteAttributes', 'StopTask'].map(
      (action) => `ecs:${action}`,
    ),
    burst: 100,
    perSecond: 40,
  },
  { name: 'ecs: agents', actions: ['ecs:RegisterContainerInstance'], burst: 200, perSecond: 120 },
  { name: 'ecs: clusters, read', actions: ['ecs:DescribeClusters'], burst: 50, perSecond: 20 },
  { name: 'ecs: services, read', actions: ['ecs:*'], burst: 100, perSecond: 20 },
  { name: 'cloudwatch:PutMetricData', actions: ['cloudwatch:PutMetricData'], burst: 500, perSecond: 500 },
  // AWS only documents that all calls to Auto Scaling share one limit.
  { name: 'autoscaling', actions: ['autoscaling:*'], burst: 100, perSecond: 20, assumed: true },
  { name: 'ssm', actions: ['ssm:*'], burst: 40, perSecond: 20, assumed: true },
  { name: 'opsworks', actions: ['opsworks:*'], burst: 10, perSecond: 1, assumed: true },
  { name: 'elasticloadbalancing', actions: ['elasticloadbalancing:*'], burst: 40, perSecond: 10, assumed: true },
];

export function limitOf(action: string): Limit {
  const rest = `${action.split(':')[0]}:*`;
  const found =
    limits.find(({ actions }) => actions.includes(action)) ?? limits.find(({ actions }) => actions.includes(rest));
  if (found === undefined) throw new Error(`bench/storm/limits.ts has no limit for ${action}`);
  return found;
}

export type Admission = (action: string, nowMs: number) => boolean;

/** Opens every bucket of one account in one region, full. */
export function openAdmission(): Admission {
  const buckets = new Map<Limit, TokenBucket>();
  return (action, nowMs) => {
    const limit = limitOf(action);
    let bucket = buckets.get(limit);
    if (bucket === undefined) buckets.set(limit, (bucket = openTokenBucket(limit.burst, limit.perSecond)));
    return bucket.take(nowMs);
  };
}

/** For a node without competitors. */
export const admitAll: Admission = () => true;
