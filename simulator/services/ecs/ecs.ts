/**
 * ECS's API for clusters and container instances; ecs-tasks.ts and ecs-services.ts have the rest.
 */

import { Refusal } from '../../refusal.ts';
import { flag, list, need, oneOf, text, whole } from '../../wire/shapes.ts';
import { deregister, findCluster, findContainerInstance, setStatus } from '../../world/clusters.ts';
import type { Cluster, ContainerInstance, World } from '../../world/state.ts';
import { denied, ecsComplaints, throttled } from '../dialects.ts';
import { attributes } from './ecs-attributes.ts';
import { byCluster, clusterAccess, containerInstanceAccess } from './ecs-access.ts';
import { parseFilter, renderCluster, renderContainerInstance } from './ecs-form.ts';
import { capacityProviders } from './ecs-capacity-providers.ts';
import { services } from './ecs-services.ts';
import { taskDefinitions } from './ecs-task-definitions.ts';
import { tasks } from './ecs-tasks.ts';
import { takePage } from '../pages.ts';
import { operation, type Service } from '../service.ts';

const page = { maxResults: whole({ min: 1, max: 100 }), nextToken: text() };

const badToken = () => new Refusal('InvalidParameterException', 'Invalid token');

const containerInstances = {
  ListContainerInstances: operation(
    {
      cluster: text(),
      filter: text(),
      status: oneOf('ACTIVE', 'DRAINING', 'REGISTERING', 'DEREGISTERING', 'REGISTRATION_FAILED'),
      ...page,
    },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const { test, ids } = parseFilter(input.filter);
      // The index holds one record per instance, but an instance can have two records.
      const isIndexed = cluster.byInstance.size === cluster.containerInstances.size;
      const candidates =
        ids && isIndexed
          ? ids.flatMap((id) => cluster.byInstance.get(id) ?? [])
          : [...cluster.containerInstances.values()];
      const wanted = (instance: ContainerInstance) =>
        input.status ? instance.status === input.status : instance.status !== 'INACTIVE';
      const arns = candidates.filter((each) => wanted(each) && test(each)).map(({ arn }) => arn);
      const { page: containerInstanceArns, next } = takePage(arns, input.maxResults ?? 100, input.nextToken, badToken);
      return { containerInstanceArns, nextToken: next };
    },
    byCluster,
  ),
  DescribeContainerInstances: operation(
    { cluster: text(), containerInstances: need(list(text(), { min: 1, max: 100 })), include: list(text()) },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const { found, failures } = split(world, cluster, input.containerInstances);
      const include = new Set(input.include);
      return { containerInstances: found.map((each) => renderContainerInstance(world, each, include)), failures };
    },
    ({ cluster, containerInstances: ids }, { world }) => containerInstanceAccess(world, cluster, ids),
  ),
  UpdateContainerInstancesState: operation(
    {
      cluster: text(),
      containerInstances: need(list(text(), { min: 1, max: 10 })),
      status: need(oneOf('ACTIVE', 'DRAINING')),
    },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const { found, failures } = split(world, cluster, input.containerInstances);
      const changeable = ({ status }: ContainerInstance) => status === 'ACTIVE' || status === 'DRAINING';
      for (const each of found.filter(changeable)) setStatus(world, cluster, each, input.status);
      const stuck = found
        .filter((each) => !changeable(each))
        .map(({ arn, status }) => ({ arn, reason: 'INVALID_STATUS', detail: `Container instance is ${status}` }));
      return {
        containerInstances: found.filter(changeable).map((each) => renderContainerInstance(world, each, new Set())),
        failures: [...failures, ...stuck],
      };
    },
    ({ cluster, containerInstances: ids }, { world }) => containerInstanceAccess(world, cluster, ids),
  ),
  DeregisterContainerInstance: operation(
    { cluster: text(), containerInstance: need(text()), force: flag() },
    (input, { world }) => {
      const cluster = findCluster(world, input.cluster);
      const instance = findContainerInstance(cluster, input.containerInstance);
      if (!instance) throw new Refusal('InvalidParameterException', 'The referenced container instance was not found.');
      if (instance.tasks.size > 0 && input.force !== true) {
        throw new Refusal('InvalidParameterException', 'Found running tasks on the instance.');
      }
      deregister(world, cluster, instance, 'Container instance deregistered');
      return { containerInstance: renderContainerInstance(world, instance, new Set()) };
    },
    byCluster,
  ),
};

function split(world: World, cluster: Cluster, ids: readonly string[]) {
  const found: ContainerInstance[] = [];
  const failures: { arn: string; reason: string }[] = [];
  const base = `arn:aws:ecs:${world.region}:${world.accountId}:container-instance`;
  for (const id of ids) {
    const instance = findContainerInstance(cluster, id);
    if (instance) found.push(instance);
    else failures.push({ arn: id.startsWith('arn:') ? id : `${base}/${id}`, reason: 'MISSING' });
  }
  return { found, failures };
}

const clusters = {
  DescribeClusters: operation(
    { clusters: list(text(), { max: 100 }), include: list(text()) },
    ({ clusters: names = ['default'] }, { world }) => {
      const failures: object[] = [];
      const found = names.flatMap((nameOrArn) => {
        const cluster = world.clusters.get(nameOrArn.replace(/^arn:[^/]*cluster\//, ''));
        if (cluster) return [renderCluster(cluster)];
        const arn = `arn:aws:ecs:${world.region}:${world.accountId}:cluster/${nameOrArn}`;
        failures.push({ arn: nameOrArn.startsWith('arn:') ? nameOrArn : arn, reason: 'MISSING' });
        return [];
      });
      return { clusters: found, failures };
    },
    ({ clusters: names = ['default'] }, { world }) => names.flatMap((name) => clusterAccess(world, name)),
  ),
  ListClusters: operation(page, ({ maxResults, nextToken }, { world }) => {
    const arns = [...world.clusters.values()].map(({ arn }) => arn);
    const { page: clusterArns, next } = takePage(arns, maxResults ?? 100, nextToken, badToken);
    return { clusterArns, nextToken: next };
  }),
};

/**
 * AWS answers with hosts such as ecs-a-12 and ecs-t-12 of the region; they have interface endpoints
 * of their own.
 */
const pollEndpoints = {
  DiscoverPollEndpoint: operation({ containerInstance: text(), cluster: text() }, (_, { endpoint }) => ({
    endpoint: `${endpoint}/`,
    telemetryEndpoint: `${endpoint}/`,
  })),
};

export const ecs: Service = {
  id: 'ecs',
  signingName: 'ecs',
  iam: 'ecs',
  protocol: 'json',
  version: 'AmazonEC2ContainerServiceV20141113',
  complain: ecsComplaints,
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations: {
    ...containerInstances,
    ...clusters,
    ...capacityProviders,
    ...pollEndpoints,
    ...attributes,
    ...tasks,
    ...taskDefinitions,
    ...services,
  },
};
