/**
 * Looks at the whole fleet, decides what does not look right, and does what was decided and
 * allowed.
 */

import { messageOf } from '../../core/errors.ts';
import type { FleetNodes } from '../../core/fleet-nodes.ts';
import type { Log } from '../../core/log.ts';
import type { Clock } from '../../core/retry.ts';
import { carryOut } from './deeds.ts';
import type { SweepFacts } from './facts.ts';
import { findContainerInstances } from './find-container-instances.ts';
import { findNames, findRecords } from './find-leftovers.ts';
import { findNeverJoined, findProtected, findSilent } from './find-members.ts';
import type { Deed, SweepFinding, SweepOptions, SweepReport, Swept } from './findings.ts';
import { gatherFacts } from './gather.ts';
import { nodesOf, planSweep } from './plan.ts';

/**
 * Throws Unavailable or Refused where the cluster, its groups or EC2 cannot be read: nothing is
 * known then, and nothing done. What else cannot be read, and a deed that fails, is told in the
 * report.
 */
export async function sweep(
  fleet: FleetNodes,
  options: SweepOptions,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<SweepReport> {
  const { facts, groups, unanswered } = await gatherFacts(fleet, options, clock.now(), signal);
  if (groups.length === 0) log.info('no Auto Scaling group', { cluster: options.cluster });
  const { findings, brake } = planSweep(facts, findAll(facts, options), options.maxNodes);
  const swept: Swept[] = [];
  for (const finding of findings) {
    swept.push(
      await handleFinding({ fleet, cluster: options.cluster, clock, log, apply: options.apply }, finding, signal),
    );
  }
  return {
    at: facts.now,
    cluster: options.cluster,
    groups,
    applied: options.apply,
    nodes: nodesOf(facts).size,
    findings: swept,
    ...(brake !== undefined && { brake }),
    unanswered,
  };
}

export function findAll(
  facts: SweepFacts,
  options: Pick<SweepOptions, 'olderThanMs' | 'drainingOlderThanMs'>,
): SweepFinding[] {
  return [
    ...findContainerInstances(facts, options),
    ...findNeverJoined(facts, options),
    ...findProtected(facts),
    ...findSilent(facts, options),
    ...findRecords(facts, options),
    ...findNames(facts),
  ];
}

interface SweepContext {
  fleet: FleetNodes;
  cluster: string;
  clock: Clock;
  log: Log;
  apply: boolean;
}

async function handleFinding(context: SweepContext, finding: SweepFinding, signal: AbortSignal): Promise<Swept> {
  const { deed } = finding;
  if (deed === undefined) return { ...finding, outcome: 'nothing' };
  if (!context.apply) return { ...finding, outcome: 'would' };
  return carryOutDeed(context, finding, deed, signal);
}

/** A deed that fails is no reason to leave the others undone: each stands for itself. */
async function carryOutDeed(
  context: SweepContext,
  finding: SweepFinding,
  deed: Deed,
  signal: AbortSignal,
): Promise<Swept> {
  const { log } = context;
  const { kind, instanceId, subject } = finding;
  const fields = { kind, instanceId, subject, deed: deed.kind };
  try {
    const done = await carryOut(context, finding, deed, signal);
    log.info(done ? 'swept' : 'not swept: it has changed', fields);
    return { ...finding, outcome: done ? 'done' : 'changed' };
  } catch (error) {
    signal.throwIfAborted();
    log.warn('not swept', { ...fields, error: messageOf(error) });
    return { ...finding, outcome: 'failed', error: messageOf(error) };
  }
}

/** True where something that was found is still to be done, or could not be looked at. */
export function isUnfinished({ findings, unanswered }: Pick<SweepReport, 'findings' | 'unanswered'>): boolean {
  return unanswered.length > 0 || findings.some(({ outcome }) => outcome !== 'done');
}
