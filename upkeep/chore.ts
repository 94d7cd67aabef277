/**
 * A chore keeps one thing up to date for the life of the node. It compares, then writes, so a
 * repetition changes nothing.
 */

import type { Host } from '../core/host.ts';

export interface Chore {
  name: 'container-environment' | 'refresh' | 'daemon-tasks' | 'ports';
  everyMs: number;
  /** The time limit of one round. */
  deadlineMs: number;
  /** The chore starts only after the node is in service. */
  afterJoin?: true;
  /**
   * A thrown error leaves the result of this round unknown. The earlier result stays, and the next
   * round tries again.
   */
  run(host: Host, signal: AbortSignal): Promise<'changed' | 'unchanged'>;
}
