/**
 * A chore keeps one thing up to date as long as the node lives: compares, then writes; doing it
 * twice changes nothing.
 */

import type { Host } from '../core/host.ts';

export interface Chore {
  name: 'container-environment' | 'refresh' | 'daemon-tasks' | 'ports';
  everyMs: number;
  /** One round may take this long. */
  deadlineMs: number;
  /** Makes no sense before the node is in service. */
  afterJoin?: true;
  /**
   * A throw means that nothing is known about this round: what was good stays, and it is tried
   * again.
   */
  run(host: Host, signal: AbortSignal): Promise<'changed' | 'unchanged'>;
}
