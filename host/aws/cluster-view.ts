/** The whole cluster in as few calls as it takes: counts and filters are made by ECS, not by reading every node. */

import {
  DescribeClustersCommand,
  DescribeServicesCommand,
  ListContainerInstancesCommand,
  ListServicesCommand,
  type ECSClient,
} from '@aws-sdk/client-ecs';
import { Refused } from '../../core/errors.ts';
import type { ClusterCloud } from '../../core/host.ts';
import { nextPage } from './pages.ts';
import type { Session } from './session.ts';

/** What DescribeServices takes in one call. */
const servicesPerCall = 10;

type Which = { status: 'DRAINING' } | { filter: string };

export function openClusterView(
  client: ECSClient,
  { ask }: Session,
): Pick<ClusterCloud, 'readClusterHealth' | 'readUnsteadyServices'> {
  const count = async (cluster: string, which: Which, signal: AbortSignal): Promise<number> => {
    let total = 0;
    let nextToken: string | undefined;
    do {
      const answer = await ask('ecs:ListContainerInstances', cluster, signal, (options) =>
        client.send(new ListContainerInstancesCommand({ cluster, ...which, ...(nextToken && { nextToken }) }), options),
      );
      total += answer.containerInstanceArns?.length ?? 0;
      nextToken = nextPage(answer.nextToken, nextToken);
    } while (nextToken);
    return total;
  };
  return {
    async readClusterHealth(cluster, signal) {
      const { clusters = [] } = await ask('ecs:DescribeClusters', cluster, signal, (options) =>
        client.send(new DescribeClustersCommand({ clusters: [cluster] }), options),
      );
      const registered = clusters[0]?.registeredContainerInstancesCount;
      if (registered === undefined)
        throw new Refused(`there is no cluster ${cluster}`, { code: 'ClusterNotFoundException' });
      const draining = await count(cluster, { status: 'DRAINING' }, signal);
      const disconnected = await count(cluster, { filter: 'agentConnected == false' }, signal);
      return { registered, draining, disconnected };
    },
    async readUnsteadyServices(cluster, signal) {
      const unsteady: string[] = [];
      for (const services of await listServices(client, ask, cluster, signal)) {
        const answer = await ask('ecs:DescribeServices', cluster, signal, (options) =>
          client.send(new DescribeServicesCommand({ cluster, services }), options),
        );
        for (const { serviceName = '', status, runningCount = 0, desiredCount = 0 } of answer.services ?? []) {
          if (status === 'ACTIVE' && runningCount < desiredCount) unsteady.push(serviceName);
        }
      }
      return unsteady.toSorted();
    },
  };
}

/** In portions that DescribeServices takes. */
async function listServices(
  client: ECSClient,
  ask: Session['ask'],
  cluster: string,
  signal: AbortSignal,
): Promise<string[][]> {
  const arns: string[] = [];
  let nextToken: string | undefined;
  do {
    const answer = await ask('ecs:ListServices', cluster, signal, (options) =>
      client.send(new ListServicesCommand({ cluster, maxResults: 100, ...(nextToken && { nextToken }) }), options),
    );
    arns.push(...(answer.serviceArns ?? []));
    nextToken = nextPage(answer.nextToken, nextToken);
  } while (nextToken);
  return Array.from({ length: Math.ceil(arns.length / servicesPerCall) }, (_, index) =>
    arns.slice(index * servicesPerCall, (index + 1) * servicesPerCall),
  );
}
