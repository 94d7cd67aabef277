/** What the permissions of a node are tried on. */

import type { Session } from '../session/session.ts';

export interface Subject {
  cluster: string;
  /**
   * The services that the node calls, by the names that AWS_ENDPOINT_URL_NAME uses, and those of
   * Systems Manager's agent.
   */
  services: readonly string[];
  namespace: string;
  targetGroups: readonly string[];
  loadBalancers: readonly string[];
  opsworksRegion: string | undefined;
  /** Id or name of the stack. */
  stack: string | undefined;
  /** Of the daemon tasks. */
  definitions: readonly string[];
  /** Where the configuration is pulled from. */
  source: string | undefined;
}

/**
 * Tries one action in a way that changes nothing, whatever the answer. What comes back is told by
 * what it throws.
 */
export type Probe = (signal: AbortSignal) => Promise<unknown>;

/** By action, as in IAM. */
export type Probes = Record<string, Probe>;

export type OpenProbes = (session: Session, subject: Subject) => Probes;

/**
 * Ids of the right form that nothing has: AWS looks at the permission first, and then finds nothing
 * to change.
 */
export const absent = {
  instance: 'i-00000000000000000',
  hook: 'ecs-node-doctor-no-such-hook',
  hex: '00000000000000000000000000000000',
  uuid: '00000000-0000-0000-0000-000000000000',
};
