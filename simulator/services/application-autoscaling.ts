/** Application Auto Scaling's API for ECS services: it lists the services that it scales. */

import { Refusal } from '../refusal.ts';
import { list, need, oneOf, text, whole } from '../wire/shapes.ts';
import type { ScalableTarget, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { takePage } from './pages.ts';
import { operation, type Service } from './service.ts';

const namespaces = oneOf(
  'ecs',
  'elasticmapreduce',
  'ec2',
  'appstream',
  'dynamodb',
  'rds',
  'sagemaker',
  'custom-resource',
  'comprehend',
  'lambda',
  'cassandra',
  'kafka',
  'elasticache',
  'neptune',
  'workspaces',
);
const ecsDimension = 'ecs:service:DesiredCount';
const dimension = text({ pattern: /^[a-z-]+:[\w-]+:\w+$/ });
const resource = text({ min: 1, max: 1600 });
const named = { ServiceNamespace: need(namespaces), ResourceId: need(resource), ScalableDimension: need(dimension) };

const invalid = (message: string) => new Refusal('ValidationException', message);

/**
 * ECS has one dimension. The simulator registers nothing in the other namespaces, so their
 * dimensions are not checked.
 */
function checkDimension(namespace: string, wanted: string | undefined): void {
  if (wanted === undefined || (namespace === 'ecs' ? wanted === ecsDimension : wanted.startsWith(namespace))) return;
  throw invalid(`Unsupported service namespace, resource type or scalable dimension: ${namespace}, ${wanted}`);
}

const operations = {
  DescribeScalableTargets: operation(
    {
      ServiceNamespace: need(namespaces),
      ResourceIds: list(resource, { max: 50 }),
      ScalableDimension: dimension,
      MaxResults: whole({ min: 1, max: 50 }),
      NextToken: text(),
    },
    ({ ServiceNamespace, ResourceIds, ScalableDimension, MaxResults, NextToken }, { world }) => {
      checkDimension(ServiceNamespace, ScalableDimension);
      if (ScalableDimension !== undefined && !ResourceIds?.length) {
        throw invalid('Scalable dimension must be specified together with resource IDs');
      }
      const found = [...world.scalableTargets.values()]
        .filter(() => ServiceNamespace === 'ecs')
        .filter(({ resourceId }) => !ResourceIds?.length || ResourceIds.includes(resourceId))
        .toSorted((a, b) => (a.resourceId < b.resourceId ? -1 : 1));
      const badToken = () => new Refusal('InvalidNextTokenException', 'The next token is invalid.');
      const { page, next } = takePage(found, MaxResults ?? 50, NextToken, badToken);
      return { ScalableTargets: page.map((target) => render(world, target)), NextToken: next };
    },
  ),
  RegisterScalableTarget: operation(
    { ...named, MinCapacity: whole({ min: 0 }), MaxCapacity: whole({ min: 0 }), RoleARN: text() },
    ({ ServiceNamespace, ResourceId, ScalableDimension, MinCapacity, MaxCapacity }, { world }) => {
      checkDimension(ServiceNamespace, ScalableDimension);
      if (ServiceNamespace !== 'ecs') throw invalid(`the simulator knows no ${ServiceNamespace}`);
      registerScalableTarget(world, ResourceId, MinCapacity, MaxCapacity);
      return {};
    },
  ),
  DeregisterScalableTarget: operation(named, ({ ResourceId }, { world }) => {
    if (!world.scalableTargets.delete(ResourceId)) {
      throw new Refusal('ObjectNotFoundException', `No scalable target found for resource ID: ${ResourceId}`);
    }
    return {};
  }),
};

export function registerScalableTarget(world: World, resourceId: string, min?: number, max?: number): void {
  const [kind, clusterName = '', serviceName = ''] = resourceId.split('/');
  if (kind !== 'service' || !world.clusters.get(clusterName)?.services.has(serviceName)) {
    throw invalid(`ECS service doesn't exist: ${resourceId}`);
  }
  const known = world.scalableTargets.get(resourceId);
  const lower = min ?? known?.min;
  const upper = max ?? known?.max;
  if (lower === undefined || upper === undefined) {
    throw invalid('Both minimum and maximum capacity must be specified when a scalable target is registered');
  }
  if (lower > upper) throw invalid('Maximum capacity cannot be less than minimum capacity');
  world.scalableTargets.set(resourceId, {
    resourceId,
    min: lower,
    max: upper,
    createdAt: known?.createdAt ?? world.clock.now(),
  });
}

function render({ accountId }: World, { resourceId, min, max, createdAt }: ScalableTarget): object {
  const role = 'AWSServiceRoleForApplicationAutoScaling_ECSService';
  return {
    ServiceNamespace: 'ecs',
    ResourceId: resourceId,
    ScalableDimension: ecsDimension,
    MinCapacity: min,
    MaxCapacity: max,
    RoleARN: `arn:aws:iam::${accountId}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/${role}`,
    CreationTime: new Date(createdAt),
    SuspendedState: {
      DynamicScalingInSuspended: false,
      DynamicScalingOutSuspended: false,
      ScheduledScalingSuspended: false,
    },
  };
}

export const applicationAutoscaling: Service = {
  id: 'application-autoscaling',
  signingName: 'application-autoscaling',
  iam: 'application-autoscaling',
  protocol: 'json',
  version: 'AnyScaleFrontendService',
  complain: validationComplaints('ValidationException'),
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations,
};
