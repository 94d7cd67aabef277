import { DescribeClustersCommand, type Cluster, type ECSClient } from '@aws-sdk/client-ecs';
import { Refused } from '../../../core/errors.ts';
import type { AwsCall } from '../fault.ts';
import { parseDescribed } from './ecs-answers.ts';

/** Throws Refused if there is none, and Unavailable if the answer is about another cluster. */
export async function describeCluster(
  client: ECSClient,
  callAws: AwsCall,
  cluster: string,
  signal: AbortSignal,
): Promise<Cluster> {
  const call = 'ecs:DescribeClusters';
  const { clusters, failures } = await callAws(call, cluster, signal, (options) =>
    client.send(new DescribeClustersCommand({ clusters: [cluster] }), options),
  );
  const [found] = parseDescribed(call, [cluster], clusters, failures, ({ clusterName }) => clusterName);
  if (found === undefined) throw new Refused(`there is no cluster ${cluster}`, { code: 'ClusterNotFoundException' });
  return found;
}
