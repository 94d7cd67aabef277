/**
 * How much a configuration can be: more is somebody else's data, and must not fill the memory of a
 * node.
 */

import { Refused } from '../../../core/errors.ts';

/** People split a configuration by topic or team: some ten documents. */
export const maxDocuments = 100;

/** As much as a file of the configuration may have (config/settings.ts). */
export const maxBytes = 262_144;

/** All together: the node keeps them in one file, beside those that it refused. */
export const maxTotalBytes = 1_048_576;

export function tooMany(source: string): Refused {
  const message = `${source}: there are more than ${maxDocuments} documents; is it the right place?`;
  return new Refused(message, { code: 'TooManyDocuments' });
}

export function tooMuch(source: string): Refused {
  const message = `${source}: the documents are larger than ${maxTotalBytes} bytes together; is it the right place?`;
  return new Refused(message, { code: 'TooManyDocuments' });
}

export function tooLarge(source: string, name: string): Refused {
  return new Refused(`${source}: ${name} is larger than ${maxBytes} bytes`, { code: 'DocumentTooLarge' });
}
