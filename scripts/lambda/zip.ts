// The Lambda functions as one small zip, with the same bytes for the same code wherever and
// whenever it is made.
import { readFile } from 'node:fs/promises';
import type { Metafile } from 'esbuild';
import { zipSync, type ZipOptions } from 'fflate';
import { bundle } from '../binary/bundle.ts';
import { constants } from '../binary/ensure-binary.ts';
import { renderOneFile } from '../binary/one-file.ts';
import { noticeFile } from '../licences.ts';

/** In the zip; a function's handler is `lambda.serviceSize` or `lambda.sweep`. */
export const LAMBDA_FILE = 'lambda.js';

export interface LambdaZip {
  zip: Uint8Array;
  bundleBytes: number;
  metafile: Metafile;
}

/** Without a package.json Node takes the file for CommonJS, which is what the bundle is. */
export async function makeLambdaZip(entry = 'lambda.ts'): Promise<LambdaZip> {
  const { parts, metafile } = await bundle(entry, await constants());
  const code = renderOneFile(parts);
  const licences = { LICENSE: await readFile('LICENSE'), [noticeFile]: await readFile(noticeFile) };
  const files = { [LAMBDA_FILE]: Buffer.from(code), ...licences };
  return { zip: pack(files), bundleBytes: Buffer.byteLength(code), metafile };
}

/**
 * Times in a zip are local ones without a zone: noon of the first day that there is reads the same
 * everywhere.
 */
const firstNoon = (): Date => new Date(1980, 0, 1, 12);

export function pack(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const options: ZipOptions = { mtime: firstNoon(), level: 9, os: 3, attrs: 0o644 << 16 };
  const entries = Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return zipSync(Object.fromEntries(entries.map(([name, bytes]) => [name, [bytes, options]])));
}
