/** The resources on which the node's permissions are tested. */

import type { Session } from '../session/session.ts';

export interface Subject {
  cluster: string;
  /**
   * The services that the node calls, by the names that AWS_ENDPOINT_URL_NAME uses, and those of
   * Systems Manager's agent.
   */
  services: readonly string[];
  namespace: string;
  /** Name or ARN of the event bus. */
  bus: string | undefined;
  targetGroups: readonly string[];
  loadBalancers: readonly string[];
  opsworksRegion: string | undefined;
  /** Id or name of the stack. */
  stack: string | undefined;
  /** The task definitions of the daemon tasks. */
  definitions: readonly string[];
  /** The location from which the configuration is pulled. */
  source: string | undefined;
}

/**
 * Tests one action by a call that changes nothing, whatever the answer. The error tells the result.
 */
export type Probe = (signal: AbortSignal) => Promise<unknown>;

/** By action, as in IAM. */
export type Probes = Record<string, Probe>;

export type OpenProbes = (session: Session, subject: Subject) => Probes;

/**
 * Valid ids of resources that do not exist. AWS checks the permission first, and then finds nothing
 * to change.
 */
export const absent = {
  instance: 'i-00000000000000000',
  hook: 'ecs-node-doctor-no-such-hook',
  hex: '00000000000000000000000000000000',
  uuid: '00000000-0000-0000-0000-000000000000',
};
