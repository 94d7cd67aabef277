/**
 * Pulls documents of the configuration from a location that many nodes share. They are used only
 * when all of them are valid together with the node's own files.
 */

import { isDeepStrictEqual } from 'node:util';
import { ConfigError, messageOf, Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { readStateText } from '../../core/state/read-state.ts';
import { paths } from '../../core/state/state.ts';
import { parseRefreshed, renderRefreshed, type PulledDocument, type Refreshed } from './refreshed.ts';

/** Parameters may be secrets (SecureString): only root may read the file. */
const mode = 0o600;

/**
 * Throws a ConfigError when these documents and the node's own files make no valid configuration
 * together.
 */
export type CheckDocuments = (source: string, documents: readonly PulledDocument[]) => Promise<void>;

/** The file may hold two sets, and no file of more than 4 MB is read (host/files/files.ts). */
const maxSetBytes = 1_500_000;

/** Nodes that boot ask twice within a second, and one stale list would count as two. */
const lostMs = 60_000;

type Deps = Pick<Host, 'machine' | 'cloud' | 'log' | 'clock'>;

/** The source has just stopped listing documents that are in use. */
export class DocumentsLost extends Unavailable {}

/**
 * Fetches changed documents, lets `judge` check the whole set, and writes a good set in one file.
 * Throws the error of `judge`: the last good set then stays, and the refused documents are not
 * fetched again until they change. Throws DocumentsLost until a document has not been listed for a
 * minute, because the node would fall back to its defaults for one answer that is not whole.
 */
export async function pullConfiguration(
  host: Deps,
  source: string,
  judge: CheckDocuments,
  signal: AbortSignal,
): Promise<'changed' | 'unchanged'> {
  const before = await readRefreshed(host);
  const good = before?.source === source ? before.good : [];
  const seen = before?.refused?.source === source ? before.refused.documents : good;
  const documents = await fetchChanged(host, source, seen, signal);
  const lost = good.map(({ name }) => name).filter((name) => documents.every((each) => each.name !== name));
  const newlyLost = lost.filter((name) => before?.lost?.includes(name) !== true);
  const now = { bootId: lost.length === 0 ? '' : await host.machine.readBootId(), uptime: host.clock.uptime() };
  const { lostSince = now } = before ?? {};
  const isAnew = newlyLost.length > 0 || lostSince.bootId !== now.bootId;
  const known = lost.length > 0 ? { lost, lostSince: isAnew ? now : lostSince } : {};
  if (known.lostSince !== undefined && now.uptime - known.lostSince.uptime < lostMs) {
    await write(host, { source, good, ...before, ...known });
    throw new DocumentsLost(
      `${source} lists ${lost.join(', ')} no more; if it lists as little after a minute, that is believed`,
    );
  }
  if (Buffer.byteLength(JSON.stringify(documents)) > maxSetBytes) {
    const problem = `the documents are larger than ${maxSetBytes} bytes together, as JSON`;
    throw new ConfigError([{ path: source, problem }]);
  }
  try {
    await judge(source, documents);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // When the documents did not change, the node's own files did, and the error names them. The
    // set in use is then not noted as refused.
    const refused = isDeepStrictEqual(documents, good) ? undefined : { source, documents, why: messageOf(error) };
    const { lost: _lost, lostSince: _lostSince, ...kept } = before ?? { source, good: [] };
    await write(host, { ...kept, ...known, ...(refused !== undefined && { refused }) });
    throw error;
  }
  const isNew = before?.source !== source || !isDeepStrictEqual(documents, good);
  await write(host, { source, good: documents });
  return isNew ? 'changed' : 'unchanged';
}

/**
 * Call it when no source is configured any more. Removes the pulled documents; true when there were
 * some.
 */
export async function forgetRefreshed({ machine }: Pick<Host, 'machine'>): Promise<boolean> {
  return machine.remove(paths.refreshed);
}

/** Undefined for a file that cannot be read: everything is then pulled again. */
export async function readRefreshed({ machine }: Pick<Host, 'machine'>): Promise<Refreshed | undefined> {
  return parseRefreshed(await machine.readText(paths.refreshed).catch(() => undefined));
}

async function write(host: Deps, refreshed: Refreshed): Promise<void> {
  // Set aside only now: without the file, an agent that restarts would go on with defaults.
  await readStateText(host, paths.refreshed).catch(() => undefined);
  await host.machine.writeText(paths.refreshed, renderRefreshed(refreshed), mode);
}

async function fetchChanged(
  { cloud }: Pick<Host, 'cloud'>,
  source: string,
  seen: readonly PulledDocument[],
  signal: AbortSignal,
): Promise<PulledDocument[]> {
  const known = Object.fromEntries(seen.map(({ name, version }) => [name, version]));
  const found = await cloud.readDocuments(source, known, signal);
  return found.map(({ name, version, text }) => {
    const kept = text ?? seen.find((each) => each.name === name && each.version === version)?.text;
    if (kept === undefined) throw new TypeError(`${source}: ${name} came without a text`);
    return { name, version, text: kept };
  });
}
