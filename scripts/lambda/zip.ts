// Packs the Lambda functions into one small zip; the same code gives the same bytes at any place
// and time.
import { readFile } from 'node:fs/promises';
import type { Metafile } from 'esbuild';
import { zipSync, type ZipOptions } from 'fflate';
import { bundle } from '../binary/bundle.ts';
import { constants } from '../binary/ensure-binary.ts';
import { renderOneFile } from '../binary/one-file.ts';
import { noticeFile } from '../licences.ts';

/** The file's name in the zip; a function's handler is `lambda.serviceSize` or `lambda.sweep`. */
export const LAMBDA_FILE = 'lambda.js';

export interface LambdaZip {
  zip: Uint8Array;
  bundleBytes: number;
  metafile: Metafile;
}

/** Without a package.json, Node reads the file as CommonJS, which is the format of the bundle. */
export async function makeLambdaZip(entry = 'lambda.ts'): Promise<LambdaZip> {
  const { parts, metafile } = await bundle(entry, await constants());
  const code = renderOneFile(parts);
  const licences = { LICENSE: await readFile('LICENSE'), [noticeFile]: await readFile(noticeFile) };
  const files = { [LAMBDA_FILE]: Buffer.from(code), ...licences };
  return { zip: pack(files), bundleBytes: Buffer.byteLength(code), metafile };
}

/**
 * A zip holds local times without a zone. Noon of the first possible day reads the same in every
 * zone.
 */
const firstNoon = (): Date => new Date(1980, 0, 1, 12);

export function pack(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const options: ZipOptions = { mtime: firstNoon(), level: 9, os: 3, attrs: 0o644 << 16 };
  const entries = Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return zipSync(Object.fromEntries(entries.map(([name, bytes]) => [name, [bytes, options]])));
}
