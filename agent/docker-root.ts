/**
 * The file systems that matter on a container instance: those of Docker's data and of the images.
 */

import type { Config } from '../config/config.ts';
import type { DockerStore, Host } from '../core/host.ts';
import { singleErrorMs } from '../core/lasting.ts';
import { withTimeout } from '../core/retry.ts';
import { paths } from '../core/state/state.ts';

const standardRoot = '/var/lib/docker';
const standardContainerdRoot = '/var/lib/containerd';

/** Linux accepts paths of at most 4095 bytes, without a zero byte. */
const isPath = /^\/[^\0]{0,4000}$/;

/**
 * The root changes only when Docker restarts with other settings. /info costs Docker more than any
 * other request.
 */
const askAgainMs = 600_000;

/**
 * Docker answers /info from memory. A hanging Docker must not stop the disks from being measured.
 */
const storeMs = 5_000;

/**
 * Docker may be wrong for a minute, as a second Docker at the socket. So the disk watcher believes
 * another root only when a second answer names it this much later.
 */
export const secondAnswerMs = singleErrorMs;

type Asked = Pick<Host, 'machine' | 'docker' | 'clock'>;

export interface Roots {
  /** Containers, logs, volumes. */
  docker: string;
  /** A path on the file system that images fill. */
  images: string;
}

export interface WatchedPaths {
  readRoots(host: Asked, signal: AbortSignal): Promise<Roots>;
  /** `/`, Docker's root, the images' root and the paths that the configuration adds. */
  list(host: Asked, signal: AbortSignal): Promise<string[]>;
}

/**
 * Keeps Docker's last answer, so that the disk of a Docker that has died is still measured. With
 * `confirmMs`, an unexpected root counts once a second answer names it that much later.
 */
export function openWatchedPaths({ disk }: Pick<Config, 'disk'>, confirmMs = 0): WatchedPaths {
  let known: { at: number; roots: Roots } | undefined;
  let unconfirmed: { at: number; roots: Roots } | undefined;
  const isTooEarly = (now: number) =>
    (known !== undefined && now - known.at < askAgainMs) ||
    (unconfirmed !== undefined && now - unconfirmed.at < confirmMs);
  const ask = async (host: Asked, now: number, signal: AbortSignal) => {
    const store = await withTimeout(storeMs, (callSignal) => host.docker.readStore(callSignal), host.clock, signal);
    const roots = await rootsOf(host, store);
    if (unconfirmed === undefined || !isSame(unconfirmed.roots, roots)) unconfirmed = { at: now, roots };
    if (now - unconfirmed.at < confirmMs && !(await isExpected(host, roots, known?.roots))) return;
    [known, unconfirmed] = [{ at: now, roots }, undefined];
  };
  const readRoots = async (host: Asked, signal: AbortSignal): Promise<Roots> => {
    const now = host.clock.uptime();
    try {
      if (!isTooEarly(now)) await ask(host, now, signal);
    } catch {
      signal.throwIfAborted();
    }
    // Without an answer that counts, Docker's configuration file is the best source left.
    return known?.roots ?? rootsOf(host, { root: await readConfiguredRoot(host), imagesInContainerd: false });
  };
  return {
    readRoots,
    async list(host, signal) {
      const { docker, images } = await readRoots(host, signal);
      return [...new Set(['/', docker, images, ...disk.paths])];
    },
  };
}

function isSame(one: Roots, other: Roots): boolean {
  return one.docker === other.docker && one.images === other.images;
}

/** The roots are known, or daemon.json names Docker's. At first, the standard root is expected. */
async function isExpected(host: Pick<Host, 'machine'>, roots: Roots, known: Roots | undefined): Promise<boolean> {
  if (known === undefined) return roots.docker === (await readConfiguredRoot(host));
  if (isSame(roots, known)) return true;
  return roots.docker !== known.docker && roots.docker === (await findConfiguredRoot(host));
}

async function rootsOf(host: Pick<Host, 'machine'>, store: DockerStore): Promise<Roots> {
  const docker = isPath.test(store.root) ? store.root : standardRoot;
  return { docker, images: store.imagesInContainerd ? await readContainerdRoot(host, docker, store) : docker };
}

/** Docker's root from daemon.json, or the standard root. */
export async function readConfiguredRoot(host: Pick<Host, 'machine'>): Promise<string> {
  return (await findConfiguredRoot(host)) ?? standardRoot;
}

/**
 * `graph` is the name of the root before Docker 17.05, and later versions still accepted it. Docker
 * does not start with an invalid file, which therefore counts as no file.
 */
async function findConfiguredRoot({ machine }: Pick<Host, 'machine'>): Promise<string | undefined> {
  try {
    const settings = JSON.parse((await machine.readText(paths.dockerConfig)) ?? '{}') as unknown;
    const { 'data-root': root, graph } = (settings ?? {}) as Record<string, unknown>;
    return [root, graph].find((path) => typeof path === 'string' && isPath.test(path)) as string | undefined;
  } catch {
    return undefined;
  }
}

/**
 * A containerd that Docker started itself keeps its data below Docker's root, and its socket below
 * Docker's runtime folder.
 */
async function readContainerdRoot(
  { machine }: Pick<Host, 'machine'>,
  dockerRoot: string,
  { containerdSocket = '' }: DockerStore,
): Promise<string> {
  if (/\/docker\/containerd\/[^/]*$/.test(containerdSocket)) return `${dockerRoot}/containerd/daemon`;
  try {
    return parseContainerdRoot((await machine.readText(paths.containerdConfig)) ?? '') ?? standardContainerdRoot;
  } catch {
    return standardContainerdRoot;
  }
}

/** `root = "/data/containerd"` before the first table of config.toml. */
export function parseContainerdRoot(toml: string): string | undefined {
  const [beforeTables = ''] = toml.split(/^[ \t]*\[/m);
  const [, , root] = /^[ \t]*root[ \t]*=[ \t]*(["'])([^"'\n]*)\1/m.exec(beforeTables) ?? [];
  return root !== undefined && isPath.test(root) ? root : undefined;
}

/** One file system under several paths is one disk. */
export function uniqueDisks<T extends { mountPath: string }>(uses: readonly T[]): T[] {
  return [...new Map(uses.map((use) => [use.mountPath, use])).values()];
}

/** A text for people: the paths that could not be measured, and why. */
export function renderUnmeasured(unmeasured: readonly { path: string; reason: string }[]): string {
  return unmeasured.map(({ path, reason }) => `${path} could not be measured: ${reason}`).join('; ');
}
