/** Decides which findings this run acts on: order, brake, cap, share of leaving nodes. Pure. */

import { isDead, isPersonal, isRunning, type SweepFacts } from './facts.ts';
import type { FindingKind, SweepFinding } from './findings.ts';

/**
 * As the node's `ecsAgent.maxDisconnectedPercent`. If more nodes are ill, a zone or a network is
 * down, and new nodes would be ill as well.
 */
const illShare = 0.3;

/** As the node's `disk.maxLeavingPercent`: one of ten nodes may leave at a time, and always one. */
const leavingShare = 0.1;

/** These deeds take one or two calls. A run must end well within a Lambda function's 15 minutes. */
const maxMinorDeeds = 100;

/**
 * A group has 50 tags at most, and its owner needs some. One run terminates few nodes, so the first
 * twenty are noted and the others wait for their turn.
 */
export const maxNotesPerGroup = 20;

const illKinds = new Set<FindingKind>(['disconnected', 'never-joined', 'stuck-draining']);

/** Maximum number of nodes that may be leaving at one time. */
export function maxLeavingAtOnce(nodes: number): number {
  return Math.max(1, Math.floor(nodes * leavingShare));
}

/** The ids of all nodes that live: EC2 runs the instance, or its ECS agent is connected. */
export function nodesOf(facts: SweepFacts): Set<string> {
  const members = facts.members.filter(({ instanceId }) => isRunning(facts, instanceId));
  const records = facts.containerInstances.filter((instance) => !isDead(facts, instance));
  return new Set([...members, ...records].map(({ instanceId }) => instanceId));
}

/** Why no node may be changed, or undefined. */
export function brakeOf(facts: SweepFacts, found: readonly SweepFinding[]): string | undefined {
  const nodes = nodesOf(facts);
  const ids = found.filter(({ kind }) => illKinds.has(kind)).map(({ instanceId }) => instanceId);
  const ill = new Set(ids.filter((id) => nodes.has(id) && !isPersonal(facts, id))).size;
  if (ill === 0) return undefined;
  const healthy = facts.containerInstances.filter(
    ({ instanceId, status, agentConnected }) =>
      status === 'ACTIVE' && agentConnected && facts.machines.get(instanceId)?.state === 'running',
  );
  if (healthy.length === 0) return `none of ${nodes.size} nodes is well: the nodes are not the cause`;
  if (ill <= Math.max(1, Math.floor(nodes.size * illShare))) return undefined;
  return `${ill} of ${nodes.size} nodes look ill at once: the nodes are not the cause`;
}

/** Steps towards the end of a node. The brake also stops the notes, which start a node's clock. */
export function isBraked({ deed }: SweepFinding): boolean {
  return deed !== undefined && ['note', 'drain', 'terminate'].includes(deed.kind);
}

export interface Budget {
  /** Why the deed has to wait, or undefined: then it counts. */
  take(finding: SweepFinding): string | undefined;
  /** AWS refused the deed: the next node may have its place. */
  giveBack(finding: SweepFinding): void;
}

export function openBudget(facts: SweepFacts, maxNodes: number): Budget {
  const nodes = nodesOf(facts).size;
  const leaving = leavingNow(facts);
  const maxLeaving = maxLeavingAtOnce(nodes);
  const most = Math.min(maxNodes, maxLeaving);
  const notes = new Map<string, Set<string>>();
  for (const { group, instanceId } of [...facts.notes.values(), ...facts.strayNotes])
    notesOf(notes, group).add(instanceId);
  const added = new Set<string>();
  let ended = 0;
  let minorDeeds = 0;
  return {
    take({ deed, instanceId }) {
      if (deed?.kind === 'note') {
        const noted = notesOf(notes, deed.group);
        if (!noted.has(instanceId) && noted.size >= maxNotesPerGroup) {
          return `${maxNotesPerGroup} nodes of its group are noted already`;
        }
        noted.add(instanceId);
      }
      if (deed?.kind !== 'drain' && deed?.kind !== 'terminate') {
        return ++minorDeeds > maxMinorDeeds ? `at most ${maxMinorDeeds} in one run` : undefined;
      }
      if (ended >= most) return `at most ${most} ${most === 1 ? 'node' : 'nodes'} in one run`;
      if (!leaving.has(instanceId)) {
        if (leaving.size >= maxLeaving) {
          return `${leaving.size} of ${nodes} nodes are leaving already, ${maxLeaving} may at a time`;
        }
        leaving.add(instanceId);
        added.add(instanceId);
      }
      ended++;
      return undefined;
    },
    giveBack({ deed, instanceId }) {
      if (deed?.kind !== 'drain' && deed?.kind !== 'terminate') return;
      ended--;
      if (added.delete(instanceId)) leaving.delete(instanceId);
    },
  };
}

function notesOf(notes: Map<string, Set<string>>, group: string): Set<string> {
  const found = notes.get(group) ?? new Set<string>();
  notes.set(group, found);
  return found;
}

function leavingNow(facts: SweepFacts): Set<string> {
  const nodes = nodesOf(facts);
  const draining = facts.containerInstances.filter(({ status }) => status === 'DRAINING' || status === 'DEREGISTERING');
  const ending = facts.members.filter(({ lifecycleState }) => lifecycleState.startsWith('Terminating'));
  return new Set([...draining, ...ending].map(({ instanceId }) => instanceId).filter((id) => nodes.has(id)));
}

/** The most urgent first. */
const order: readonly FindingKind[] = [
  'disconnected',
  'never-joined',
  'stuck-draining',
  'termination-protection',
  'recovered',
  'stale-container-instance',
  'orphaned-container-instance',
  'opsworks-record',
  'not-in-opsworks',
  'stale-note',
  'silent',
  'in-another-cluster',
  'orphaned-name',
];

/**
 * Terminating comes before draining, so that a node that was begun is finished first. Then by id,
 * so that two sweeps choose the same.
 */
export function byUrgency(a: SweepFinding, b: SweepFinding): number {
  const rank = ({ kind, deed }: SweepFinding) =>
    (deed?.kind === 'terminate' ? 0 : 1) * order.length + order.indexOf(kind);
  const key = ({ instanceId, subject = '' }: SweepFinding) => `${instanceId} ${subject}`;
  return rank(a) - rank(b) || (key(a) < key(b) ? -1 : 1);
}
