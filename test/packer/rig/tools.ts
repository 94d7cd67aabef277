/** Packer and its plugin, wherever they are: on PATH, or where packer/get-packer.sh puts them. */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ecs-node', 'packer');

/**
 * The environment to run it in: it asks nobody for newer versions, and no AWS but the one that it
 * is given.
 */
export function packerEnvironment(): Record<string, string> {
  const own = existsSync(join(cache, 'bin/packer'));
  return {
    HOME: homedir(),
    PATH: `${own ? `${join(cache, 'bin')}:` : ''}${process.env['PATH'] ?? ''}`,
    ...(own ? { PACKER_PLUGIN_PATH: join(cache, 'plugins') } : {}),
    CHECKPOINT_DISABLE: '1',
    PACKER_NO_COLOR: '1',
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}
