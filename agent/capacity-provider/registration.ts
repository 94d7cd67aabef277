/** The state of the new registration on disk: after a crash at any point, it goes on from here. */

import type { Host } from '../../core/host.ts';
import { maybe, oneOf, shaped, text, time } from '../../core/shape.ts';
import { readState } from '../../core/state/read-state.ts';
import { paths, renderState } from '../../core/state/state.ts';

/** In their order. `restoring` puts back what an earlier stage has changed. */
export const stages = ['draining', 'stopping', 'deregistering', 'forgetting', 'starting', 'restoring', 'over'] as const;

export type Stage = (typeof stages)[number];

export interface Registration {
  instanceId: string;
  cluster: string;
  /** The record outside the capacity provider. */
  arn: string;
  provider: string;
  startedAt: number;
  /** Written before the stage begins. */
  stage: Stage;
  /** How it ended, or why it is taken back. */
  detail?: string;
}

export const isRegistration = shaped<Registration>({
  instanceId: text,
  cluster: text,
  arn: text,
  provider: text,
  startedAt: time,
  stage: oneOf(stages),
  detail: maybe(text),
});

/** Throws when the file cannot be read: a node that cannot remember must not begin. */
export async function readRegistration(host: Host): Promise<Registration | undefined> {
  return readState<Registration>(host, paths.registration, isRegistration);
}

export async function writeRegistration({ machine }: Host, registration: Registration): Promise<void> {
  await machine.writeText(paths.registration, renderState(registration));
}
