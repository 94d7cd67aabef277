/** Checks the image template with the real Packer and the real plugin. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packerEnvironment } from './rig/tools.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'template-'));
  await mkdir(join(folder, 'release'));
  for (const architecture of ['x86_64', 'arm64'])
    await writeFile(join(folder, 'release', `ecs-node-linux-${architecture}.tar.xz`), '');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function packer(...args: string[]): Promise<{ code: number; output: string }> {
  const ended = promisify(execFile)('packer', args, { env: packerEnvironment() });
  return ended.then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr,
    }),
  );
}

async function validate(variables: Record<string, unknown>): Promise<{ code: number; output: string }> {
  const file = join(folder, 'given.pkrvars.json');
  await writeFile(file, JSON.stringify({ release_folder: join(folder, 'release'), ...variables }));
  return packer('validate', `-var-file=${file}`, 'packer');
}

test('the template is formatted as Packer formats', async () => {
  expect(await packer('fmt', '-check', '-diff', 'packer')).toEqual({ code: 0, output: '' });
});

test('the region alone is enough', async () => {
  expect(await validate({ region: 'us-east-1' })).toMatchObject({ code: 0 });
});

test('every variable can be set: keys, further regions, other accounts, a closed network', async () => {
  const key = (region: string) => `arn:aws:kms:${region}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
  const given = {
    region: 'us-east-1',
    version: '1.2.3',
    image_name: 'fleet',
    instance_types: { x86_64: 'c7i.large', arm64: 'c7g.large' },
    source_parameters: { x86_64: '/mine/x86_64', arm64: '/mine/arm64' },
    volume_size: 50,
    encrypt: true,
    kms_key_id: key('us-east-1'),
    copy_to: { 'eu-west-1': key('eu-west-1'), 'eu-central-1': key('eu-central-1') },
    share_with: ['123456789013'],
    share_with_organizations: ['arn:aws:organizations::123456789012:organization/o-1234567890'],
    subnet_id: 'subnet-12345678',
    ssh_interface: 'session_manager',
    ssh_from: ['10.0.0.0/8'],
    instance_profile: 'Builder',
    files: 'test/packer/rig/own/files',
    scripts: ['test/packer/rig/own/scripts/install-agent.sh'],
    script_environment: { FLEET_KEY: 'secret' },
    container_images: ['public.ecr.aws/docker/library/redis:7', 'redis@sha256:' + 'a'.repeat(64)],
    keep_running: ['tailscaled.service'],
    ami_parameters: { x86_64: '/ami/ecs/latest', arm64: '/ami/ecs/arm64/latest' },
    tags: { team: 'platform' },
  };
  expect(await validate(given)).toMatchObject({ code: 0 });
});

test('an image that its readers could not decrypt is refused before anything is launched', async () => {
  const refused = await validate({ region: 'us-east-1', share_with: ['123456789013'] });
  expect(refused.code).toBe(1);
  expect(refused.output).toMatch(/default KMS key/i);
});

test.each([
  ['container_images', 'redis; reboot', "must be an image's name"],
  ['keep_running', 'tailscaled', "must be a unit's full name"],
])('%s refuses "%s", which a shell would run or systemd would not know', async (variable, value, words) => {
  const refused = await validate({ region: 'us-east-1', [variable]: [value] });
  expect(refused.code).toBe(1);
  expect(refused.output.replaceAll(/\s+/g, ' ')).toContain(words);
});

test('a missing script is refused before anything is launched', async () => {
  const refused = await validate({ region: 'us-east-1', scripts: ['no/such/script.sh'] });
  expect(refused.code).toBe(1);
  expect(refused.output).toContain('no/such/script.sh');
});

test('without a region, the error names the ways to set one', async () => {
  const refused = await validate({});
  expect(refused.code).toBe(1);
  expect(refused.output).toContain('-var region=us-east-1');
});

test('get-packer.sh builds the version that the template pins', async () => {
  const template = await readFile('packer/ecs-node.pkr.hcl', 'utf8');
  const script = await readFile('packer/get-packer.sh', 'utf8');
  const [, pinned] = /version = "(\d+\.\d+\.\d+)"/.exec(template)!;
  expect(script).toContain(`amazon_version=v${pinned}\n`);
});
