/** A watcher asks one question and decides nothing; the loop owns time, the judge owns memory. */

import type { Host } from '../../core/host.ts';
import type { Cause, Ending } from '../../core/state/state.ts';

/** What a departure is asked for, whatever the cause. */
export interface Wish {
  reason: string;
  /**
   * Names the event without a clock: it is handled once. Absent where the node found it out by
   * itself.
   */
  key?: string;
  /** Milliseconds since 1970, set by somebody else and immovable. */
  deadline?: number;
  /**
   * The same by uptime, from when the node first saw it: the wall clock may be wrong, and may jump.
   */
  deadlineUptime?: number;
  /** How it ends: we terminate, somebody else does, or nobody does. */
  ending: Ending;
  /** Undone by itself after so long when nothing else follows. */
  undoAfterMs?: number;
  /** Undone once the event has been gone for so long; absent: never. */
  revocableAfterMs?: number;
  /** The machine will come back as the same instance. */
  returns?: true;
}

export interface Order extends Wish {
  cause: Cause;
}

export type Finding = (
  | /** All is well, as far as this question goes. */ { kind: 'well' }
  /**
   * Worth telling people, nothing to do. `key` names the event without a clock, so that it is told
   * once.
   */
  | { kind: 'notable'; key: string; reason: string }
  /**
   * Not well: must last `patienceMs` and as many checks before the watcher may treat it, and again
   * before the node leaves.
   */
  | {
      kind: 'ailing';
      reason: string;
      patienceMs: number;
      checks: number;
      treatments: number;
      thenLeave: boolean;
      /** Enough to go on with what was begun, not enough to begin: between two thresholds. */
      mild?: true;
    }
  /** Somebody else has decided: act now. */
  | ({ kind: 'doomed'; key: string } & Wish)
  /** A person takes everything back that can be taken back. */
  | { kind: 'revoked'; reason: string }
) & { /** Measured values for `ecs-node status`. */ facts?: Readonly<Record<string, unknown>> };

export interface Watcher {
  /** Also the cause that a departure is given. */
  name: Cause | 'termination-protection';
  everyMs: number;
  /** One check may take this long. */
  deadlineMs: number;
  /** Makes no sense before the node is in service (or in a warm pool). */
  afterJoin?: true;
  /** Its treatment keeps the node out of service, and `recover` brings it back. */
  drains?: true;
  /** A throw means "could not tell" and never condemns the node. */
  check(host: Host, signal: AbortSignal): Promise<Finding>;
  /**
   * Tries to mend what `check` found; `attempt` counts from 1. `wait`, or a throw: nothing was
   * done, it is asked again after the next check.
   */
  treat?(host: Host, attempt: number, signal: AbortSignal): Promise<'done' | 'wait'>;
  /**
   * Asked before the node leaves for what this watcher found. `wait`, or a throw: not now; asked
   * again after the next check.
   */
  mayLeave?(host: Host, signal: AbortSignal, wish: Wish): Promise<'go' | 'wait'>;
  /**
   * All is well again: undoes what a treatment did to the node, in this process or an earlier one.
   * Idempotent.
   */
  recover?(host: Host, signal: AbortSignal): Promise<void>;
}
