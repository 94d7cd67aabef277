/**
 * Downloads an installer and unpacks it into a private folder. An archive that would write
 * elsewhere is refused as a whole.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { UnpackSync, type ReadEntry } from 'tar';
import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import { codeOf } from './error-code.ts';
import { openResponse } from '../http/http.ts';
import { isLoopback } from '../http/endpoint-safety.ts';
import type { Network } from '../network/network.ts';

const serviceName = 'download';

/**
 * The OpsWorks installer has a few MB. The limit allows ten times the largest known one, and
 * protects the root disk.
 */
const maxDownloadBytes = 128 * 1024 * 1024;
const maxUnpackedBytes = 512 * 1024 * 1024;
const maxEntries = 50_000;

/** Each chunk costs a turn of the event loop, and the default of 16 kB makes a thousand of them. */
const chunkBytes = 128 * 1024;

/** The most that gzip can do is 1032. The files of an installer shrink to a third. */
const maxRatio = 1000;

/** Tar writes records of 10 kB, and some programs records of a hundred kB. */
const maxBehindBytes = 1024 * 1024;

/** A mirror may redirect once or twice. More is a loop. */
const maxRedirects = 3;

/**
 * Makes the private `folder`, and returns the new folder inside it. It lies below /var/lib, since
 * /tmp is often mounted noexec.
 */
export async function unpack(url: string, folder: string, network: Network, signal: AbortSignal): Promise<string> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const target = mkdtempSync(join(folder, 'unpack-'));
  let extracting: Promise<void> | undefined;
  const save: Save = (archive) => (extracting = extract(archive, target, signal));
  try {
    await download(parseUrl(url), save, network, signal, maxRedirects);
    return target;
  } catch (error) {
    // Otherwise the last chunk could still write a file, after the folder is gone.
    await extracting?.catch(() => {});
    rmSync(target, { recursive: true, force: true });
    throw error;
  }
}

/** Root will run the download, so it needs TLS, except from this same machine. */
export function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'https:') return url;
  if (url?.protocol === 'http:' && isLoopback(url.hostname)) return url;
  const where = url === null ? 'what is no URL' : renderUrl(url);
  throw new Refused(`will not download ${where}: only https is trusted (and http from loopback)`, {
    code: 'InsecureUrl',
  });
}

/**
 * Without user, password and query: a signed URL is a key, and messages end up in logs and tags.
 */
function renderUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

type Save = (archive: AsyncIterable<Buffer>) => Promise<void>;

async function download(url: URL, save: Save, network: Network, signal: AbortSignal, redirects: number): Promise<void> {
  const next = await openResponse(
    { serviceName, url, network },
    signal,
    async (response): Promise<string | undefined> => {
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status >= 300 && status < 400 && location !== undefined) return location;
      if (status === 429 || status >= 500)
        throw new Unavailable(`${serviceName}: ${renderUrl(url)} answered ${status}`);
      if (status !== 200) throw new Refused(`${renderUrl(url)} answered ${status}`, { code: String(status) });
      await save(bound(response, url));
      return undefined;
    },
  );
  if (next === undefined) return;
  if (redirects === 0) throw new Refused(`${renderUrl(url)} forwards too often`);
  await download(parseUrl(new URL(next, url).href), save, network, signal, redirects - 1);
}

/** The connection broke before the answer was whole. The archive is not to blame. */
class Broken extends Error {}

async function* bound(response: IncomingMessage, url: URL): AsyncGenerator<Buffer> {
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxDownloadBytes) throw new Refused(`${renderUrl(url)} is larger than ${maxDownloadBytes} bytes`);
      yield chunk;
    }
  } catch (cause) {
    throw cause instanceof Refused ? cause : new Broken(messageOf(cause), { cause });
  }
}

/**
 * Unpacks while the archive arrives: a file in between would cost eight megabytes of memory.
 * It checks each entry before it writes it, and stops at the first fault, because the rest may be a
 * bomb. The caller then removes the whole folder.
 */
async function extract(archive: AsyncIterable<Buffer>, target: string, signal: AbortSignal): Promise<void> {
  let [entries, bytes] = [0, 0];
  let refusal: Refused | undefined;
  const refuse = (why: string) => void (refusal ??= new Refused(`archive refused: ${why}`, { code: 'BadArchive' }));
  const isAllowed = (entry: ReadEntry): boolean => {
    entries += 1;
    bytes += entry.size;
    const fault =
      entryFault(entry) ??
      (entries > maxEntries ? `is entry number ${entries}` : undefined) ??
      (bytes > maxUnpackedBytes ? `makes it larger than ${maxUnpackedBytes} bytes` : undefined);
    if (fault !== undefined) refuse(`${JSON.stringify(entry.path.slice(0, 200))} ${fault}`);
    return refusal === undefined;
  };
  const unpacking = new UnpackSync({
    cwd: target,
    strict: true,
    preserveOwner: false,
    dmode: 0o770,
    filter: (_, entry) => isAllowed(entry as ReadEntry),
    onReadEntry: mask,
  });
  // The parser silently skips a type that it does not know, such as a sparse file. It is refused
  // here.
  unpacking.on('ignoredEntry', (entry) => refuse(`${JSON.stringify(entry.path.slice(0, 200))} is a ${entry.type}`));
  let failure: unknown;
  unpacking.on('error', (error) => void (failure ??= error));
  let [unpackedBytes, behindBytes] = [0, -1];
  unpacking.on('eof', () => (behindBytes = 0));
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  const read = async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      unpackedBytes += chunk.length;
      if (unpackedBytes > maxRatio * gunzip.bytesWritten) refuse(`its contents shrink more than ${maxRatio}-fold`);
      if (behindBytes === -1) unpacking.write(chunk);
      // Blocks of zeros fill the last record. The parser would read any number of them, one by one.
      else if ((behindBytes += chunk.length) > maxBehindBytes) refuse('it goes on behind its end');
      if (refusal !== undefined || failure !== undefined) throw refusal ?? failure;
      signal.throwIfAborted();
    }
    await new Promise<void>((resolve, reject) => {
      unpacking.on('error', reject).on('close', () => resolve());
      unpacking.end();
    });
  };
  await asArchive(pipeline(archive, gunzip, read));
  if (refusal) throw refusal;
  if (entries === 0) throw new Refused('archive refused: it is empty', { code: 'BadArchive' });
}

/**
 * The reason for which an entry must not be unpacked. Links are refused even if they stay inside:
 * no installer needs them, and many attacks do.
 */
export function entryFault({ path, type }: Pick<ReadEntry, 'path' | 'type'>): string | undefined {
  if (path.startsWith('/')) return 'is an absolute path';
  if (path.split('/').includes('..')) return 'climbs out of its folder';
  if (type !== 'File' && type !== 'OldFile' && type !== 'ContiguousFile' && type !== 'Directory') return `is a ${type}`;
  return undefined;
}

/**
 * As under umask 007, and without setuid. A change of the process's own umask would affect
 * everything else that it does meanwhile.
 */
function mask(entry: ReadEntry): void {
  entry.mode = (entry.mode ?? 0o600) & 0o770;
}

async function asArchive(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refused) throw error;
    // With the code of the connection's error, which becomes Unavailable.
    if (error instanceof Broken) throw error.cause;
    if (codeOf(error) === 'ENOSPC') throw new Unavailable(`cannot unpack: ${messageOf(error)}`, { cause: error });
    throw new Refused(`archive refused: not a whole .tgz file (${messageOf(error)})`, {
      cause: error,
      code: 'BadArchive',
    });
  }
}
