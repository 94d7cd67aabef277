// A real Docker Engine below a root of its own: its data on a small file system, its socket where a
// node looks for it.
//
// It needs no registry: images are tarballs of a few megabytes, and containers run `sleep` without
// a network.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '../../simulator/wait-for.ts';
import { openClient, type Client } from './client.ts';

const run = promisify(execFile);

export interface Engine extends Client {
  /** Its process. */
  readonly process: ChildProcess;
  /**
   * Fills its file system to so many percent of df's Use%, beside the images; undefined: takes that
   * away again.
   */
  fill(percent: number | undefined): Promise<void>;
  usedPercent(): Promise<number>;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** The size of its file system. */
  megabytes?: number;
  /** Where it keeps its data, as it sees it and says so. */
  dataRoot?: string;
  /** Beside those that keep it away from the rest of this machine. */
  flags?: readonly string[];
}

/** `root` must be short: the path of a socket has at most 107 characters. */
export async function openEngine(root: string, options: EngineOptions = {}): Promise<Engine> {
  const { megabytes = 400, dataRoot = '/var/lib/docker', flags = [] } = options;
  const scratch = await mkdtemp(join(tmpdir(), 'dk-'));
  const data = join(root, dataRoot);
  const socketPath = join(root, 'var/run/docker.sock');
  await mkdir(data, { recursive: true });
  await mkdir(dirname(socketPath), { recursive: true });
  await makeFileSystem(join(scratch, 'disk'), megabytes, data);
  const child = await startDocker({ scratch, data, dataRoot, socketPath, flags });
  const client = await openClient(socketPath, scratch);

  const engine: Engine = {
    ...client,
    process: child,
    async fill(percent) {
      await rm(join(data, 'ballast'), { force: true });
      if (percent === undefined) return;
      const { used, available } = await readDf(data);
      const kilobytes = Math.ceil(((used + available) * percent) / 100) - used;
      await run('dd', ['if=/dev/zero', `of=${data}/ballast`, 'bs=1K', `count=${Math.max(0, kilobytes)}`, 'conv=fsync']);
    },
    async usedPercent() {
      const { used, available } = await readDf(data);
      return Math.ceil((100 * used) / (used + available));
    },
    async close() {
      child.kill('SIGCONT');
      for (const { Id } of (await client.ask('GET', '/containers/json').catch(() => [])) as { Id: string }[]) {
        await client.ask('DELETE', `/containers/${Id}?force=1`).catch(() => undefined);
      }
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await waitFor('its file system is free', () =>
        run('umount', [data]).then(
          () => true,
          () => false,
        ),
      );
      await rm(scratch, { recursive: true, force: true });
    },
  };
  return engine;
}

async function makeFileSystem(file: string, megabytes: number, mountPoint: string): Promise<void> {
  await writeFile(file, '');
  await truncate(file, megabytes * 2 ** 20);
  // With the 5 % that ext4 reserves for root by default.
  await run('mkfs.ext4', ['-q', '-m', '5', file]);
  await run('mount', ['-o', 'loop', file, mountPoint]);
}

interface Start {
  scratch: string;
  data: string;
  dataRoot: string;
  socketPath: string;
  flags: readonly string[];
}

/**
 * In a mount namespace of its own, so that its root is where it would be on a node, and not this
 * machine's.
 */
async function startDocker({ scratch, data, dataRoot, socketPath, flags }: Start): Promise<ChildProcess> {
  const command = [
    'dockerd',
    `--data-root=${dataRoot}`,
    `--exec-root=${scratch}/exec`,
    `--pidfile=${scratch}/pid`,
    `--host=unix://${socketPath}`,
    `--config-file=${scratch}/daemon.json`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--storage-driver=overlay2',
    ...flags,
  ];
  await writeFile(join(scratch, 'daemon.json'), '{}');
  // Without this machine's containerd: Docker starts its own where it finds none.
  const script = `mkdir -p "$2" /run/containerd && mount --bind "$1" "$2" && mount -t tmpfs none /run/containerd
    shift 2 && exec "$@"`;
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', data, dataRoot, ...command],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log = createWriteStream(join(scratch, 'log'));
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  return child;
}

async function readDf(path: string): Promise<{ used: number; available: number }> {
  const { stdout } = await run('df', ['-Pk', path]);
  const [, , used, available] = stdout.trim().split('\n').at(-1)!.split(/\s+/);
  return { used: Number(used), available: Number(available) };
}
