/**
 * Reads facts about the whole cluster in few calls. ECS counts and filters, so that the node need
 * not read every record.
 */

import { DescribeServicesCommand, ListServicesCommand, type ECSClient } from '@aws-sdk/client-ecs';
import { Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { describeCluster } from './describe-cluster.ts';
import { parseArns, parseDescribed } from './ecs-answers.ts';
import { chunks, everyPage } from '../pages.ts';
import { listContainerInstances } from './list-container-instances.ts';
import type { Session } from '../session/session.ts';

/** The number of disconnected records that are named. Bounds the calls that look them up. */
const maxNamed = 1_000;

/** The maximum number of services in one DescribeServices call. */
const servicesPerCall = 10;

export function openClusterView(
  client: ECSClient,
  { callAws }: Session,
): Pick<ClusterCloud, 'readClusterHealth' | 'readUnsteadyServices'> {
  return {
    async readClusterHealth(cluster, signal) {
      const { registeredContainerInstancesCount: registered } = await describeCluster(client, callAws, cluster, signal);
      if (typeof registered !== 'number')
        throw new Unavailable('ecs:DescribeClusters: the answer does not say how many instances are registered');
      const draining = await listContainerInstances(client, callAws, cluster, { status: 'DRAINING' }, signal);
      const disconnected = await listContainerInstances(
        client,
        callAws,
        cluster,
        { filter: 'agentConnected == false' },
        signal,
      );
      return {
        registered,
        draining: draining.length,
        disconnected: disconnected.length,
        disconnectedArns: disconnected.slice(0, maxNamed),
      };
    },
    async readUnsteadyServices(cluster, signal) {
      const call = 'ecs:DescribeServices';
      const unsteady: string[] = [];
      for (const services of chunks(await listServices(client, callAws, cluster, signal), servicesPerCall)) {
        const answer = await callAws(call, cluster, signal, (options) =>
          client.send(new DescribeServicesCommand({ cluster, services }), options),
        );
        const found = parseDescribed(call, services, answer.services, answer.failures, (each) => each.serviceArn);
        for (const { serviceName = '', status, runningCount = 0, desiredCount = 0 } of found) {
          if (status === 'ACTIVE' && runningCount < desiredCount) unsteady.push(serviceName);
        }
      }
      return unsteady.toSorted();
    },
  };
}

async function listServices(
  client: ECSClient,
  callAws: Session['callAws'],
  cluster: string,
  signal: AbortSignal,
): Promise<string[]> {
  const call = 'ecs:ListServices';
  return await everyPage(async (nextToken) => {
    const answer = await callAws(call, cluster, signal, (options) =>
      client.send(new ListServicesCommand({ cluster, maxResults: 100, ...(nextToken && { nextToken }) }), options),
    );
    return { items: parseArns(call, 'serviceArns', answer.serviceArns), next: answer.nextToken };
  });
}
