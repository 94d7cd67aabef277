/**
 * The arguments of the child process that calls AWS for the agent (commands/node/cloud.ts). This
 * file does not load the child's code.
 */

import type { Identity } from '../../core/identity.ts';
import type { CommandContext } from '../../cli/command.ts';

/** The child receives the identity, so that it reaches AWS even when the metadata service fails. */
export function cloudArguments(
  { self, logFlags }: Pick<CommandContext, 'self' | 'logFlags'>,
  identity: Identity,
  opsworksRegion: string | undefined,
): string[] {
  const region = opsworksRegion === undefined ? [] : [`--opsworks-region=${opsworksRegion}`];
  return [...self.args, 'cloud', ...region, ...logFlags, JSON.stringify(identity)];
}
