/**
 * What sizing a service needs to know and to do, in our verbs; each names its cluster and its
 * service.
 */

export interface ClusterCounts {
  /** `ACTIVE`, or whatever else a cluster may be. */
  status: string;
  /** Every container instance that ECS knows, in whatever state. */
  registered: number;
  draining: number;
  active: number;
  /** Of those that are ACTIVE, those whose agent is connected. */
  connected: number;
}

export interface Deployment {
  /** `PRIMARY`, `ACTIVE` (being replaced), `INACTIVE` (replaced). */
  status: string;
  /**
   * `COMPLETED`, `IN_PROGRESS`, `FAILED`; undefined behind a classic load balancer, where ECS does
   * not say.
   */
  rollout: string | undefined;
}

export interface ServiceView {
  /** `ACTIVE`, `DRAINING` (being deleted), `INACTIVE`. */
  status: string;
  /** `REPLICA`, `DAEMON`. */
  scheduling: string;
  /** Who deploys: `ECS`, `CODE_DEPLOY`, `EXTERNAL`. */
  controller: string;
  /** Its tasks run on Fargate, not on container instances. */
  fargate: boolean;
  desired: number;
  running: number;
  pending: number;
  deployments: readonly Deployment[];
}

/** That Application Auto Scaling sizes the service, too. */
export interface ScalingTarget {
  min: number;
  max: number;
}

/** Each verb throws Unavailable where AWS gave no whole answer, and Refused where it said no. */
export interface FleetServices {
  /** Throws Refused where there is no such cluster. */
  countInstances(cluster: string, signal: AbortSignal): Promise<ClusterCounts>;
  readService(cluster: string, service: string, signal: AbortSignal): Promise<ServiceView | undefined>;
  readScalingTarget(cluster: string, service: string, signal: AbortSignal): Promise<ScalingTarget | undefined>;
  /**
   * Changes the desired count and nothing else of the service; what ECS then says it is.
   * Idempotent.
   */
  setDesiredCount(cluster: string, service: string, desired: number, signal: AbortSignal): Promise<number>;
  close(): void;
}
