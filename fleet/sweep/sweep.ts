/** Looks at the whole fleet, decides what does not look right, and does what was decided and allowed. */

import type { FleetNodes } from '../../core/fleet-nodes.ts';
import type { Log } from '../../core/log.ts';
import type { Clock } from '../../core/patience.ts';
import type { SweepOptions, SweepReport } from './findings.ts';

/**
 * Throws Unavailable or Refused where the cluster, its groups or EC2 cannot be read: nothing is known then, and nothing done.
 * A deed that fails is told in the report.
 */
export type Sweep = (
  fleet: FleetNodes,
  options: SweepOptions,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
) => Promise<SweepReport>;
