/** The region of a command about a fleet: the flag, the environment, or the node it runs on. */

import { Unavailable, UsageError } from '../../core/errors.ts';
import { withTimeout } from '../../core/retry.ts';
import { textOf, type CommandContext, type ParsedArgs } from '../../cli/command.ts';

/** Outside of EC2 nothing answers, and a person waits. */
const metadataMs = 1_000;

/** Throws UsageError if there is no region. */
export async function findRegion(context: CommandContext, args: ParsedArgs, signal: AbortSignal): Promise<string> {
  const { environment } = context;
  const said = textOf(args, 'region') || environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'];
  if (said) return said;
  const nowhere = new UsageError('no region: give --region REGION, or set AWS_REGION');
  if (environment['AWS_EC2_METADATA_DISABLED'] === 'true') throw nowhere;
  // Loaded here: a Lambda function has a region and no metadata service.
  const { openLocalHost: openGround } = await import('../node/open-host.ts');
  const { metadata, clock } = openGround(context);
  try {
    const { region } = await withTimeout(metadataMs, (callSignal) => metadata.readIdentity(callSignal), clock, signal);
    return region;
  } catch (error) {
    throw error instanceof Unavailable ? nowhere : error;
  }
}
