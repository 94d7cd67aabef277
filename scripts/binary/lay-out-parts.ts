// Concatenates the parts into the executable's asset, and writes their offsets into the loader.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export interface Layout {
  /** The script that the executable runs first. */
  loader: string;
  code: Buffer;
}

export async function layOutParts(parts: ReadonlyMap<string, string>): Promise<Layout> {
  const pieces: Buffer[] = [];
  let end = 0;
  const index = [...parts]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, text]) => {
      const bytes = Buffer.from(text);
      // The loader reads Latin-1, because V8 then keeps one byte per character.
      if (bytes.length !== text.length) throw new Error(`${name} is not ASCII`);
      pieces.push(bytes);
      end += bytes.length;
      return [name, [end - bytes.length, bytes.length]];
    });
  const source = await readFile(fileURLToPath(new URL('loader.cjs', import.meta.url)), 'utf8');
  const loader = source.replace('INDEX', () => JSON.stringify(Object.fromEntries(index)));
  return { loader, code: Buffer.concat(pieces) };
}
