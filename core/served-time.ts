/** The time by the metadata service's clock, which no setting on this machine can move. */

import type { Host } from './host.ts';
import { withTimeout } from './retry.ts';

/** The metadata service answers in milliseconds. Nothing urgent may wait for its clock. */
const timeMs = 1_000;

/** Milliseconds since 1970. Undefined when the service does not tell the time. */
export async function readServedTime(
  { metadata, clock }: Pick<Host, 'metadata' | 'clock'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    return await withTimeout(timeMs, (callSignal) => metadata.readTime(callSignal), clock, signal);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
