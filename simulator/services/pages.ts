/** Splits a list into pages, with tokens between them. */

/** The token holds the next offset. It is encoded so that no client computes with it. */
export function takePage<T>(
  all: readonly T[],
  size: number,
  token: string | undefined,
  refuse: () => Error,
): { page: T[]; next: string | undefined } {
  const start = token === undefined ? 0 : unpack(token);
  if (start === undefined) throw refuse();
  const end = start + size;
  return { page: all.slice(start, end), next: end < all.length ? pack(end) : undefined };
}

const pack = (offset: number) => Buffer.from(`page:${offset}`).toString('base64url');

function unpack(token: string): number | undefined {
  const found = /^page:(\d+)$/.exec(Buffer.from(token, 'base64url').toString());
  return found ? Number(found[1]) : undefined;
}
