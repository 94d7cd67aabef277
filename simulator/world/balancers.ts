/**
 * Target groups and classic load balancers: registration, deregistration with its delay, and
 * health.
 */

import { Refusal } from '../refusal.ts';
import { arnOf, type LoadBalancer, type Target, type TargetGroup, type World } from './state.ts';

export function createTargetGroup(
  world: World,
  name: string,
  { port = 80, deregistrationDelaySeconds = 1 }: { port?: number; deregistrationDelaySeconds?: number } = {},
): TargetGroup {
  const group: TargetGroup = {
    arn: arnOf(world, 'elasticloadbalancing', `targetgroup/${name}/${world.random.hex(16)}`),
    name,
    port,
    targetType: 'instance',
    deregistrationDelaySeconds,
    targets: new Map(),
  };
  world.targetGroups.set(group.arn, group);
  return group;
}

export function findTargetGroup(world: World, arn: string): TargetGroup {
  const group = world.targetGroups.get(arn);
  if (!group) throw new Refusal('TargetGroupNotFound', `Target groups '${arn}' not found`);
  return group;
}

export function registerTarget(world: World, group: TargetGroup, id: string, port = group.port): void {
  const instance = world.instances.get(id);
  if (instance?.state !== 'running') {
    throw new Refusal(
      'InvalidTarget',
      `The following targets are not in a running state and cannot be registered: '${id}'`,
    );
  }
  const target: Target = { id, port, state: 'initial' };
  group.targets.set(`${id}:${port}`, target);
  world.clock.after(world.settings.elb.initialMs, () => {
    if (target.state === 'initial') target.state = 'healthy';
  });
}

/** Idempotent, also for an unknown target. Without a port it uses the group's port. */
export function deregisterTarget(world: World, group: TargetGroup, id: string, port = group.port): void {
  const target = group.targets.get(`${id}:${port}`);
  if (!target || target.state === 'draining') return;
  target.state = 'draining';
  world.clock.after(group.deregistrationDelaySeconds * 1000, () => {
    if (target.state === 'draining') group.targets.delete(`${id}:${port}`);
  });
}

export function createLoadBalancer(world: World, name: string, drainingSeconds = 1): LoadBalancer {
  const balancer: LoadBalancer = {
    name,
    connectionDraining: drainingSeconds > 0,
    drainingSeconds,
    instances: new Map(),
  };
  world.loadBalancers.set(name, balancer);
  return balancer;
}

export function findLoadBalancer(world: World, name: string): LoadBalancer {
  const balancer = world.loadBalancers.get(name);
  if (!balancer) throw new Refusal('LoadBalancerNotFound', `There is no ACTIVE Load Balancer named '${name}'`);
  return balancer;
}

export function deregisterFromBalancer(world: World, balancer: LoadBalancer, instanceId: string): void {
  if (!balancer.instances.has(instanceId)) {
    throw new Refusal('InvalidInstance', `Could not find EC2 instance ${instanceId}.`);
  }
  if (!balancer.connectionDraining) return void balancer.instances.delete(instanceId);
  if (balancer.instances.get(instanceId) === 'draining') return;
  balancer.instances.set(instanceId, 'draining');
  world.clock.after(balancer.drainingSeconds * 1000, () => {
    if (balancer.instances.get(instanceId) === 'draining') balancer.instances.delete(instanceId);
  });
}

/** A terminated target is `unused` at once. */
export function watchTargets(world: World): void {
  world.listeners.add((event) => {
    if (event.kind !== 'instance' || event.state !== 'terminated') return;
    const { id } = event.instance;
    for (const group of world.targetGroups.values()) {
      for (const [key, target] of group.targets) if (target.id === id) group.targets.delete(key);
    }
    for (const balancer of world.loadBalancers.values()) balancer.instances.delete(id);
  });
}
