/** ECS's operations on services. */

import { Refusal } from '../../refusal.ts';
import { flag, list, need, oneOf, record, text, whole } from '../../wire/shapes.ts';
import { findCluster } from '../../world/clusters.ts';
import { beginDeployment, endDeployment } from '../../world/deployments.ts';
import { schedule } from '../../world/scheduler.ts';
import type { Cluster, Service, World } from '../../world/state.ts';
import { byCluster, serviceAccess } from './ecs-access.ts';
import { renderService } from './ecs-form.ts';
import { takePage } from '../pages.ts';
import { operation } from '../service.ts';

export const services = {
  ListServices: operation(
    {
      cluster: text(),
      launchType: oneOf('EC2', 'FARGATE', 'EXTERNAL'),
      schedulingStrategy: oneOf('REPLICA', 'DAEMON'),
      maxResults: whole({ min: 1, max: 100 }),
      nextToken: text(),
    },
    ({ cluster, schedulingStrategy, maxResults, nextToken }, { world }) => {
      const arns = [...findCluster(world, cluster).services.values()]
        .filter(({ daemon }) => schedulingStrategy === undefined || daemon === (schedulingStrategy === 'DAEMON'))
        .map(({ arn }) => arn);
      const badToken = () => new Refusal('InvalidParameterException', 'Invalid token');
      const { page, next } = takePage(arns, maxResults ?? 10, nextToken, badToken);
      return { serviceArns: page, nextToken: next };
    },
    byCluster,
  ),
  DescribeServices: operation(
    { cluster: text(), services: need(list(text(), { min: 1, max: 10 })), include: list(text()) },
    ({ cluster: name, services: ids }, { world }) => {
      const cluster = findCluster(world, name);
      const found = ids.map((id) => ({ id, service: find(cluster, id) }));
      return {
        services: found.flatMap(({ service }) => (service ? [renderService(cluster, service)] : [])),
        failures: found.filter(({ service }) => !service).map(({ id }) => ({ arn: id, reason: 'MISSING' })),
      };
    },
    ({ cluster, services: ids }, { world }) => serviceAccess(world, cluster, ids),
  ),
  UpdateService: operation(
    {
      cluster: text(),
      service: need(text()),
      desiredCount: whole({ min: 0 }),
      forceNewDeployment: flag(),
      deploymentConfiguration: record({ minimumHealthyPercent: whole(), maximumPercent: whole() }),
    },
    ({ cluster: name, service: id, desiredCount, deploymentConfiguration, forceNewDeployment }, { world }) => {
      const cluster = findCluster(world, name);
      const service = find(cluster, id);
      if (!service) throw new Refusal('ServiceNotFoundException', 'Service not found.');
      if (service.status !== 'ACTIVE') throw new Refusal('ServiceNotActiveException', 'Service was not ACTIVE.');
      if (desiredCount !== undefined && service.daemon) {
        throw new Refusal(
          'InvalidParameterException',
          'The daemon scheduling strategy does not support a desired count.',
        );
      }
      service.desired = desiredCount ?? service.desired;
      service.minimumHealthyPercent = deploymentConfiguration?.minimumHealthyPercent ?? service.minimumHealthyPercent;
      service.maximumPercent = deploymentConfiguration?.maximumPercent ?? service.maximumPercent;
      if (forceNewDeployment === true) deploy(world, service);
      schedule(world, cluster);
      return { service: renderService(cluster, service) };
    },
    ({ cluster, service }, { world }) => serviceAccess(world, cluster, [service]),
  ),
};

/**
 * Only the ECS controller can force a deployment; a service of CodeDeploy or of a foreign
 * controller refuses.
 */
function deploy(world: World, service: Service): void {
  if (service.controller !== 'ECS') {
    const by = service.controller;
    throw new Refusal(
      'InvalidParameterException',
      `Cannot force a new deployment on services with a ${by} deployment controller.`,
    );
  }
  beginDeployment(world, service);
  world.clock.after(world.settings.ecs.deploymentMs, () => endDeployment(service, 'COMPLETED'));
}

function find(cluster: Cluster, id: string): Service | undefined {
  return cluster.services.get(id.split('/').at(-1)!);
}
