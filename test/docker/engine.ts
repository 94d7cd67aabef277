// A real Docker Engine below a root of its own: its data on a small file system, its socket where a
// node looks for it.
//
// It needs no registry: images are tarballs of a few megabytes, and containers run `sleep` without
// a network.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '../../simulator/wait-for.ts';

const run = promisify(execFile);

export interface Engine {
  /** Its process. */
  readonly process: ChildProcess;
  /** Makes an image of so many megabytes, or gives an image a further name. */
  addImage(name: string, megabytes?: number): Promise<string>;
  tag(name: string, further: string): Promise<void>;
  /** Names of its images, sorted. */
  images(): Promise<string[]>;
  /** Starts a container that sleeps. */
  start(container: string, image: string): Promise<void>;
  stop(container: string): Promise<void>;
  isRunning(container: string): Promise<boolean>;
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
  const api = openApi(socketPath);
  await makeRootFolder(join(scratch, 'image'));
  await waitFor('Docker answers', async () => (await api.ask('GET', '/_ping').catch(() => undefined)) !== undefined);

  const engine: Engine = {
    process: child,
    async addImage(name, size = 0) {
      const folder = join(scratch, 'image');
      await run('dd', ['if=/dev/urandom', `of=${folder}/payload`, 'bs=1M', `count=${size}`]);
      await run('tar', ['-C', folder, '-cf', `${scratch}/image.tar`, '.']);
      const at = name.lastIndexOf(':');
      const query = `fromSrc=-&repo=${name.slice(0, at)}&tag=${name.slice(at + 1)}`;
      const { status } = (await api.ask('POST', `/images/create?${query}`, await readFile(`${scratch}/image.tar`))) as {
        status: string;
      };
      return status;
    },
    async tag(name, further) {
      const at = further.lastIndexOf(':');
      await api.ask('POST', `/images/${name}/tag?repo=${further.slice(0, at)}&tag=${further.slice(at + 1)}`);
    },
    async images() {
      const images = (await api.ask('GET', '/images/json')) as { RepoTags: string[] | null }[];
      return images.flatMap(({ RepoTags }) => RepoTags ?? ['<none>']).toSorted();
    },
    async start(container, image) {
      const settings = { Image: image, Cmd: ['/bin/sleep', '600'], HostConfig: { NetworkMode: 'none' } };
      await api.ask('POST', `/containers/create?name=${container}`, settings);
      await api.ask('POST', `/containers/${container}/start`);
    },
    stop: async (container) => void (await api.ask('POST', `/containers/${container}/stop?t=0`)),
    async isRunning(container) {
      const { State } = (await api.ask('GET', `/containers/${container}/json`)) as { State: { Running: boolean } };
      return State.Running;
    },
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
      for (const { Id } of (await api.ask('GET', '/containers/json').catch(() => [])) as { Id: string }[]) {
        await api.ask('DELETE', `/containers/${Id}?force=1`).catch(() => undefined);
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

/** `sleep` and the libraries that it is linked with. */
async function makeRootFolder(folder: string): Promise<void> {
  const { stdout } = await run('ldd', ['/bin/sleep']);
  for (const file of ['/bin/sleep', ...(stdout.match(/\/\S+/g) ?? [])]) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    await cp(file, join(folder, file), { dereference: true });
  }
}

async function readDf(path: string): Promise<{ used: number; available: number }> {
  const { stdout } = await run('df', ['-Pk', path]);
  const [, , used, available] = stdout.trim().split('\n').at(-1)!.split(/\s+/);
  return { used: Number(used), available: Number(available) };
}

function openApi(socketPath: string) {
  return {
    /** The answer's JSON, or text. Throws on any status from 400 on. */
    ask: (method: string, path: string, body?: Buffer | object): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const isTar = Buffer.isBuffer(body);
        const headers = { 'content-type': isTar ? 'application/x-tar' : 'application/json' };
        const outgoing = request({ socketPath, method, path, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => {
            if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${text}`));
            else resolve(/^[[{]/.test(text) ? (JSON.parse(text) as unknown) : text);
          });
        });
        outgoing.on('error', reject);
        outgoing.end(isTar ? body : body === undefined ? undefined : JSON.stringify(body));
      }),
  };
}
