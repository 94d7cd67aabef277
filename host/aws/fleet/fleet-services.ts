/**
 * ECS and Application Auto Scaling for `service-size`. ECS counts, so no instance is read by
 * itself.
 */

import { ApplicationAutoScalingClient, DescribeScalableTargetsCommand } from '@aws-sdk/client-application-auto-scaling';
import { DescribeServicesCommand, ECSClient, UpdateServiceCommand, type Service } from '@aws-sdk/client-ecs';
import type { FleetServices, ServiceView } from '../../../core/fleet/fleet-services.ts';
import { describeCluster } from '../ecs/describe-cluster.ts';
import { listContainerInstances, type Which } from '../ecs/list-container-instances.ts';
import { findOnPages } from '../pages.ts';
import type { FleetSession } from '../session/fleet-session.ts';
import { incompleteAnswer, required } from './paging.ts';

export function openFleetServices({ callAws, settings }: FleetSession): FleetServices {
  const ecs = new ECSClient(settings('ECS'));
  const scaling = new ApplicationAutoScalingClient(settings('APPLICATION_AUTO_SCALING'));
  return {
    ...openClusterCounts(ecs, callAws),
    ...openService(ecs, callAws),
    ...openScaling(scaling, callAws),
    close() {
      ecs.destroy();
      scaling.destroy();
    },
  };
}

type AwsCall = FleetSession['callAws'];

function openClusterCounts(client: ECSClient, callAws: AwsCall): Pick<FleetServices, 'countInstances'> {
  const count = async (cluster: string, which: Which, signal: AbortSignal): Promise<number> =>
    new Set(await listContainerInstances(client, callAws, cluster, which, signal)).size;
  return {
    async countInstances(cluster, signal) {
      const found = await describeCluster(client, callAws, cluster, signal);
      const external = await count(cluster, { filter: `${externalAttribute} exists` }, signal);
      const terms = external > 0 ? [`${externalAttribute} !exists`] : [];
      const countOf = (status: 'ACTIVE' | 'DRAINING', ...more: string[]) => {
        const filter = [...more, ...terms].join(' and ');
        return count(cluster, { status, ...(filter && { filter }) }, signal);
      };
      return {
        status: required(found.status, 'ecs:DescribeClusters'),
        registered: required(found.registeredContainerInstancesCount, 'ecs:DescribeClusters') - external,
        draining: await countOf('DRAINING'),
        active: await countOf('ACTIVE'),
        connected: await countOf('ACTIVE', 'agentConnected == true'),
      };
    },
  };
}

/** The ECS agent of an external instance (ECS Anywhere) registers with this capability. */
const externalAttribute = 'attribute:ecs.capability.external';

function openService(client: ECSClient, callAws: AwsCall): Pick<FleetServices, 'readService' | 'setDesiredCount'> {
  return {
    async readService(cluster, service, signal) {
      const answer = await callAws('ecs:DescribeServices', `${cluster}/${service}`, signal, (options) =>
        client.send(new DescribeServicesCommand({ cluster, services: [service] }), options),
      );
      const found = required(answer.services, 'ecs:DescribeServices')[0];
      if (found !== undefined) return viewOf(found);
      if (answer.failures?.[0]?.reason === 'MISSING') return undefined;
      throw incompleteAnswer('ecs:DescribeServices');
    },
    async setDesiredCount(cluster, service, desiredCount, signal) {
      const answer = await callAws('ecs:UpdateService', `${cluster}/${service}`, signal, (options) =>
        // Only the count: a field that is not given stays as it is.
        client.send(new UpdateServiceCommand({ cluster, service, desiredCount }), options),
      );
      return required(answer.service?.desiredCount, 'ecs:UpdateService');
    },
  };
}

function viewOf(service: Service): ServiceView {
  const call = 'ecs:DescribeServices';
  return {
    status: required(service.status, call),
    scheduling: service.schedulingStrategy ?? 'REPLICA',
    controller: service.deploymentController?.type ?? 'ECS',
    fargate: runsOnFargate(service),
    desired: required(service.desiredCount, call),
    running: required(service.runningCount, call),
    pending: required(service.pendingCount, call),
    deployments: required(service.deployments, call).map(({ status, rolloutState }) => ({
      status: required(status, call),
      rollout: rolloutState,
    })),
  };
}

/** By its launch type, or by one of AWS's capacity providers FARGATE and FARGATE_SPOT. */
function runsOnFargate({ launchType, capacityProviderStrategy = [] }: Service): boolean {
  return (
    launchType === 'FARGATE' || capacityProviderStrategy.some((each) => each.capacityProvider?.startsWith('FARGATE'))
  );
}

function openScaling(client: ApplicationAutoScalingClient, callAws: AwsCall): Pick<FleetServices, 'readScalingTarget'> {
  return {
    async readScalingTarget(cluster, service, signal) {
      const permission = 'application-autoscaling:DescribeScalableTargets';
      const ResourceId = `service/${cluster}/${service}`;
      const own = await findOnPages(
        async (NextToken) => {
          const answer = await callAws(permission, ResourceId, signal, (options) =>
            client.send(
              new DescribeScalableTargetsCommand({
                ServiceNamespace: 'ecs',
                ScalableDimension: 'ecs:service:DesiredCount',
                ResourceIds: [ResourceId],
                ...(NextToken && { NextToken }),
              }),
              options,
            ),
          );
          return { items: required(answer.ScalableTargets, permission), next: answer.NextToken };
        },
        (target) => target.ResourceId === ResourceId,
      );
      return own && { min: required(own.MinCapacity, permission), max: required(own.MaxCapacity, permission) };
    },
  };
}
