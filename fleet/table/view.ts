/**
 * Reads the fleet for its table, in as few calls as it takes: what CloudWatch knows is worth
 * having, but no more.
 */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetReads, FleetReport } from '../../core/fleet-nodes.ts';
import { surveyFleet } from '../survey.ts';
import { viewFleet, type FleetView } from './rows.ts';

export interface ViewOptions {
  cluster: string;
  /** Empty: the groups that launched the cluster's instances. */
  groups: readonly string[];
  metricsNamespace: string;
}

/**
 * Nodes report every five minutes, and each reading of a metric is paid for: asking more often
 * shows nothing new.
 */
const reportsMs = 300_000;

/** Answers `read(now)` again and again; what changes slowly is kept in between. */
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
