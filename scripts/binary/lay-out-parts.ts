// Concatenates the parts and their code caches into the executable's assets, and writes their
// offsets into the loader.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export interface Layout {
  /** The script that the executable runs first. */
  loader: string;
  assets: { code: Buffer; caches: Buffer };
}

/** V8 copies a cache before reading it, unless the cache is aligned. */
const alignment = 8;

export async function layOutParts(
  parts: ReadonlyMap<string, string>,
  caches: ReadonlyMap<string, Buffer>,
): Promise<Layout> {
  const code = openShelf();
  const cached = openShelf();
  const index = [...parts]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, text]) => {
      const bytes = Buffer.from(text);
      // The loader reads Latin-1, because V8 then keeps one byte per character.
      if (bytes.length !== text.length) throw new Error(`${name} is not ASCII`);
      return [name, [...code.put(bytes), ...cached.put(caches.get(name) ?? Buffer.alloc(0))]];
    });
  const source = await readFile(fileURLToPath(new URL('loader.cjs', import.meta.url)), 'utf8');
  const loader = source.replace('INDEX', () => JSON.stringify(Object.fromEntries(index)));
  // An asset must not be empty, so a few bytes follow the caches.
  return { loader, assets: { code: code.all(), caches: Buffer.concat([cached.all(), Buffer.alloc(alignment)]) } };
}

function openShelf(): { put(bytes: Buffer): [at: number, length: number]; all(): Buffer } {
  const pieces: Buffer[] = [];
  let end = 0;
  return {
    put(bytes) {
      const at = end;
      const gap = -bytes.length & (alignment - 1);
      pieces.push(bytes, Buffer.alloc(gap));
      end += bytes.length + gap;
      return [at, bytes.length];
    },
    all: () => Buffer.concat(pieces),
  };
}
