/** Which region a command about a whole fleet is asked for: said, in the environment, or that of the node it runs on. */

import { Unavailable, UsageError } from '../core/errors.ts';
import { within } from '../core/patience.ts';
import { textOf, type Caller, type Words } from './command.ts';

/** Elsewhere than on a node nobody answers, and a person waits. */
const metadataMs = 1_000;

/** Throws UsageError where nobody says. */
export async function findRegion(caller: Caller, words: Words, signal: AbortSignal): Promise<string> {
  const { environment } = caller;
  const said = textOf(words, 'region') || environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'];
  if (said) return said;
  const nowhere = new UsageError('no region: give --region REGION, or set AWS_REGION');
  if (environment['AWS_EC2_METADATA_DISABLED'] === 'true') throw nowhere;
  // Loaded here: a function has a region and no metadata service.
  const { openGround } = await import('./open-host.ts');
  const { metadata, clock } = openGround(caller);
  try {
    const { region } = await within(metadataMs, (inner) => metadata.readIdentity(inner), clock, signal);
    return region;
  } catch (error) {
    throw error instanceof Unavailable ? nowhere : error;
  }
}
