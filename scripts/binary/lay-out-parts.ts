// Puts the parts and their code caches one after the other, as the executable's assets, and tells
// the loader where each lies.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export interface Layout {
  /** What the executable runs first. */
  loader: string;
  assets: { code: Buffer; caches: Buffer };
}

/** V8 copies a cache that is not aligned before it reads it. */
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
      // The loader reads Latin-1, of which V8 keeps one byte for each letter.
      if (bytes.length !== text.length) throw new Error(`${name} is not ASCII`);
      return [name, [...code.put(bytes), ...cached.put(caches.get(name) ?? Buffer.alloc(0))]];
    });
  const source = await readFile(fileURLToPath(new URL('loader.cjs', import.meta.url)), 'utf8');
  const loader = source.replace('INDEX', () => JSON.stringify(Object.fromEntries(index)));
  // An asset must not be empty.
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
