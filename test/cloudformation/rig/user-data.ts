/** Runs user data in a folder of its own, and reads the configuration that ecs-node then has. */

import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../../config/config.ts';

const run = promisify(execFile);

export interface Booted {
  config: ReturnType<typeof parseConfig>;
  /** The arguments of `curl`, one line a call. */
  downloads: string[];
  readText(path: string): Promise<string>;
}

/** `use` sees the machine before it is removed. */
export async function bootWith<T>(userData: string, use: (booted: Booted) => Promise<T> | T): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'node-'));
  try {
    const binary = inject('binary');
    const tools = join(root, 'tools');
    await mkdir(tools);
    const tool = async (name: string, body: string) => {
      await writeFile(join(tools, name), `#!/bin/sh\n${body}\n`);
      await chmod(join(tools, name), 0o755);
    };
    await tool('systemctl', ':');
    await tool('ecs-node', `exec '${binary}' "$@" --root '${root}'`);
    // As install.sh does last.
    const install = `echo 'ecs-node configure "$@"'`;
    await tool('curl', `printf '%s via %s\\n' "$*" "$HTTPS_PROXY" >>'${root}/downloads'; ${install}`);
    const script = join(root, 'user-data');
    await writeFile(script, userData.replaceAll('/etc/', `${root}/etc/`));
    const env = { PATH: `${tools}:${process.env['PATH']}`, AWS_EC2_METADATA_DISABLED: 'true' };
    await run('sh', [script], { env });
    const { stdout } = await run(binary, ['check', '--root', root], { env });
    const downloads = await readFile(join(root, 'downloads'), 'utf8').catch(() => '');
    return await use({
      config: parseConfig(parse(stdout)),
      downloads: downloads.split('\n').filter((line) => line !== ''),
      readText: (path) => readFile(join(root, path), 'utf8'),
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
