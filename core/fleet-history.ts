/** The events of a cluster's nodes, as their log keeps them. */

export interface LoggedEvent {
  /** EventBridge's detail-type. */
  type: string;
  /** Milliseconds since 1970: when it happened. */
  at: number;
  detail: Readonly<Record<string, unknown>>;
}

export interface HistoryQuestion {
  logGroup: string;
  cluster: string;
  /** Absent: all nodes. */
  instanceId?: string;
  /** Milliseconds since 1970. */
  since: number;
}

export interface FleetHistory {
  /** Each event once, oldest first. Throws Refused where there is no such log group. */
  readEvents(question: HistoryQuestion, signal: AbortSignal): Promise<LoggedEvent[]>;
  close(): void;
}
