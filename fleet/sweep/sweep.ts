/** Reads the whole fleet, decides what does not look right, and does what is allowed. */

import { Refused, messageOf } from '../../core/errors.ts';
import type { FleetNodes } from '../../core/fleet/fleet-nodes.ts';
import type { Log } from '../../core/log.ts';
import type { Clock } from '../../core/retry.ts';
import { carryOut } from './deeds.ts';
import type { SweepFacts } from './facts.ts';
import { findContainerInstances } from './find-container-instances.ts';
import { findNames, findOldNotes, findRecords, findStaleNotes, findUnregistered } from './find-leftovers.ts';
import { findNeverJoined, findProtected, findSilent } from './find-members.ts';
import type { Deed, SweepFinding, SweepOptions, SweepReport, Swept } from './findings.ts';
import { gatherFacts, type Gathered } from './gather.ts';
import { endsNode, mustLast, watchLasting } from './lasting.ts';
import { readOtherClusters } from './other-clusters.ts';
import { brakeOf, byUrgency, isBraked, nodesOf, openBudget, type Budget } from './plan.ts';

/**
 * Throws Unavailable or Refused if the cluster, its groups or EC2 cannot be read. Then nothing is
 * done. The report names everything else that could not be read, and every deed that failed.
 */
export async function sweep(
  fleet: FleetNodes,
  options: SweepOptions,
  ownClock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<SweepReport> {
  const { cluster, apply } = options;
  // Notes last from one machine's run to another's, and a wrong clock would make a node look old.
  const clock: Clock = { ...ownClock, now: () => ownClock.now() + fleet.clockOffsetMs() };
  const { facts, groups, external, unanswered, found } = await findLasting(fleet, options, clock, signal);
  if (groups.length === 0) log.info('no Auto Scaling group', { cluster });
  const brake = brakeOf(facts, found);
  const budget = openBudget(facts, options.maxNodes);
  const context: SweepContext = { fleet, cluster, namePattern: facts.namePattern, clock, log, apply, budget, brake };
  const findings: Swept[] = [];
  for (const finding of found.toSorted(byUrgency)) findings.push(await handleFinding(context, finding, signal));
  if (apply && brake === undefined) await renewNotes(context, facts, findings, signal);
  return {
    at: facts.now,
    cluster,
    groups,
    applied: apply,
    nodes: nodesOf(facts).size,
    external,
    findings,
    ...(brake !== undefined && { brake }),
    unanswered,
  };
}

type Found = Gathered & { found: SweepFinding[] };

/**
 * Where a node would be drained, terminated or deregistered, this looks for some minutes, and then
 * reads the fleet again: meanwhile, other nodes may have begun to leave.
 */
async function findLasting(
  fleet: FleetNodes,
  options: SweepOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Found> {
  const first = await findNow(fleet, options, clock, signal);
  const { apply, maxNodes, recheckMs } = options;
  const mayEnd = maxNodes > 0 && brakeOf(first.facts, first.found) === undefined;
  const isToLast = first.found.some((finding) => mustLast(finding) && (mayEnd || !endsNode(finding)));
  if (!apply || recheckMs === 0 || !isToLast) return first;
  const lasting = await watchLasting({ fleet, clock }, options, first.found, signal);
  const second = await findNow(fleet, options, clock, signal);
  return {
    ...second,
    found: lasting.keep(second.found),
    unanswered: [...second.unanswered, ...lasting.unanswered],
  };
}

async function findNow(fleet: FleetNodes, options: SweepOptions, clock: Clock, signal: AbortSignal): Promise<Found> {
  const gathered = await gatherFacts(fleet, options, clock, signal);
  const { facts } = gathered;
  const { found, unanswered } = await readOtherClusters(fleet, facts, findAll(facts, options), signal);
  return { ...gathered, found, unanswered: [...gathered.unanswered, ...unanswered] };
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
    ...findUnregistered(facts, options),
    ...findNames(facts),
    ...findStaleNotes(facts),
    ...findOldNotes(facts),
  ];
}

/**
 * Writes into the notes of nodes that stay DRAINING that this run saw them so. A note that is not
 * renewed counts as none after a while, so a failure costs time and nothing else.
 */
async function renewNotes(
  { fleet, log }: SweepContext,
  { notes, now }: SweepFacts,
  findings: readonly Swept[],
  signal: AbortSignal,
): Promise<void> {
  const isForgotten = (id: string) =>
    findings.some(({ instanceId, deed }) => instanceId === id && deed?.kind === 'forget');
  for (const { kind, instanceId, since, outcome } of findings) {
    const note = notes.get(instanceId);
    if (kind !== 'stuck-draining' || since === undefined || outcome === 'done') continue;
    if (note === undefined || isForgotten(instanceId)) continue;
    try {
      await fleet.writeNote({ ...note, seen: now }, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn('note not renewed', { instanceId, error: messageOf(error) });
    }
  }
}

interface SweepContext {
  fleet: FleetNodes;
  cluster: string;
  namePattern: string;
  clock: Clock;
  log: Log;
  apply: boolean;
  budget: Budget;
  brake: string | undefined;
}

async function handleFinding(context: SweepContext, finding: SweepFinding, signal: AbortSignal): Promise<Swept> {
  const { deed, ...told } = finding;
  const { brake, budget, apply } = context;
  if (deed === undefined) return { ...told, outcome: 'nothing' };
  const held = (isBraked(finding) ? brake : undefined) ?? budget.take(finding);
  if (held !== undefined) return { ...told, why: `held back: ${held}`, outcome: 'nothing' };
  if (!apply) return { ...finding, outcome: 'would' };
  return carryOutDeed(context, finding, deed, signal);
}

/** A deed that fails does not keep the sweep from the others. */
async function carryOutDeed(
  context: SweepContext,
  finding: SweepFinding,
  deed: Deed,
  signal: AbortSignal,
): Promise<Swept> {
  const { log, budget } = context;
  const { kind, instanceId, subject } = finding;
  const fields = { kind, instanceId, subject, deed: deed.kind };
  try {
    const done = await carryOut(context, finding, deed, signal);
    log.info(done ? 'swept' : 'not swept: it has changed', fields);
    return { ...finding, outcome: done ? 'done' : 'changed' };
  } catch (error) {
    signal.throwIfAborted();
    // AWS refused, so nothing happened. A node that is refused in each run must not hold up the
    // others.
    if (error instanceof Refused) budget.giveBack(finding);
    log.warn('not swept', { ...fields, error: messageOf(error) });
    return { ...finding, outcome: 'failed', error: messageOf(error) };
  }
}

/** Something is still to do, or could not be read. */
export function isUnfinished({ findings, unanswered }: Pick<SweepReport, 'findings' | 'unanswered'>): boolean {
  return unanswered.length > 0 || findings.some(({ outcome }) => outcome !== 'done');
}
