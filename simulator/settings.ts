/**
 * How long everything takes: shaped as in AWS, shortened so that a node's whole life fits into a
 * test.
 */

export interface Settings {
  ec2: {
    pendingMs: number;
    shuttingDownMs: number;
    stoppingMs: number;
    /** So long a terminated instance still shows up. */
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
     * When IMDS says Terminated, counted from the decision; below enterWaitMs it says so before the
     * group does.
     */
    imdsTerminatedMs: number;
    /** When IMDS says InService, counted from the launch. */
    imdsInServiceMs: number;
    /** So long after …:Wait began the group still denies that there is a lifecycle action. */
    noActiveActionMs: number;
    /** From a dead or unhealthy instance to its replacement. */
    healthCheckMs: number;
    /** How often termination is tried again on an instance with termination protection. */
    terminateRetryMs: number;
    /** So long a terminated member still shows up as Terminated. */
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
    /** So long a stopped task can still be described. */
    forgetStoppedMs: number;
    /** From the death of a machine to ECS noticing it. */
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
     * When registration turns termination protection on, counted from RegisterInstance; undefined:
     * never.
     */
    protectAfterMs: number | undefined;
    /** From the death of a machine to `connection_lost`. */
    connectionLostMs: number;
    /** So long a new record is missing in lists. */
    listingLagMs: number;
    registersAs: 'registered' | 'never' | 'connection_lost' | 'setup_failed';
    setupEndsAs: 'online' | 'setup_failed' | 'never';
    installer: InstallerVariant;
  };
  ssm: {
    /** From the launch to Online; undefined: the agent never shows up. */
    onlineAfterMs: number | undefined;
    connectionLostMs: number;
  };
  s3: {
    /** So many keys a page of a list has. */
    pageKeys: number;
  };
  elb: {
    initialMs: number;
  };
  credentials: {
    lifetimeMs: number;
  };
}

/** What the download of the OpsWorks installer gives. */
export type InstallerVariant =
  | 'good'
  | 'no-archive'
  | 'traversal'
  | 'symlink'
  | 'no-boot-registration'
  | 'failing'
  | 'hanging'
  | 'missing';

export type SettingsPatch = { [Area in keyof Settings]?: Partial<Settings[Area]> };

export const defaultSettings: Settings = {
  ec2: { pendingMs: 200, shuttingDownMs: 400, stoppingMs: 400, forgetMs: 3_600_000 },
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
