/**
 * A proof without a second source, for tests of functions that require one. In the product, only
 * agent/departure/confirm.ts makes it.
 */

import type { Confirmed } from '../../core/confirmed.ts';

export const someConfirmed = {
  cause: 'disk',
  first: 'a test',
  second: 'the same test',
  askedAt: 0,
} as unknown as Confirmed;
