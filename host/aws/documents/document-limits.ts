/**
 * Limits the size of a pulled configuration. Larger data is not a configuration, and must not fill
 * the memory of a node.
 */

import { Refused } from '../../../core/errors.ts';

/** People split a configuration by topic or team, into some ten documents. */
export const maxDocuments = 100;

/** The same limit as for a file of the configuration (config/settings.ts). */
export const maxBytes = 262_144;

/** For all documents together. The node keeps them in one file, together with refused ones. */
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
