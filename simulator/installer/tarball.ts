/** Builds archives in memory, with as much of tar as the installer and its faulty variants need. */

import { gzipSync } from 'node:zlib';

export interface Entry {
  name: string;
  content?: string;
  mode?: number;
  /** Makes the entry a symbolic link to this path. */
  linkTo?: string;
}

const block = 512;

export function renderTarball(entries: readonly Entry[]): Buffer {
  return gzipSync(Buffer.concat([...entries.flatMap(renderEntry), Buffer.alloc(2 * block)]));
}

/** Renders entries without an end: gzip reads one member after the other, so more may follow. */
export function renderBeginning(entries: readonly Entry[]): Buffer {
  return gzipSync(Buffer.concat(entries.flatMap(renderEntry)));
}

function renderEntry({ name, content = '', mode = 0o644, linkTo }: Entry): Buffer[] {
  const data = Buffer.from(content);
  const header = Buffer.alloc(block);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0') + '\0';
  header.write(name, 0, 100);
  header.write(octal(mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(linkTo === undefined ? data.length : 0, 12), 124);
  header.write(octal(0, 12), 136);
  header.write('        ', 148);
  header.write(linkTo !== undefined ? '2' : name.endsWith('/') ? '5' : '0', 156);
  header.write(linkTo ?? '', 157, 100);
  header.write('ustar\u000000', 257);
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    ) + ' ',
    148,
  );
  if (linkTo !== undefined || data.length === 0) return [header];
  return [header, data, Buffer.alloc((block - (data.length % block)) % block)];
}
