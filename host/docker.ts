/** Docker's Engine API over its socket: as much of it as freeing the disk needs. */

import { Refused, Unavailable, messageOf } from '../core/errors.ts';
import { codeOf } from './error-code.ts';
import { ask } from './http.ts';

const who = 'Docker';

/** The answer names every layer that was removed: some 100 bytes for each of perhaps some thousands. */
const maxBytes = 16 * 1024 * 1024;

/** Bytes won. Takes minutes on a full disk, so only the signal ends the wait. */
export async function pruneImages(socketPath: string, signal: AbortSignal): Promise<number> {
  // `dangling=false` means "unused ones too", as `docker image prune --all`.
  const url = new URL('http://docker/images/prune');
  url.searchParams.set('filters', JSON.stringify({ dangling: ['false'] }));
  const { status, body } = await ask({ who, method: 'POST', url, socketPath, maxBytes }, signal).catch(
    explain(socketPath),
  );
  const answer = parse(body);
  if (status === 200) return typeof answer['SpaceReclaimed'] === 'number' ? answer['SpaceReclaimed'] : 0;
  const { message } = answer;
  const said = typeof message === 'string' ? JSON.stringify(message.slice(0, 300)) : 'without a message';
  const why = `${who}: pruning images answered ${status}: ${said}`;
  // 409: another prune is running. 5xx: the daemon is in trouble.
  if (status === 409 || status >= 500) throw new Unavailable(why);
  throw new Refused(why, { code: String(status) });
}

/** Changes nothing. Throws Unavailable when the daemon does not answer. */
export async function ping(socketPath: string, signal: AbortSignal): Promise<void> {
  const question = { who, url: new URL('http://docker/_ping'), socketPath, maxBytes: 4096 };
  const { status } = await ask(question, signal).catch(explain(socketPath));
  if (status !== 200) throw new Unavailable(`${who}: _ping answered ${status}`);
}

function explain(socketPath: string): (error: unknown) => never {
  return (error) => {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      throw new Unavailable(`${who} does not listen at ${socketPath}: is it running?`, { cause: error });
    }
    // The kernel's limit for socket paths; only a deep --root reaches it.
    if (code === 'EINVAL' && socketPath.length > 107) {
      throw new Refused(`the path ${socketPath} is too long for a socket`, { cause: error });
    }
    throw error;
  };
}

function parse(body: Buffer): Record<string, unknown> {
  try {
    const value = JSON.parse(body.toString()) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch (cause) {
    throw new Unavailable(`${who} answered with something that is not JSON: ${messageOf(cause)}`, { cause });
  }
}
