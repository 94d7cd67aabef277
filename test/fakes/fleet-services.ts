/** A cluster with one service in memory. It refuses the same calls as ECS. */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { ClusterCounts, FleetServices, ScalingTarget, ServiceView } from '../../core/fleet/fleet-services.ts';

export interface FakeServices extends FleetServices {
  counts: ClusterCounts;
  service: ServiceView | undefined;
  target: ScalingTarget | undefined;
  /** The calls in order: `countInstances`, `setDesiredCount 4` … */
  calls: string[];
  /** This many of the next calls fail, as in a throttled service. */
  troubles: number;
  /** Runs before each call, and may change the world while the product decides. */
  before: (call: string) => void;
}

export function steadyService(desired: number, more: Partial<ServiceView> = {}): ServiceView {
  return {
    status: 'ACTIVE',
    scheduling: 'REPLICA',
    controller: 'ECS',
    fargate: false,
    desired,
    running: desired,
    pending: 0,
    deployments: [{ status: 'PRIMARY', rollout: 'COMPLETED' }],
    ...more,
  };
}

/** A cluster whose instances are all ACTIVE and connected. */
export function healthyCluster(instances: number, more: Partial<ClusterCounts> = {}): ClusterCounts {
  return {
    status: 'ACTIVE',
    registered: instances,
    draining: 0,
    active: instances,
    connected: instances,
    ...more,
  };
}

export function fakeServices(instances: number, desired: number, cluster = 'prod', name = 'web'): FakeServices {
  const ask = (call: string, signal: AbortSignal) => {
    signal.throwIfAborted();
    fake.calls.push(call);
    fake.before(call);
    if (fake.troubles > 0) {
      fake.troubles--;
      throw new Unavailable('throttled (ThrottlingException)');
    }
  };
  const fake: FakeServices = {
    counts: healthyCluster(instances),
    service: steadyService(desired),
    target: undefined,
    calls: [],
    troubles: 0,
    before: () => {},
    async countInstances(wanted, signal) {
      ask('countInstances', signal);
      if (wanted !== cluster) throw new Refused(`there is no cluster ${wanted}`);
      return fake.counts;
    },
    async readService(_cluster, wanted, signal) {
      ask('readService', signal);
      return wanted === name ? fake.service : undefined;
    },
    async readScalingTarget(_cluster, wanted, signal) {
      ask('readScalingTarget', signal);
      return wanted === name ? fake.target : undefined;
    },
    async setDesiredCount(_cluster, service, wanted, signal) {
      ask(`setDesiredCount ${wanted}`, signal);
      if (service !== name) throw new Refused('Service not found.');
      if (!Number.isInteger(wanted) || wanted < 0) throw new RangeError(`desired count ${wanted}`);
      if (fake.service?.status !== 'ACTIVE') throw new Refused('Service was not ACTIVE.');
      if (fake.service.scheduling === 'DAEMON') throw new Refused('DAEMON services have no desired count.');
      fake.service = { ...fake.service, desired: wanted, running: wanted };
      return wanted;
    },
    close: () => {},
  };
  return fake;
}
