/** AWS for the commands about a fleet's nodes. A client that is not used opens no connection. */

import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECSClient } from '@aws-sdk/client-ecs';
import { OpsWorksClient } from '@aws-sdk/client-opsworks';
import type { FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import type { Log } from '../../../core/log.ts';
import type { Clock } from '../../../core/retry.ts';
import type { FleetSession } from '../session/fleet-session.ts';
import { openContainerInstanceActions, openContainerInstanceReads } from './container-instances.ts';
import { openGroups } from './groups.ts';
import { openMachineActions, openMachineReads } from './machines.ts';
import { openRecords } from '../opsworks/fleet-records.ts';
import { openReports } from './reports.ts';
import { withRetry } from './paging.ts';

export interface FleetRegions {
  region: string;
  /** Region of the OpsWorks endpoint, if it is another one. */
  opsworksRegion?: string | undefined;
}

export function openFleetNodes(session: FleetSession, regions: FleetRegions, clock: Clock, log: Log): FleetNodes {
  const callAws = withRetry(session.callAws, clock, log);
  const ecs = new ECSClient(session.settings('ECS'));
  const ec2 = new EC2Client(session.settings('EC2'));
  const autoScaling = new AutoScalingClient(session.settings('AUTO_SCALING'));
  const cloudWatch = new CloudWatchClient(session.settings('CLOUDWATCH'));
  const opsWorks = new OpsWorksClient(session.settings('OPSWORKS', regions.opsworksRegion));
  return {
    ...openContainerInstanceReads(ecs, callAws),
    ...openContainerInstanceActions(ecs, callAws),
    ...openMachineReads(ec2, callAws),
    ...openMachineActions(ec2, callAws),
    ...openGroups(autoScaling, callAws),
    ...openReports(cloudWatch, callAws),
    ...openRecords(opsWorks, callAws, regions.region),
    // The SDK learns it from the `Date` of each answer.
    clockOffsetMs: () => ecs.config.systemClockOffset,
    close() {
      for (const client of [ecs, ec2, autoScaling, cloudWatch, opsWorks]) client.destroy();
    },
  };
}
