/** `ecs-node sweep`: finds what does not look right in a fleet, says what it would do, and with --apply does it. */

import { isUnfinished, sweep as sweepFleet } from '../fleet/sweep/sweep.ts';
import type { SweepOptions, SweepReport } from '../fleet/sweep/findings.ts';
import { openFleetNodes } from '../host/aws/fleet/open.ts';
import { openFleetSession } from '../host/aws/fleet-session.ts';
import { openClock } from '../host/clock.ts';
import { isSet, listOf, numberOf, textOf, type Run, type Words } from './command.ts';
import { findRegion } from './find-region.ts';
import { renderSweep } from './render-sweep.ts';

export const sweep: Run = async (caller, words, signal) => {
  const region = await findRegion(caller, words, signal);
  const clock = openClock();
  const session = openFleetSession(region, caller.environment, caller.log);
  const fleet = openFleetNodes(
    session,
    { region, opsworksRegion: textOf(words, 'opsworks-region') },
    clock,
    caller.log,
  );
  try {
    const report = await sweepFleet(fleet, readOptions(words), clock, caller.log, signal);
    caller.print(isSet(words, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderSweep(report));
    return exitCodeOf(report);
  } finally {
    fleet.close();
  }
};

/** As `ecs-node sweep --help` says. */
export function exitCodeOf(report: SweepReport): number {
  const failed = report.findings.some(({ outcome }) => outcome === 'failed');
  if (failed || report.unanswered.length > 0) return 75;
  return !report.applied && isUnfinished(report) ? 1 : 0;
}

/**
 * Two hours: bootstrap and joining give up after 25 minutes, and the storm guard holds a node back for an hour at most. An
 * agent that has been away for that long has been restarted by its node, and the node has had its own chance to leave.
 */
const olderThanMinutes = 120;

/** Twelve hours: a node drains for minutes, and somebody who has drained one to look at it has had a working day. */
const drainingOlderThanMinutes = 720;

export function readOptions(words: Words): SweepOptions {
  const cluster = textOf(words, 'cluster') ?? '';
  return {
    cluster,
    groups: listOf(words, 'group'),
    stack: textOf(words, 'opsworks-stack'),
    namePattern: textOf(words, 'name') ?? `${cluster} ECS - *`,
    metricsNamespace: textOf(words, 'metrics-namespace') ?? 'System/Linux',
    olderThanMs: (numberOf(words, 'older-than') ?? olderThanMinutes) * 60_000,
    drainingOlderThanMs: (numberOf(words, 'draining-older-than') ?? drainingOlderThanMinutes) * 60_000,
    maxNodes: numberOf(words, 'max') ?? 1,
    apply: isSet(words, 'apply'),
  };
}
