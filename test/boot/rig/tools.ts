/** Runs the tools that make and inspect machines. */

import { execFile } from 'node:child_process';

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

export function exitOf(file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { maxBuffer: 2 ** 28 }, (error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? 137, stdout, stderr: stderr || (child.pid ? '' : (error?.message ?? '')) }),
    );
  });
}

/** Runs a tool that must succeed; throws otherwise. */
export async function run(file: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await exitOf(file, ...args);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: exit ${code}: ${stderr}`);
  return stdout;
}
