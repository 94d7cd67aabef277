/**
 * Reads and writes files below the root. A file is written whole or not at all, and never through a
 * symbolic link to another place.
 *
 * Small files and folders are read and written synchronously. An operation in another thread costs
 * ten times the CPU time of the operation itself. Only fsync, which waits for the disk, runs
 * asynchronously.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  lstatSync,
  mkdirSync,
  openSync,
  opendirSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { basename, dirname, join, normalize, resolve } from 'node:path';
import { kill, pid } from 'node:process';
import { promisify } from 'node:util';
import { ConfigError, Unavailable, messageOf } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import { codeOf } from './error-code.ts';

export type Files = Pick<Machine, 'readText' | 'writeText' | 'remove' | 'removeShared' | 'setAside' | 'list'>;

/**
 * People or this program write every file that it reads. A larger file is a mistake, and must not
 * fill the memory.
 */
const maxBytes = 4 * 1024 * 1024;

/** A container can fill a folder that it mounts. A million names would need 1 GB of memory. */
const maxNames = 10_000;

/**
 * `.NAME.PID.RANDOM.ecs-node`: a temporary file of this program. No other program can mistake it
 * for a drop-in.
 */
const temporary = /^\.(.+)\.(\d+)\.[0-9a-z]+\.ecs-node$/;

export function openFiles(root: string): Files {
  const below = openBelow(root);
  return {
    async readText(path) {
      const bytes = await withPathInErrors(path, 'read', async () => readBytes(below(path, { through: true })));
      return bytes === undefined ? undefined : decode(path, bytes);
    },
    writeText: (path, text, mode) =>
      withPathInErrors(path, 'write', async () => {
        const file = below(path);
        return change(file, (isNewest) => writeBytes(file, path, Buffer.from(text), mode, isNewest));
      }),
    remove: (path) =>
      withPathInErrors(path, 'remove', async () => {
        const file = below(path);
        return change(file, () => removeAll(file));
      }),
    removeShared: (path) =>
      withPathInErrors(path, 'remove', async () => {
        const file = below(path);
        return change(file, () => removeShared(file));
      }),
    setAside: (path) =>
      withPathInErrors(path, 'rename', async () => {
        const file = below(path);
        return change(file, () => setAside(file));
      }),
    async list(path) {
      const names = await withPathInErrors(path, 'list', async () =>
        unlessAbsent(() => readNames(below(path, { through: true }))),
      );
      if (names?.length === maxNames) throw new Unavailable(`${path}: has ${maxNames} names or more: remove some`);
      return (names ?? []).filter((name) => !temporary.test(name)).toSorted();
    },
  };
}

/**
 * Puts paths below the root. Under another root than /, no symbolic link on the way may lead out of
 * it: a test or an image build would change the machine that it runs on. On the machine itself, its
 * own links are as good as any path.
 */
export function openBelow(root: string): PathBelow {
  const top = resolve(root);
  let knownTop: string | undefined;
  return (path, { through } = { through: false }) => {
    if (!path.startsWith('/') || path.includes('\0')) throw new TypeError(`not an absolute path: ${path}`);
    const full = resolve(top, `.${normalize(path)}`);
    if (top === '/') return full;
    const realTop = (knownTop ??= unlessAbsent(() => realpathSync.native(top)));
    // Nothing of the root exists yet, or the path is the root itself.
    if (realTop === undefined || full === top) return full;
    const real = nearestReal(through ? full : dirname(full));
    if (real === realTop || real.startsWith(`${realTop}/`)) return full;
    throw new ConfigError([{ path, problem: `lies behind a symbolic link that leads out of ${top}` }]);
  };
}

/** `through`: a link at the path itself will also be followed, so it must not lead out either. */
export type PathBelow = (path: string, how?: { through: boolean }) => string;

/**
 * The real path, or that of the nearest existing folder above it. The check comes first, because an
 * error with its stack costs more, and the file for an operator's request is absent for years.
 */
function nearestReal(path: string): string {
  const real = readStat(path) && unlessAbsent(() => realpathSync.native(path));
  return real ?? nearestReal(dirname(path));
}

function readBytes(file: string): Buffer | undefined {
  // Checked first: an error with its stack costs more than this check, and a file for an operator's
  // request is absent for years. Non-blocking: a named pipe in the wrong place must not block the
  // node.
  const handle = readStat(file) && unlessAbsent(() => openSync(file, constants.O_RDONLY | constants.O_NONBLOCK));
  if (handle === undefined) return undefined;
  try {
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw new Mistake('is not a regular file');
    // The kernel reports a size of 0 for files that it generates on reading (/proc).
    const buffer = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(stat.size, 4_095)) + 1);
    const chunks: Buffer[] = [];
    for (let size = 0; ;) {
      const bytesRead = readSync(handle, buffer, 0, buffer.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks);
      size += bytesRead;
      if (size > maxBytes) throw new Mistake(`is larger than ${maxBytes} bytes`);
      chunks.push(Buffer.from(buffer.subarray(0, bytesRead)));
    }
  } finally {
    closeSync(handle);
  }
}

/**
 * The newest write or removal of each file that still runs. A disk in trouble may hold a write for
 * minutes after its caller gave up. It must not then bring back what was removed since.
 */
const newestChanges = new Map<string, object>();

/** Runs a change of a file. `isNewest`: no other change of the same file has begun since. */
async function change<T>(file: string, work: (isNewest: () => boolean) => Promise<T>): Promise<T> {
  const self = {};
  const isNewest = () => newestChanges.get(file) === self;
  newestChanges.set(file, self);
  try {
    return await work(isNewest);
  } finally {
    if (isNewest()) newestChanges.delete(file);
  }
}

async function writeBytes(
  file: string,
  path: string,
  bytes: Buffer,
  mode: number | undefined,
  isNewest: () => boolean,
): Promise<'changed' | 'unchanged'> {
  const folder = dirname(file);
  const old = readStat(file);
  // A rename would silently replace a user's link. A write through it would change another file.
  if (old?.isSymbolicLink()) {
    throw new ConfigError([{ path, problem: 'is a symbolic link: write to its target yourself, or remove the link' }]);
  }
  if (old && !old.isFile()) throw new Mistake('is not a regular file');
  const wantedMode = mode ?? (old ? old.mode & 0o7777 : 0o644);
  const isSame = old && (old.mode & 0o7777) === wantedMode && old.size === bytes.length;
  if (isSame && readBytes(file)?.equals(bytes)) return 'unchanged';

  makeFolder(folder);
  sweep(folder, basename(file));
  const fresh = join(folder, `.${basename(file)}.${pid}.${randomName()}.ecs-node`);
  try {
    const handle = openSync(fresh, 'wx', 0o600);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(handle, bytes, at);
      if (old) keepOwner(handle, old);
      fchmodSync(handle, wantedMode);
      await flush(handle);
    } finally {
      closeSync(handle);
    }
    if (!isNewest()) {
      unlinkSync(fresh);
      return 'changed';
    }
    renameSync(fresh, file);
  } catch (error) {
    unlessAbsent(() => unlinkSync(fresh));
    throw error;
  }
  await flushFolder(folder);
  return 'changed';
}

const randomName = () => Math.random().toString(36).slice(2) || '0';

/**
 * One folder after the other: on a read-only file system, `mkdirSync` with `recursive` reports
 * ENOENT, and the operator would look for a missing file. The mode keeps other users from placing
 * files here.
 */
function makeFolder(folder: string): void {
  if (unlessAbsent(() => statSync(folder)) !== undefined) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o755 });
  } catch (error) {
    // Another process made it first.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/**
 * Only root can give a file away. For every other user the file stays theirs, as with any editor.
 */
function keepOwner(handle: number, old: { uid: number; gid: number }): void {
  const { uid, gid } = fstatSync(handle);
  if (uid === old.uid && gid === old.gid) return;
  try {
    fchownSync(handle, old.uid, old.gid);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') throw error;
  }
}

/**
 * Removes temporary files of processes that were killed while they wrote this file. A container may
 * have put a folder with such a name beside it, which must not keep the file from being written.
 */
function sweep(folder: string, name: string): void {
  for (const entry of readNames(folder)) {
    const [, of, writer] = temporary.exec(entry) ?? [];
    if (of !== name || isAlive(Number(writer))) continue;
    try {
      unlinkSync(join(folder, entry));
    } catch {
      // It costs only its place.
    }
  }
}

/** At most `maxNames`. */
function readNames(folder: string): string[] {
  const handle = opendirSync(folder);
  try {
    const names: string[] = [];
    while (names.length < maxNames) {
      const entry = handle.readSync();
      if (entry === null) break;
      names.push(entry.name);
    }
    return names;
  } finally {
    handle.closeSync();
  }
}

function isAlive(process: number): boolean {
  try {
    return kill(process, 0);
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

async function removeAll(file: string): Promise<boolean> {
  const old = readStat(file);
  if (old === undefined) return false;
  if (old.isDirectory()) {
    // Loaded at the first use, since such removals are rare.
    const { rm } = await import('node:fs/promises');
    await rm(file, { recursive: true, force: true });
  } else {
    // At once: a later write may have put a new file here by the time of an asynchronous removal.
    unlessAbsent(() => unlinkSync(file));
  }
  await flushFolder(dirname(file));
  return true;
}

/** Each call acts on the name itself, whatever a container puts there between two calls. */
async function removeShared(file: string): Promise<boolean> {
  const old = readStat(file);
  if (old === undefined) return false;
  if (old.isDirectory()) renameSync(file, join(dirname(file), `.${basename(file)}.${randomName()}.damaged`));
  else unlessAbsent(() => unlinkSync(file));
  await flushFolder(dirname(file));
  return true;
}

async function setAside(file: string): Promise<boolean> {
  if (readStat(file) === undefined) return false;
  const aside = `${file}.damaged`;
  await removeAll(aside);
  renameSync(file, aside);
  await flushFolder(dirname(file));
  return true;
}

const flush = promisify(fsync);

/** Without it a power failure may lose the new name, although the file's bytes are safe. */
async function flushFolder(folder: string): Promise<void> {
  const handle = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await flush(handle);
  } finally {
    closeSync(handle);
  }
}

function readStat(file: string): Stats | undefined {
  return unlessAbsent(() => lstatSync(file, { throwIfNoEntry: false }));
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError([{ path, problem: `is not UTF-8 text; save it as UTF-8` }], { cause });
  }
}

/** Something of the wrong kind exists at the path. It becomes a ConfigError with the path. */
class Mistake extends Error {}

/** For errors whose text names no remedy. */
const remedies: Readonly<Record<string, string>> = {
  EACCES: '; run it as root (sudo)',
  EROFS:
    '; its file system is read-only: remount it ("mount -o remount,rw"), and see "dmesg" for a disk error that made it so',
};

/**
 * Turns an error of the file system into the kind of error for the reader. A full or broken disk
 * may recover. Permissions and links do not.
 */
async function withPathInErrors<T>(path: string, verb: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Mistake) throw new ConfigError([{ path, problem: error.message }], { cause: error });
    const code = codeOf(error);
    if (code === undefined || error instanceof ConfigError || error instanceof TypeError) throw error;
    const problem = `cannot ${verb} it: ${messageOf(error)}${remedies[code] ?? ''}`;
    if (/^(ENOSPC|EDQUOT|EIO|EMFILE|ENFILE|ENOMEM|EAGAIN|EBUSY|ESTALE)$/.test(code)) {
      throw new Unavailable(`${path}: ${problem}`, { cause: error });
    }
    throw new ConfigError([{ path, problem }], { cause: error });
  }
}

/** The result of `read`. Undefined when the file does not exist. */
function unlessAbsent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
