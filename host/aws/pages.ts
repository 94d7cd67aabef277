/** Follows lists that come in pages. */

import { Unavailable } from '../../core/errors.ts';

/**
 * The token of the next page. Throws Unavailable for a token that leads back to its own page: that
 * list never ends.
 */
export function nextPage(found: string | undefined, used: string | undefined): string | undefined {
  if (found && found === used)
    throw new Unavailable('a list of AWS goes round in a circle: its next page is the same again');
  return found;
}
