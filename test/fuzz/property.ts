/** One sentence that holds for whatever arrives, tried on many inputs that one seed makes. */

import fc from 'fast-check';
import { test } from 'vitest';
import type { ConfigError, Refused, Unavailable, UsageError } from '../../core/errors.ts';

/**
 * `npm test` always tries the same inputs; `npm run fuzz` gives a seed from the clock and more of
 * them.
 */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const times = Number(process.env['FUZZ_TIMES'] ?? 1);

/**
 * A loaded machine needs long for many inputs; what never ends is ended by this and told with its
 * seed.
 */
const timeoutMs = 300_000 * times;

interface Size {
  /** Inputs in `npm test`: fewer where one of them costs a connection or a file. */
  runs?: number;
}

/** Fails with the smallest input that it finds, its seed, and the command that tries it again. */
export function holds<T>(
  title: string,
  input: fc.Arbitrary<T>,
  check: (input: T) => unknown,
  { runs = 200 }: Size = {},
): void {
  test(title, { timeout: timeoutMs }, async () => {
    const property = fc.asyncProperty(input, async (value) => {
      await check(value);
    });
    const details = await fc.check(property, { seed, numRuns: runs * times });
    if (details.failed)
      throw new Error(`${await fc.asyncDefaultReportMessage(details)}\nnpm run fuzz -- --seed ${seed}`, {
        cause: details.errorInstance,
      });
  });
}

type Expected = typeof ConfigError | typeof Refused | typeof Unavailable | typeof UsageError;

/**
 * Returns the result of `work`, or undefined where it throws one of these errors. Any other error
 * is thrown on.
 */
export async function orSaysNo<T>(work: () => T | Promise<T>, ...kinds: Expected[]): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (kinds.some((Kind) => error instanceof Kind)) return undefined;
    throw error;
  }
}
