/** What a sweep can find, what it may do about it, and what it reports. */

import type { Mark } from '../../core/fleet-nodes.ts';

export type FindingKind =
  | 'orphaned-container-instance'
  | 'disconnected'
  | 'stuck-draining'
  | 'never-joined'
  | 'recovered'
  | 'termination-protection'
  | 'silent'
  | 'opsworks-record'
  | 'orphaned-name';

/** One act on one thing. */
export type Deed =
  | { kind: 'mark'; arn: string; mark: Mark }
  | { kind: 'unmark'; arn: string; marks: Mark[] }
  | { kind: 'activate'; arn: string }
  | { kind: 'drain'; arn: string }
  | { kind: 'terminate' }
  | { kind: 'deregister-container-instance'; arn: string }
  | { kind: 'tag-missing' }
  | { kind: 'untag-missing'; value: string }
  | { kind: 'clear-protection' }
  | { kind: 'deregister-record'; recordId: string }
  | { kind: 'remove-name'; value: string };

/** Something that does not look right, and what should become of it. */
export interface SweepFinding {
  kind: FindingKind;
  instanceId: string;
  /** What it is about where that is not the instance: a container instance, a record, a Name. */
  subject?: string;
  /** Milliseconds since 1970; absent where nobody knows. */
  since?: number;
  evidence: string;
  /** Absent: it is told and no more. */
  deed?: Deed;
  /** Why that, or why nothing. */
  why: string;
}

export type SweepOutcome =
  /** There is nothing to do about it, or not yet. */
  | 'nothing'
  /** With `apply` it would have been done. */
  | 'would'
  | 'done'
  /** It was no longer so when it was looked at again. */
  | 'changed'
  | 'failed';

export interface Swept extends SweepFinding {
  outcome: SweepOutcome;
  error?: string;
}

export interface SweepOptions {
  cluster: string;
  /** Auto Scaling groups; empty: those that launched the cluster's instances. */
  groups: readonly string[];
  /** OpsWorks stack, by id or name. */
  stack?: string | undefined;
  /** The form of the nodes' Name tags; `*` stands for anything. */
  namePattern: string;
  metricsNamespace: string;
  /** What is not older may be on its way. */
  olderThanMs: number;
  /** How long a node may be DRAINING. */
  drainingOlderThanMs: number;
  /** At most so many nodes are drained or terminated in one run. */
  maxNodes: number;
  /** Otherwise nothing is changed, whatever is found. */
  apply: boolean;
}

export interface SweepReport {
  at: number;
  cluster: string;
  groups: string[];
  applied: boolean;
  /** How many nodes were looked at. */
  nodes: number;
  findings: Swept[];
  /** Why nothing was done to any node, where much of the fleet looked ill at once. */
  brake?: string;
  /** What could not be looked at, and why: nothing was concluded from it. */
  unanswered: { what: string; why: string }[];
}
