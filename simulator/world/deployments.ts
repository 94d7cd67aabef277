/**
 * A service's deployments: one primary deployment, and the older ones that it replaces until it is
 * complete.
 */

import type { Deployment, Service, World } from './state.ts';

export function firstDeployment(world: World, rollout: Deployment['rollout'] = 'COMPLETED'): Deployment {
  return { id: `ecs-svc/${world.random.hex(19)}`, status: 'PRIMARY', rollout, createdAt: world.clock.now() };
}

/** Changes only the reported deployments; the tasks stay the same. */
export function beginDeployment(world: World, service: Service): void {
  for (const deployment of service.deployments) deployment.status = 'ACTIVE';
  service.deployments.unshift(firstDeployment(world, 'IN_PROGRESS'));
}

/** A failed deployment stays beside those that it did not replace. */
export function endDeployment(service: Service, rollout: 'COMPLETED' | 'FAILED'): void {
  const [primary] = service.deployments;
  if (primary === undefined) return;
  primary.rollout = rollout;
  if (rollout === 'COMPLETED') service.deployments.splice(1);
}

export function renderDeployments({ deployments, desired, taskDefinition }: Service, runningCount: number): object[] {
  return deployments.map(({ id, status, rollout, createdAt }) => ({
    id,
    status,
    taskDefinition,
    desiredCount: status === 'PRIMARY' ? desired : 0,
    pendingCount: 0,
    runningCount: status === 'PRIMARY' ? runningCount : 0,
    failedTasks: 0,
    createdAt: new Date(createdAt),
    updatedAt: new Date(createdAt),
    launchType: 'EC2',
    rolloutState: rollout,
    rolloutStateReason: `ECS deployment ${id} ${rollout === 'IN_PROGRESS' ? 'in progress' : rollout?.toLowerCase()}.`,
  }));
}
