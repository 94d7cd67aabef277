/** The AWS actions of `ecs-node service-size`, with IAM's narrowest resource for each. */

import type { FleetPermission } from './fleet-policy.ts';

export const serviceSizePermissions: readonly FleetPermission[] = [
  { action: 'ecs:DescribeClusters', feature: 'counting container instances', reach: 'cluster' },
  { action: 'ecs:ListContainerInstances', feature: 'counting container instances', reach: 'cluster' },
  { action: 'ecs:DescribeServices', feature: 'the desired count and the deployments', reach: 'service' },
  {
    action: 'application-autoscaling:DescribeScalableTargets',
    feature: 'leaving alone what Application Auto Scaling sizes',
    reach: 'everything',
  },
  { action: 'ecs:UpdateService', feature: 'setting the desired count', reach: 'service', acts: true },
];
