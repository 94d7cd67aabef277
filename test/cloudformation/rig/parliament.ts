/** Lints IAM policies with `parliament`, which carries the Service Authorization Reference. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

interface Finding {
  issue: string;
  detail: unknown;
  location: { filepath: string };
}

/** One line for each finding, `name: ISSUE detail`. Each call loads 10 MB first. */
export async function lintPolicies(policies: Readonly<Record<string, object>>): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'policies-'));
  try {
    for (const [name, policy] of Object.entries(policies)) {
      await writeFile(join(folder, `${encodeURIComponent(name)}.json`), JSON.stringify(policy, undefined, 2));
    }
    // It ends with 1 for findings. Its standard input must be empty, or it refuses the folder.
    const running = promisify(execFile)('parliament', ['--directory', folder, '--json'], { maxBuffer: 2 ** 26 });
    running.child.stdin?.end();
    const { stdout } = await running.catch((error: { code: unknown; stdout: string; stderr: string }) => {
      if (error.code === 1 && error.stderr === '') return error;
      throw new Error(`parliament: ${error.stderr}`, { cause: error });
    });
    const findings = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Finding);
    return findings.filter((finding) => !isKnown(finding)).map(render);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * parliament knows each action's keys and the global ones that begin with `aws:`. IAM's page "AWS
 * global condition context keys" also lists ec2:SourceInstanceArn.
 */
function isKnown({ issue, detail }: Finding): boolean {
  return (
    issue === 'UNKNOWN_CONDITION_FOR_ACTION' && String(detail).startsWith('Unknown condition ec2:SourceInstanceARN ')
  );
}

function render({ issue, detail, location }: Finding): string {
  const name = decodeURIComponent(basename(location.filepath, '.json'));
  return `${name}: ${issue} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`;
}
