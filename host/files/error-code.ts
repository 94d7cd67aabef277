/** Node.js's code of an error of the operating system. */

/** `ECONNREFUSED`, `ENOENT` …, also through one `cause`. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? undefined : codeOf(error.cause);
}
