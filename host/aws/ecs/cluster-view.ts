/**
 * Reads facts about the whole cluster in few calls. ECS counts and filters, so that the node need
 * not read every record.
 */

import {
  DescribeClustersCommand,
  DescribeServicesCommand,
  ListContainerInstancesCommand,
  ListServicesCommand,
  type ECSClient,
} from '@aws-sdk/client-ecs';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { parseList } from '../parse-list.ts';
import { parseArns } from './ecs-answers.ts';
import { nextPage } from '../pages.ts';
import type { Session } from '../session/session.ts';

/** The number of disconnected records that are named. Bounds the calls that look them up. */
const maxNamed = 1_000;

/** The maximum number of services in one DescribeServices call. */
const servicesPerCall = 10;

type Which = { status: 'DRAINING' } | { filter: string };

export function openClusterView(
  client: ECSClient,
  { callAws }: Session,
): Pick<ClusterCloud, 'readClusterHealth' | 'readUnsteadyServices'> {
  const list = async (cluster: string, which: Which, signal: AbortSignal): Promise<string[]> => {
    const call = 'ecs:ListContainerInstances';
    const arns: string[] = [];
    let nextToken: string | undefined;
    do {
      const answer = await callAws(call, cluster, signal, (options) =>
        client.send(new ListContainerInstancesCommand({ cluster, ...which, ...(nextToken && { nextToken }) }), options),
      );
      arns.push(...parseArns(call, 'containerInstanceArns', answer.containerInstanceArns));
      nextToken = nextPage(answer.nextToken, nextToken);
    } while (nextToken);
    return arns;
  };
  return {
    async readClusterHealth(cluster, signal) {
      const call = 'ecs:DescribeClusters';
      const { clusters, failures } = await callAws(call, cluster, signal, (options) =>
        client.send(new DescribeClustersCommand({ clusters: [cluster] }), options),
      );
      const [found] = parseList(call, 'clusters', clusters);
      if (found === undefined && failures?.[0]?.reason === 'MISSING')
        throw new Refused(`there is no cluster ${cluster}`, { code: 'ClusterNotFoundException' });
      const registered = found?.registeredContainerInstancesCount;
      if (typeof registered !== 'number')
        throw new Unavailable(`${call}: the answer does not say how many instances are registered`);
      const draining = await list(cluster, { status: 'DRAINING' }, signal);
      const disconnected = await list(cluster, { filter: 'agentConnected == false' }, signal);
      return {
        registered,
        draining: draining.length,
        disconnected: disconnected.length,
        disconnectedArns: disconnected.slice(0, maxNamed),
      };
    },
    async readUnsteadyServices(cluster, signal) {
      const unsteady: string[] = [];
      for (const services of await listServices(client, callAws, cluster, signal)) {
        const answer = await callAws('ecs:DescribeServices', cluster, signal, (options) =>
          client.send(new DescribeServicesCommand({ cluster, services }), options),
        );
        const found = parseList('ecs:DescribeServices', 'services', answer.services);
        for (const { serviceName = '', status, runningCount = 0, desiredCount = 0 } of found) {
          if (status === 'ACTIVE' && runningCount < desiredCount) unsteady.push(serviceName);
        }
      }
      return unsteady.toSorted();
    },
  };
}

/** In portions of the size that DescribeServices accepts. */
async function listServices(
  client: ECSClient,
  callAws: Session['callAws'],
  cluster: string,
  signal: AbortSignal,
): Promise<string[][]> {
  const arns: string[] = [];
  let nextToken: string | undefined;
  do {
    const answer = await callAws('ecs:ListServices', cluster, signal, (options) =>
      client.send(new ListServicesCommand({ cluster, maxResults: 100, ...(nextToken && { nextToken }) }), options),
    );
    arns.push(...parseArns('ecs:ListServices', 'serviceArns', answer.serviceArns));
    nextToken = nextPage(answer.nextToken, nextToken);
  } while (nextToken);
  return Array.from({ length: Math.ceil(arns.length / servicesPerCall) }, (_, index) =>
    arns.slice(index * servicesPerCall, (index + 1) * servicesPerCall),
  );
}
