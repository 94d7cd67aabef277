/** A watcher checks one thing and decides nothing. The loop owns time, the judge owns memory. */

import type { Host } from '../../core/host.ts';
import type { Cause, Ending } from '../../core/state/state.ts';

/** The content of a request to leave, whatever its cause. */
export interface Wish {
  reason: string;
  /**
   * Names the event without a clock reading, so that it is handled once. Absent when the node found
   * the reason by itself.
   */
  key?: string;
  /** Milliseconds since 1970; set from outside, and fixed. */
  deadline?: number;
  /**
   * The deadline by uptime, computed when the node first saw the event: the wall clock may be
   * wrong, and may jump.
   */
  deadlineUptime?: number;
  /** The ending: this node terminates itself, waits for AWS to terminate it, or remains. */
  ending: Ending;
  /** The departure is undone after this time when nothing else follows. */
  undoAfterMs?: number;
  /** The departure is undone once the event is absent for this long; absent: never. */
  revocableAfterMs?: number;
  /** The machine will come back as the same instance. */
  returns?: true;
  /**
   * Events of one kind are one departure while it runs: another key only says that the time of the
   * event was moved.
   */
  eventKind?: string;
  /**
   * The watcher can list several events at a time, and each ends by itself. When this one is
   * withdrawn, an event that it replaced counts again.
   */
  separate?: true;
  /** The uptime since which the second source is asked for it, beside another departure. */
  askedSince?: number;
  /** As in the departure's state, beside another departure. */
  spotDeniedAt?: number;
}

export interface Order extends Wish {
  cause: Cause;
}

interface Ailing {
  kind: 'ailing';
  reason: string;
  patienceMs: number;
  checks: number;
  treatments: number;
  thenLeave: boolean;
  /** Enough to continue an action, but not to begin one: between two thresholds. */
  mild?: true;
}

export type Finding = (
  | { kind: 'well' }
  /**
   * Worth a message, and the node does nothing. `key` names the event without a clock reading, so
   * that it is logged once. `needsPerson`: the node does not understand it, so a person has to act.
   */
  | { kind: 'notable'; key: string; reason: string; needsPerson?: true }
  /**
   * Trouble. It must last `patienceMs` and `checks` checks before the watcher may treat it, and
   * again before the node leaves.
   */
  | Ailing
  /** AWS or a person has decided: act now. */
  | Doomed
  /** A person withdraws everything that can be undone. `key` names the request. */
  | { kind: 'revoked'; key: string; reason: string }
) & { /** Measured values, for `ecs-node status`. */ facts?: Readonly<Record<string, unknown>> };

type KeyedWish = Wish & { key: string };

/** `others`: further events of the same watcher, which count where a person overruled the first. */
type Doomed = { kind: 'doomed'; others?: readonly KeyedWish[] } & KeyedWish;

/** A finding after which the node stays. */
type HarmlessFinding = Extract<Finding, { kind: 'well' | 'notable' }> | (Finding & Ailing & { thenLeave: false });

/** Only a watcher with the name of a cause can make the node leave. */
export type Watcher = WatcherOf<Cause, Finding> | WatcherOf<string, HarmlessFinding>;

interface WatcherOf<Name extends string, Seen extends Finding> {
  /** Also the cause of the departure that it requests. */
  name: Name;
  everyMs: number;
  /** The time limit of one check. */
  deadlineMs: number;
  /** Starts only after the node is in service (or in a warm pool). */
  afterJoin?: true;
  /** Its treatment keeps the node out of service, and `recover` brings it back. */
  drains?: true;
  /** It also acts on a node that a person holds (agent/held.ts). */
  evenIfHeld?: true;
  /** A throw means "could not tell" and never condemns the node. */
  check(host: Host, signal: AbortSignal): Promise<Seen>;
  /**
   * Tries to fix the trouble that `check` found; `attempt` counts from 1. `wait`, or a throw:
   * nothing was done, and the judge asks again after the next check.
   */
  treat?(host: Host, attempt: number, signal: AbortSignal): Promise<'done' | 'wait'>;
  /**
   * Asked before the node leaves because of this watcher. `wait`, or a throw: not now, and asked
   * again after the next check. A wish: the node leaves with this one, which another source has
   * corrected.
   */
  mayLeave?(host: Host, signal: AbortSignal, wish: Wish): Promise<'go' | 'wait' | Wish>;
  /**
   * Called when all is well again. Undoes the effects of a treatment, given by this process or an
   * earlier one. Idempotent.
   */
  recover?(host: Host, signal: AbortSignal): Promise<void>;
  /** Whether ECS has shown since that `recover` missed something: an older answer hid it. */
  hasMissed?(): boolean;
}
