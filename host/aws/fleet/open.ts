/** AWS for whoever looks after a fleet's nodes; a client that is never used connects nowhere. */

import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECSClient } from '@aws-sdk/client-ecs';
import { OpsWorksClient } from '@aws-sdk/client-opsworks';
import type { FleetNodes } from '../../../core/fleet-nodes.ts';
import type { Log } from '../../../core/log.ts';
import type { Clock } from '../../../core/patience.ts';
import type { FleetSession } from '../fleet-session.ts';
import { openContainerInstanceDeeds, openContainerInstanceReads } from './container-instances.ts';
import { openGroups } from './groups.ts';
import { openMachineDeeds, openMachineReads } from './machines.ts';
import { openRecords } from './records.ts';
import { openReports } from './reports.ts';
import { patiently } from './room.ts';

export interface FleetPlace {
  region: string;
  /** Of the OpsWorks endpoint, where it is another one. */
  opsworksRegion?: string | undefined;
}

export function openFleetNodes(session: FleetSession, place: FleetPlace, clock: Clock, log: Log): FleetNodes {
  const ask = patiently(session.ask, clock, log);
  const ecs = new ECSClient(session.settings('ECS'));
  const ec2 = new EC2Client(session.settings('EC2'));
  const autoScaling = new AutoScalingClient(session.settings('AUTO_SCALING'));
  const cloudWatch = new CloudWatchClient(session.settings('CLOUDWATCH'));
  const opsWorks = new OpsWorksClient(session.settings('OPSWORKS', place.opsworksRegion));
  return {
    ...openContainerInstanceReads(ecs, ask),
    ...openContainerInstanceDeeds(ecs, ask),
    ...openMachineReads(ec2, ask),
    ...openMachineDeeds(ec2, ask),
    ...openGroups(autoScaling, ask),
    ...openReports(cloudWatch, ask),
    ...openRecords(opsWorks, ask, place.region),
    close() {
      for (const client of [ecs, ec2, autoScaling, cloudWatch, opsWorks]) client.destroy();
    },
  };
}
