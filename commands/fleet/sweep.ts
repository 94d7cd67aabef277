/** `ecs-node sweep`: finds what does not look right in a fleet, and with --apply puts it right. */

import { isUnfinished, sweep as sweepFleet } from '../../fleet/sweep/sweep.ts';
import type { SweepOptions, SweepReport } from '../../fleet/sweep/findings.ts';
import { openFleetNodes } from '../../host/aws/fleet/open.ts';
import { openFleetSession } from '../../host/aws/session/fleet-session.ts';
import { openClock } from '../../host/clock.ts';
import { isSet, listOf, numberOf, textOf, type Run, type ParsedArgs } from '../../cli/command.ts';
import { findRegion } from './find-region.ts';
import { renderSweep } from './render-sweep.ts';

export const sweep: Run = async (context, args, signal) => {
  const region = await findRegion(context, args, signal);
  const clock = openClock();
  const session = openFleetSession(region, context.environment, context.log);
  const fleet = openFleetNodes(
    session,
    { region, opsworksRegion: textOf(args, 'opsworks-region') },
    clock,
    context.log,
  );
  try {
    const report = await sweepFleet(fleet, readOptions(args), clock, context.log, signal);
    context.print(isSet(args, 'json') ? `${JSON.stringify(report, undefined, 2)}\n` : renderSweep(report));
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
 * Bootstrap and joining give up after 25 minutes, and the storm guard holds a node back for an hour
 * at most. In two hours a node has restarted its own ECS agent, and could leave by itself.
 */
const olderThanMinutes = 120;

/** A node drains for minutes. A person who drained it to look at it has had a working day. */
const drainingOlderThanMinutes = 720;

/** An ECS agent that lost its connection tries again after at most two and a half minutes. */
const recheckSeconds = 180;

export function readOptions(args: ParsedArgs): SweepOptions {
  const cluster = textOf(args, 'cluster') ?? '';
  return {
    cluster,
    groups: listOf(args, 'group'),
    stack: textOf(args, 'opsworks-stack'),
    namePattern: textOf(args, 'name') ?? `${cluster} ECS - *`,
    metricsNamespace: textOf(args, 'metrics-namespace') ?? 'System/Linux',
    olderThanMs: (numberOf(args, 'older-than') ?? olderThanMinutes) * 60_000,
    drainingOlderThanMs: (numberOf(args, 'draining-older-than') ?? drainingOlderThanMinutes) * 60_000,
    recheckMs: (numberOf(args, 'recheck') ?? recheckSeconds) * 1000,
    maxNodes: numberOf(args, 'max') ?? 1,
    apply: isSet(args, 'apply'),
  };
}
