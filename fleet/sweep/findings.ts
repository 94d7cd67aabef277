/** The findings of a sweep, its deeds, and its report. */

import type { NoteKind } from '../../core/fleet/fleet-nodes.ts';

export type FindingKind =
  | 'orphaned-container-instance'
  | 'stale-container-instance'
  | 'disconnected'
  | 'stuck-draining'
  | 'never-joined'
  | 'in-another-cluster'
  | 'recovered'
  | 'stale-note'
  | 'termination-protection'
  | 'silent'
  | 'opsworks-record'
  | 'not-in-opsworks'
  | 'orphaned-name';

/** One action on one thing. */
export type Deed =
  | { kind: 'note'; group: string; note: NoteKind }
  | { kind: 'forget'; group: string }
  | { kind: 'remove-old-notes'; arn: string; names: readonly string[] }
  | { kind: 'remove-old-tag'; value: string }
  | { kind: 'activate'; arn: string; group: string }
  | { kind: 'drain'; arn: string; group: string }
  | { kind: 'terminate' }
  | { kind: 'deregister-container-instance'; arn: string }
  | { kind: 'deregister-stale'; arn: string }
  /** `isLeaving`: only because its group terminates the instance. */
  | { kind: 'clear-protection'; isLeaving: boolean }
  | { kind: 'deregister-record'; recordId: string }
  | { kind: 'remove-name'; value: string };

/** Something that does not look right, and what to do about it. */
export interface SweepFinding {
  kind: FindingKind;
  instanceId: string;
  /** Its subject, if not the instance: a container instance, a record, a Name. */
  subject?: string;
  /** Milliseconds since 1970. Absent if not known. */
  since?: number;
  evidence: string;
  /** Absent: the sweep only reports it. */
  deed?: Deed;
  /** The reason for the deed, or for doing nothing. */
  why: string;
}

export type SweepOutcome =
  /** Nothing to do, or not yet. */
  | 'nothing'
  /** With `apply` the sweep does it. */
  | 'would'
  | 'done'
  /** Right before the deed it was no longer so. */
  | 'changed'
  | 'failed';

export interface Swept extends SweepFinding {
  outcome: SweepOutcome;
  error?: string;
}

export interface SweepOptions {
  cluster: string;
  /** Auto Scaling groups. Empty: those that launched the cluster's instances. */
  groups: readonly string[];
  /** OpsWorks stack, by id or name. */
  stack?: string | undefined;
  /** Pattern of the nodes' Name tags. `*` stands for any text. */
  namePattern: string;
  metricsNamespace: string;
  /** Whatever is younger may still be in progress. */
  olderThanMs: number;
  /** Maximum time that a node may be DRAINING. */
  drainingOlderThanMs: number;
  /**
   * Time that a run looks at a node again and again before it drains or terminates it. 0: it does
   * not.
   */
  recheckMs: number;
  /** Maximum number of nodes that one run drains or terminates. */
  maxNodes: number;
  /** Without it, the sweep changes nothing. */
  apply: boolean;
}

export interface SweepReport {
  at: number;
  cluster: string;
  groups: string[];
  applied: boolean;
  /** Number of living nodes. */
  nodes: number;
  /** Number of external instances (`mi-…`), which a sweep does not look at. */
  external: number;
  findings: Swept[];
  /** Why the sweep changed no node: much of the fleet looks ill at once. */
  brake?: string;
  /** Facts that could not be read, and why. Nothing follows from them. */
  unanswered: { what: string; why: string }[];
}
