/** Decides how many tasks a service has: one for each node, less some to spare. Pure. */

import type { ClusterCounts, ScalingTarget, ServiceView } from '../core/fleet/fleet-services.ts';

export interface SizeGoal {
  /** Number of container instances without a task. */
  spare: number;
  min: number;
  max?: number | undefined;
}

export interface SizeFacts {
  counts: ClusterCounts;
  service: ServiceView | undefined;
  target: ScalingTarget | undefined;
}

/** `wait`: a later run can decide. `refuse`: a person has to decide. */
export type SizeDecision =
  | { kind: 'keep' | 'wait' | 'refuse'; reason: string }
  | { kind: 'resize'; to: number; reason: string };

/**
 * Maximum share of the tasks that one run takes away, and always one task. A fleet that looks empty
 * by mistake is cut to a third in four runs, which leaves minutes to notice it.
 */
const largestDropShare = 0.25;

export function decideSize(goal: SizeGoal, { counts, service, target }: SizeFacts): SizeDecision {
  if (service === undefined) return { kind: 'refuse', reason: 'the cluster has no such service' };
  return objection(service, target) ?? hindrance(service, counts) ?? compare(goal, counts, service.desired);
}

/** Why this command must not size the service. It lasts. */
function objection(service: ServiceView, target: ScalingTarget | undefined): SizeDecision | undefined {
  const refuse = (reason: string): SizeDecision => ({ kind: 'refuse', reason });
  if (service.status !== 'ACTIVE') return refuse(`the service is ${service.status}: it is deleted`);
  if (service.scheduling !== 'REPLICA') {
    return refuse(`the service is a ${service.scheduling} service: ECS itself runs one task on each node`);
  }
  if (service.controller !== 'ECS') {
    return refuse(`the service is deployed by ${service.controller}, whose deployments cannot be seen from here`);
  }
  if (service.fargate) return refuse('its tasks run on Fargate, so the number of container instances says nothing');
  if (target !== undefined) {
    return refuse(
      `Application Auto Scaling sizes the service, between ${target.min} and ${target.max} tasks, and two would undo each ` +
        "other's work: deregister its scalable target, or do without this command",
    );
  }
  return undefined;
}

/** Why the count stays in this run. It passes. */
function hindrance(service: ServiceView, counts: ClusterCounts): SizeDecision | undefined {
  const wait = (reason: string): SizeDecision => ({ kind: 'wait', reason });
  if (service.desired === 0) {
    return { kind: 'keep', reason: 'the service is switched off: its desired count is 0' };
  }
  if (counts.status !== 'ACTIVE') return wait(`the cluster is ${counts.status}`);
  const unsettled = faultOfDeployments(service);
  if (unsettled !== undefined) return wait(unsettled);
  // Without an instance no task could run at any count, and an outage looks the same.
  if (counts.connected === 0) return wait('no container instance is ACTIVE with a connected agent');
  return undefined;
}

function faultOfDeployments({ deployments, running, pending, desired }: ServiceView): string | undefined {
  const [first, ...others] = deployments.filter(({ status }) => status !== 'INACTIVE');
  if (first === undefined) return 'ECS names no deployment of the service';
  if (others.length > 0 || first.status !== 'PRIMARY') return 'a deployment is in progress';
  if (first.rollout === 'FAILED') return 'the last deployment has failed';
  // A change of only the desired count begins no deployment, so COMPLETED stays.
  if (first.rollout !== undefined) return first.rollout === 'COMPLETED' ? undefined : 'a deployment is in progress';
  return running === desired && pending === 0 ? undefined : 'its tasks have not settled yet';
}

/**
 * Grows by instances that can run a task now: ACTIVE and connected. Does not shrink for an ECS
 * agent that is not connected: its tasks run on, and agents connect anew several times an hour.
 * Shrinks by the larger of ECS's two counts.
 */
function compare({ spare, min, max = Infinity }: SizeGoal, counts: ClusterCounts, desired: number): SizeDecision {
  const { registered, draining, active, connected } = counts;
  const within = (count: number) => Math.max(min, Math.min(max, count - spare));
  const least = within(connected);
  const most = within(Math.max(active, connected, registered - draining));
  const because = describe(counts, spare);
  if (desired < least) return { kind: 'resize', to: least, reason: because };
  if (desired <= most) return { kind: 'keep', reason: because };
  const to = Math.max(most, desired - Math.max(1, Math.floor(desired * largestDropShare)));
  const slow = to === most ? '' : `; on the way to ${most}, a quarter at a time`;
  return { kind: 'resize', to, reason: because + slow };
}

function describe({ active, connected, draining, registered }: ClusterCounts, spare: number): string {
  const without = active - connected;
  const unsure = without > 0 ? `, ${without} more without a connected agent` : '';
  return `${connected} of ${registered} container instances can take tasks${unsure}, ${draining} are leaving, ${spare} to spare`;
}
