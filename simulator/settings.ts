/**
 * Durations and behaviours: shaped as in AWS, but shortened so that a node's whole life fits into a
 * test.
 */

export interface Settings {
  ec2: {
    pendingMs: number;
    shuttingDownMs: number;
    stoppingMs: number;
    /** From Fault Injection Service's interruption to the end of the instance. */
    spotNoticeMs: number;
    /** How long DescribeInstances still lists a terminated instance. */
    forgetMs: number;
  };
  autoscaling: {
    /** From a change of capacity to the next launch or termination. */
    reconcileMs: number;
    /** From Terminating to Terminating:Wait, from Pending to Pending:Wait. */
    enterWaitMs: number;
    /** From a completed hook to the state that follows. */
    proceedMs: number;
    /**
     * When IMDS reports Terminated, counted from the decision. Below enterWaitMs, IMDS reports it
     * before the group does.
     */
    imdsTerminatedMs: number;
    /** When IMDS reports InService, counted from the launch. */
    imdsInServiceMs: number;
    /**
     * How long after …:Wait began the group still answers that there is no active lifecycle action.
     */
    noActiveActionMs: number;
    /** From a dead or unhealthy instance to its replacement. */
    healthCheckMs: number;
    /** How often the group tries again to terminate an instance with termination protection. */
    terminateRetryMs: number;
    /** How long the group still lists a terminated member as Terminated. */
    forgetMs: number;
  };
  ecs: {
    registerMs: number;
    schedulerMs: number;
    /** From UpdateService with forceNewDeployment to the deployment's end. */
    deploymentMs: number;
    provisioningMs: number;
    pendingMs: number;
    deactivatingMs: number;
    stoppingMs: number;
    deprovisioningMs: number;
    /** How long DescribeTasks still returns a stopped task. */
    forgetStoppedMs: number;
    /** From the death of a machine until ECS notices it. */
    noticeDeathMs: number;
    agentVersion: string;
  };
  opsworks: {
    /** From RegisterInstance to `registered`. */
    registeringMs: number;
    /** From AssignInstance to `online` or `setup_failed`. */
    assigningMs: number;
    setupMs: number;
    unassigningMs: number;
    deregisteringMs: number;
    /**
     * When registration turns on termination protection, counted from RegisterInstance; undefined
     * means never.
     */
    protectAfterMs: number | undefined;
    /** From the death of a machine to `connection_lost`. */
    connectionLostMs: number;
    /** How long lists still omit a new record. */
    listingLagMs: number;
    registersAs: 'registered' | 'never' | 'connection_lost' | 'setup_failed';
    setupEndsAs: 'online' | 'setup_failed' | 'never';
    installer: InstallerVariant;
  };
  ssm: {
    /** From the launch to Online; undefined means that the agent never appears. */
    onlineAfterMs: number | undefined;
    connectionLostMs: number;
  };
  s3: {
    /** The number of keys in a page of a list. */
    pageKeys: number;
  };
  elb: {
    initialMs: number;
  };
  credentials: {
    lifetimeMs: number;
  };
}

/** The kinds of OpsWorks installer that the download can return. */
export type InstallerVariant =
  | 'good'
  | 'large'
  | 'no-archive'
  | 'traversal'
  | 'symlink'
  | 'no-boot-registration'
  | 'failing'
  | 'refused'
  | 'hanging'
  | 'missing';

export type SettingsPatch = { [Area in keyof Settings]?: Partial<Settings[Area]> };

export const defaultSettings: Settings = {
  ec2: { pendingMs: 200, shuttingDownMs: 400, stoppingMs: 400, spotNoticeMs: 120_000, forgetMs: 3_600_000 },
  autoscaling: {
    reconcileMs: 200,
    enterWaitMs: 300,
    proceedMs: 200,
    imdsTerminatedMs: 100,
    imdsInServiceMs: 50,
    noActiveActionMs: 0,
    healthCheckMs: 500,
    terminateRetryMs: 2_000,
    forgetMs: 5_000,
  },
  ecs: {
    registerMs: 300,
    schedulerMs: 100,
    deploymentMs: 1_000,
    provisioningMs: 50,
    pendingMs: 200,
    deactivatingMs: 150,
    stoppingMs: 600,
    deprovisioningMs: 150,
    forgetStoppedMs: 3_600_000,
    noticeDeathMs: 300,
    agentVersion: '1.106.1',
  },
  opsworks: {
    registeringMs: 1_500,
    assigningMs: 200,
    setupMs: 800,
    unassigningMs: 300,
    deregisteringMs: 300,
    protectAfterMs: 600,
    connectionLostMs: 1_000,
    listingLagMs: 200,
    registersAs: 'registered',
    setupEndsAs: 'online',
    installer: 'good',
  },
  ssm: { onlineAfterMs: 1_000, connectionLostMs: 1_000 },
  s3: { pageKeys: 1000 },
  elb: { initialMs: 300 },
  credentials: { lifetimeMs: 6 * 3_600_000 },
};

export function mergeSettings(patch: SettingsPatch = {}): Settings {
  const areas = Object.keys(defaultSettings) as (keyof Settings)[];
  return Object.fromEntries(
    areas.map((area) => [area, { ...defaultSettings[area], ...patch[area] }]),
  ) as unknown as Settings;
}
