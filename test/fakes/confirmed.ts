/**
 * A proof that no second source gave: for tests of what takes one. The product makes it in
 * agent/departure/confirm.ts alone.
 */

import type { Confirmed } from '../../core/confirmed.ts';

export const someConfirmed = { cause: 'disk', first: 'a test', second: 'the same test' } as unknown as Confirmed;
