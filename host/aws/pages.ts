/**
 * Follows lists that come in pages, and splits long questions. An empty page with a token is not
 * the end of its list.
 */

import { Unavailable } from '../../core/errors.ts';

export interface Page<T> {
  items: readonly T[];
  /** The token of the next page. The last page has none. */
  next: string | undefined;
}

type ReadPage<T> = (token: string | undefined) => Promise<Page<T>>;

/** A thousand nodes are ten pages. The limit ends a list whose tokens never end. */
const maxPages = 500;

/**
 * The pages of a list, each read when it is needed: a caller that has found its item asks for no
 * further page. Throws Unavailable for a list that does not end.
 */
export async function* pagesOf<T>(read: ReadPage<T>): AsyncGenerator<readonly T[], void, undefined> {
  let token: string | undefined;
  for (let count = 0; count < maxPages; count++) {
    const { items, next } = await read(token);
    yield items;
    if (!next) return;
    if (next === token) throw new Unavailable('a list of AWS goes round in a circle: its next page is the same again');
    token = next;
  }
  throw new Unavailable(`more than ${maxPages} pages: the list does not end`);
}

/** Every page of a list, in order. */
export async function everyPage<T>(read: ReadPage<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const items of pagesOf(read)) for (const item of items) all.push(item);
  return all;
}

/** The first item that `isWanted` accepts. Undefined once the whole list lacks it. */
export async function findOnPages<T>(read: ReadPage<T>, isWanted: (item: T) => boolean): Promise<T | undefined> {
  for await (const items of pagesOf(read)) {
    const found = items.find(isWanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Parts of at most `size` items. */
export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}
