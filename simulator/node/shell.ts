/** Runs shell scripts on a simulated machine: a few programs stand in for the machine's own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ShellOptions {
  root: string;
  /** The folder of the stand-ins. */
  tools: string;
  binary: string;
  environment: Readonly<Record<string, string>>;
  /** The file with the used share of the disk, in percent. */
  used: string;
}

export interface ShellOutput {
  code: number;
  stdout: string;
  stderr: string;
}

export async function openShell({ root, tools, binary, environment, used }: ShellOptions) {
  const bin = join(tools, 'bin');
  await mkdir(bin, { recursive: true });
  const programs = {
    'ecs-node': `exec '${binary}' --root '${root}' "$@"`,
    systemctl: `exec '${root}/usr/bin/systemctl' "$@"`,
    df: `exec '${root}/usr/bin/df' "$@"`,
    // The one file that a script makes fills the disk, and its removal frees it.
    fallocate: `echo 96 >'${used}'`,
    rm: `echo 20 >'${used}'`,
  };
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  }
  return async (script: string): Promise<ShellOutput> => {
    const child = spawn('/bin/sh', ['-c', script], { env: { ...environment, PATH: `${bin}:/usr/bin:/bin` } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (chunk: string) => (output[name] += chunk));
    }
    await once(child, 'close');
    return { code: child.exitCode ?? 137, ...output };
  };
}
