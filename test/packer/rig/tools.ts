/** Finds Packer and its plugin: on PATH, or in the folder of packer/get-packer.sh. */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ecs-node', 'packer');

/**
 * The environment for Packer: it does not look for newer versions, and calls only the given AWS.
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
