/** publish-ami.sh writes the ids of images to SSM, by name and by date, for each architecture. */

import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'publish-'));
  const log = `[ "$1 $2" = 'ssm put-parameter' ] && echo "$4 $6 $8" >>'${folder}/parameters'`;
  await writeFile(join(folder, 'aws'), `#!/bin/sh\n${log}\n`);
  await chmod(join(folder, 'aws'), 0o755);
});
afterEach(() => rm(folder, { recursive: true }));

async function publish(architecture: string, parameter: string, images: string): Promise<void> {
  const manifest = join(folder, `packer-${architecture}.json`);
  const build = { name: architecture, build_time: 1_767_323_045, artifact_id: images };
  await writeFile(manifest, JSON.stringify({ builds: [build] }, undefined, 2));
  const env = { PATH: `${folder}:/usr/bin:/bin` };
  await promisify(execFile)('sh', ['packer/provision/publish-ami.sh', manifest, parameter, architecture], { env });
}

test('images of two architectures that were built in the same second keep their dated parameters', async () => {
  await publish('x86_64', '/ami/ecs/latest', 'eu-west-1:ami-1,us-east-1:ami-2');
  await publish('arm64', '/ami/ecs/latest-arm64', 'eu-west-1:ami-3');
  const written = await readFile(join(folder, 'parameters'), 'utf8');
  expect(written.trimEnd().split('\n')).toEqual([
    'eu-west-1 /ami/ecs/latest ami-1',
    'eu-west-1 /ami/ecs/20260102T030405Z-x86_64 ami-1',
    'us-east-1 /ami/ecs/latest ami-2',
    'us-east-1 /ami/ecs/20260102T030405Z-x86_64 ami-2',
    'eu-west-1 /ami/ecs/latest-arm64 ami-3',
    'eu-west-1 /ami/ecs/20260102T030405Z-arm64 ami-3',
  ]);
});
