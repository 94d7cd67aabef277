/**
 * Which of the findings are acted upon in this run: brake, cap, and the share that may leave at one
 * time. Pure.
 */

import { isGone, type SweepFacts } from './facts.ts';
import type { Deed, SweepFinding, FindingKind } from './findings.ts';

export interface SweepPlan {
  /** The most urgent first; without a deed where it is held back, which `why` then tells. */
  findings: SweepFinding[];
  brake?: string;
}

/**
 * As `ecsAgent.maxDisconnectedPercent` of a node: when more is ill, a zone or a network is, and new
 * nodes would be no better.
 */
const illShare = 0.3;

/** As `disk.maxLeavingPercent` of a node: of ten nodes one may leave at a time, and always one. */
const leavingShare = 0.1;

/**
 * Deeds that touch no machine: one or two calls each, so that a run ends well within a Lambda
 * function's quarter of an hour.
 */
const maxMinorDeeds = 100;

const illKinds = new Set<FindingKind>(['disconnected', 'never-joined', 'stuck-draining']);

export function planSweep(facts: SweepFacts, found: readonly SweepFinding[], maxNodes: number): SweepPlan {
  const nodes = nodesOf(facts);
  const brake = brakeOf(facts, found, nodes.size);
  const budget = openBudget(facts, nodes.size, maxNodes);
  const findings = found.toSorted(byUrgency).map((finding) => {
    if (finding.deed === undefined) return finding;
    const why = (brake !== undefined && isOfNode(finding) ? brake : undefined) ?? budget(finding, finding.deed);
    return why === undefined ? finding : held(finding, why);
  });
  return { findings, ...(brake !== undefined && { brake }) };
}

/** How many nodes may be leaving at one time. */
export function maxLeavingAtOnce(nodes: number): number {
  return Math.max(1, Math.floor(nodes * leavingShare));
}

/** All that live, by id. */
export function nodesOf(facts: SweepFacts): Set<string> {
  const ids = [...facts.members, ...facts.containerInstances].map(({ instanceId }) => instanceId);
  return new Set(ids.filter((id) => !isGone(facts, id)));
}

function brakeOf(facts: SweepFacts, found: readonly SweepFinding[], nodes: number): string | undefined {
  const ill = new Set(found.filter(({ kind }) => illKinds.has(kind)).map(({ instanceId }) => instanceId)).size;
  if (ill === 0) return undefined;
  const healthy = facts.containerInstances.filter(
    ({ instanceId, status, agentConnected }) =>
      status === 'ACTIVE' && agentConnected && facts.machines.get(instanceId)?.state === 'running',
  );
  if (healthy.length === 0) return `none of ${nodes} nodes is well: the fault is not theirs`;
  if (ill <= Math.max(1, Math.floor(nodes * illShare))) return undefined;
  return `${ill} of ${nodes} nodes look ill at once: the fault is not theirs`;
}

/**
 * What would begin, go on with or finish the end of a node; the brake holds even the notes that
 * start its clock.
 */
function isOfNode({ deed }: SweepFinding): boolean {
  return deed !== undefined && ['mark', 'tag-missing', 'drain', 'terminate'].includes(deed.kind);
}

function held(finding: SweepFinding, reason: string): SweepFinding {
  const { deed: _, ...rest } = finding;
  return { ...rest, why: `held back: ${reason}` };
}

/** Says why not, or nothing and counts. */
function openBudget(facts: SweepFacts, nodes: number, maxNodes: number) {
  const leaving = leavingNow(facts);
  const maxLeaving = maxLeavingAtOnce(nodes);
  const most = Math.min(maxNodes, maxLeaving);
  let ended = 0;
  let minorDeeds = 0;
  return ({ instanceId }: SweepFinding, deed: Deed): string | undefined => {
    if (deed.kind !== 'drain' && deed.kind !== 'terminate') {
      return ++minorDeeds > maxMinorDeeds ? `not more than ${maxMinorDeeds} in one run` : undefined;
    }
    if (ended >= most) return `not more than ${most} ${most === 1 ? 'node' : 'nodes'} in one run`;
    // One that is leaving anyway does not make it more.
    if (!leaving.has(instanceId) && leaving.size >= maxLeaving) {
      return `${leaving.size} of ${nodes} nodes are leaving already, ${maxLeaving} may at a time`;
    }
    leaving.add(instanceId);
    ended++;
    return undefined;
  };
}

function leavingNow(facts: SweepFacts): Set<string> {
  const drained = facts.containerInstances.filter(({ status }) => status === 'DRAINING' || status === 'DEREGISTERING');
  const ending = facts.members.filter(({ lifecycleState }) => lifecycleState.startsWith('Terminating'));
  return new Set([...drained, ...ending].map(({ instanceId }) => instanceId).filter((id) => !isGone(facts, id)));
}

const order: readonly FindingKind[] = [
  'disconnected',
  'never-joined',
  'stuck-draining',
  'termination-protection',
  'recovered',
  'orphaned-container-instance',
  'opsworks-record',
  'silent',
  'orphaned-name',
];

/**
 * Ended before drained, so that what was begun is finished first; then by id, so that two sweeps
 * choose the same.
 */
function byUrgency(a: SweepFinding, b: SweepFinding): number {
  const rank = ({ kind, deed }: SweepFinding) =>
    (deed?.kind === 'terminate' ? 0 : 1) * order.length + order.indexOf(kind);
  const key = ({ instanceId, subject = '' }: SweepFinding) => `${instanceId} ${subject}`;
  return rank(a) - rank(b) || (key(a) < key(b) ? -1 : 1);
}
