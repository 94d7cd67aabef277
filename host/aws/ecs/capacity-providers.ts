/** The capacity provider of this node's group, and the end of a registration outside of it. */

import {
  DeregisterContainerInstanceCommand,
  DescribeCapacityProvidersCommand,
  type CapacityProvider,
  type ECSClient,
} from '@aws-sdk/client-ecs';
import { Refused } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { findOnPages } from '../pages.ts';
import { describeCluster } from './describe-cluster.ts';
import { parseList } from '../parse-list.ts';
import type { Session } from '../session/session.ts';

type Verbs = Pick<ClusterCloud, 'readCapacityProvider' | 'deregisterContainerInstance'>;

export function openCapacityProviders(client: ECSClient, { callAws }: Session): Verbs {
  return {
    async readCapacityProvider(cluster, group, signal) {
      const found = await describeCluster(client, callAws, cluster, signal);
      // Fargate's providers have no group. A cluster without any has no list.
      const names = (found.capacityProviders ?? []).filter((name) => !name.startsWith('FARGATE'));
      // ECS accepts at most 20 providers a cluster, and describes up to 100 in one call.
      return names.length === 0 ? undefined : findProvider(client, callAws, names, group, signal);
    },
    async deregisterContainerInstance(cluster, containerInstance, signal) {
      try {
        await callAws('ecs:DeregisterContainerInstance', cluster, signal, (options) =>
          client.send(new DeregisterContainerInstanceCommand({ cluster, containerInstance }), options),
        );
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    },
  };
}

/** The answer to a call whose first answer was lost. */
function isGone(error: unknown): boolean {
  return error instanceof Refused && /container instance was not found/i.test(error.message);
}

async function findProvider(
  client: ECSClient,
  callAws: Session['callAws'],
  names: string[],
  group: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const call = 'ecs:DescribeCapacityProviders';
  const found = await findOnPages(
    async (nextToken) => {
      const answer = await callAws(call, '*', signal, (options) =>
        client.send(
          new DescribeCapacityProvidersCommand({ capacityProviders: names, ...(nextToken && { nextToken }) }),
          options,
        ),
      );
      return { items: parseList(call, 'capacityProviders', answer.capacityProviders), next: answer.nextToken };
    },
    (each) => each.name !== undefined && serves(each, group),
  );
  return found?.name;
}

/** A provider names its group by ARN, or by the name alone. */
function serves({ status, autoScalingGroupProvider }: CapacityProvider, group: string): boolean {
  const arn = autoScalingGroupProvider?.autoScalingGroupArn;
  return status === 'ACTIVE' && (arn === group || arn?.endsWith(`:autoScalingGroupName/${group}`) === true);
}
