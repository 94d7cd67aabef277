/** Target groups and classic load balancers, each with a deregistration delay. */

import { Refused } from '../../../core/errors.ts';
import type { BalancerCloud } from '../../../core/host.ts';
import type { FakeClock } from '../clock.ts';

export interface FakeBalancer {
  registered: boolean;
  /** How long connections drain after deregistration. */
  drainsForMs: number;
  /** The uptime at which the draining ends. */
  drainsUntil: number;
}

export interface FakeBalancers {
  /** Target groups by ARN. */
  targetGroups: Map<string, FakeBalancer>;
  /** Classic load balancers by name. */
  loadBalancers: Map<string, FakeBalancer>;
}

export function someBalancer(drainsForMs = 60_000): FakeBalancer {
  return { registered: true, drainsForMs, drainsUntil: 0 };
}

export function openBalancerCloud(balancers: FakeBalancers, clock: FakeClock): BalancerCloud {
  const find = (map: Map<string, FakeBalancer>, name: string, code: string) => {
    const balancer = map.get(name);
    if (balancer === undefined) throw new Refused(`${name}: not found`, { code });
    return balancer;
  };
  const deregister = (balancer: FakeBalancer) => {
    if (balancer.registered) balancer.drainsUntil = clock.uptime() + balancer.drainsForMs;
    balancer.registered = false;
  };
  const { targetGroups, loadBalancers } = balancers;
  return {
    deregisterTarget: async (arn) => deregister(find(targetGroups, arn, 'TargetGroupNotFound')),
    isTargetDraining: async (arn) => find(targetGroups, arn, 'TargetGroupNotFound').drainsUntil > clock.uptime(),
    deregisterFromLoadBalancer: async (name) => deregister(find(loadBalancers, name, 'LoadBalancerNotFound')),
    isLoadBalancerDraining: async (name) =>
      find(loadBalancers, name, 'LoadBalancerNotFound').drainsUntil > clock.uptime(),
  };
}
