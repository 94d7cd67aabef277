/** Reads the fleet for its table, in few calls. Without CloudWatch, the table lacks the disks. */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetReads, FleetReport } from '../../core/fleet/fleet-nodes.ts';
import { surveyFleet } from '../survey.ts';
import { viewFleet, type FleetView } from './rows.ts';

export interface ViewOptions {
  cluster: string;
  /** Empty: the groups that launched the cluster's instances. */
  groups: readonly string[];
  metricsNamespace: string;
}

/** Nodes report every five minutes, and CloudWatch costs money for each metric that it returns. */
const reportsMs = 300_000;

/** Returns `read(now)`, which keeps the disks' usage from one call to the next. */
export function openView(
  fleet: FleetReads,
  options: ViewOptions,
): (now: number, signal: AbortSignal) => Promise<FleetView> {
  const { cluster, groups, metricsNamespace } = options;
  let kept: { reports: readonly FleetReport[]; until: number } | undefined;
  return async (now, signal) => {
    const survey = await surveyFleet(fleet, cluster, groups, [], signal);
    const unanswered: FleetView['unanswered'] = [];
    try {
      if (kept === undefined || now >= kept.until) {
        const ids = survey.containerInstances.map(({ instanceId }) => instanceId);
        kept = { reports: await fleet.readReports(metricsNamespace, ids, now, signal), until: now + reportsMs };
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
      unanswered.push({ what: 'disks', why: messageOf(error) });
    }
    return viewFleet(cluster, survey, kept?.reports, now, unanswered);
  };
}
