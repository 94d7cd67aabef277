/**
 * How the agent starts the child that speaks to AWS for it (commands/node/cloud.ts), without
 * loading what that child loads.
 */

import type { Identity } from '../../core/identity.ts';
import type { CommandContext } from '../../cli/command.ts';

/** The identity comes along, so that a metadata service in trouble does not silence AWS, too. */
export function cloudArguments(
  { self, logFlags }: Pick<CommandContext, 'self' | 'logFlags'>,
  identity: Identity,
  opsworksRegion: string | undefined,
): string[] {
  const region = opsworksRegion === undefined ? [] : [`--opsworks-region=${opsworksRegion}`];
  return [...self.args, 'cloud', ...region, ...logFlags, JSON.stringify(identity)];
}
