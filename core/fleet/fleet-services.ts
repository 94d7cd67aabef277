/** Reads and the one change of `service-size`. Each names its cluster and its service. */

/** Without external instances (ECS Anywhere): a service on EC2 does not run there. */
export interface ClusterCounts {
  /** `ACTIVE` or another word of ECS. */
  status: string;
  /** Every container instance that ECS has, in any state. */
  registered: number;
  draining: number;
  active: number;
  /** ACTIVE with a connected ECS agent. */
  connected: number;
}

export interface Deployment {
  /** `PRIMARY`, `ACTIVE` (being replaced), `INACTIVE` (replaced). */
  status: string;
  /** `COMPLETED`, `IN_PROGRESS`, `FAILED`. ECS does not say it for a classic load balancer. */
  rollout: string | undefined;
}

export interface ServiceView {
  /** `ACTIVE`, `DRAINING` (being deleted), `INACTIVE`. */
  status: string;
  /** `REPLICA`, `DAEMON`. */
  scheduling: string;
  /** Deploys the service: `ECS`, `CODE_DEPLOY`, `EXTERNAL`. */
  controller: string;
  /** Its tasks run on Fargate, not on container instances. */
  fargate: boolean;
  desired: number;
  running: number;
  pending: number;
  deployments: readonly Deployment[];
}

/** Application Auto Scaling sizes the service as well, between these counts. */
export interface ScalingTarget {
  min: number;
  max: number;
}

/** Every call throws Unavailable if AWS gave no complete answer, and Refused if it refused. */
export interface FleetServices {
  /** Throws Refused if the cluster does not exist. */
  countInstances(cluster: string, signal: AbortSignal): Promise<ClusterCounts>;
  readService(cluster: string, service: string, signal: AbortSignal): Promise<ServiceView | undefined>;
  readScalingTarget(cluster: string, service: string, signal: AbortSignal): Promise<ScalingTarget | undefined>;
  /** Changes only the desired count, and returns ECS's word for it afterwards. Idempotent. */
  setDesiredCount(cluster: string, service: string, desired: number, signal: AbortSignal): Promise<number>;
  close(): void;
}
