/** Which file systems matter on a container instance. */

import type { Config } from '../core/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state.ts';

const standard = '/var/lib/docker';

/** What Linux takes: 4095 bytes without a zero. */
const isPath = /^\/[^\0]{0,4000}$/;

/** Docker's data root as its own configuration says; a file that makes no sense would keep Docker from starting, so the default is as good. */
export async function readDockerRoot(host: Pick<Host, 'machine'>): Promise<string> {
  try {
    const settings = JSON.parse((await host.machine.readText(paths.dockerConfig)) ?? '{}') as unknown;
    const root = (settings as Record<string, unknown> | null)?.['data-root'];
    return typeof root === 'string' && isPath.test(root) ? root : standard;
  } catch {
    return standard;
  }
}

/** `/`, Docker's data root and what the configuration adds. */
export async function watchedPaths(host: Pick<Host, 'machine'>, config: Config): Promise<string[]> {
  return [...new Set(['/', await readDockerRoot(host), ...config.disk.paths])];
}
