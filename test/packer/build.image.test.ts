/**
 * Builds the image for real: the amazon-ebs builder against moto, its provisioners over SSH on a
 * machine that boots, the real dnf.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { packRpm } from '../../scripts/release/rpm.ts';
import { stageRelease } from '../../scripts/release/stage.ts';
import { ensureBase } from '../boot/rig/base.ts';
import { packerEnvironment } from './rig/tools.ts';

const rig = join(import.meta.dirname, 'rig');
let folder: string;
let output = '';
let code: number | null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-'));
  const { release, rpm } = await makeRelease();
  const base = await ensureBase(['openssh-server', 'sudo', 'rpm', 'dnf']);
  const words = [
    join(rig, 'world.sh'),
    base,
    join(folder, 'world'),
    join(rig, 'build.sh'),
    join(folder, 'world'),
    release,
    rpm,
  ];
  const build = spawn('unshare', ['--mount', '--net', '--pid', '--fork', '--kill-child', ...words], {
    env: packerEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [build.stdout, build.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  [code] = (await once(build, 'close')) as [number | null];
  // Ten minutes: the first run also makes the base, and the machine may be busy.
}, 600_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/**
 * The real binary, in a release that is quick to pack. Packer only checks that the other
 * architecture's archive exists.
 */
async function makeRelease(): Promise<{ release: string; rpm: string }> {
  const release = join(folder, 'release');
  const staged = join(folder, 'staged');
  await mkdir(release);
  const completions = { 'ecs-node.bash': '', 'ecs-node.zsh': '', 'ecs-node.fish': '' };
  await stageRelease(staged, { binary: inject('binary'), version: '1.0.0', completions }, 0);
  const archive = join(release, 'ecs-node-linux-x86_64.tar.xz');
  const pack = spawn('tar', ['-C', staged, '-I', 'xz -0', '-cf', archive, '.'], { stdio: 'inherit' });
  await once(pack, 'close');
  await cp(archive, join(release, 'ecs-node-linux-arm64.tar.xz'));

  await writeFile(join(staged, 'ecs-node'), '#!/bin/sh\n');
  const rpm = join(folder, 'ecs-node.rpm');
  await packRpm(rpm, staged, { version: '1.0.0', architecture: 'x86_64', epochSeconds: 0 });
  return { release, rpm };
}

const text = (name: string) => readFile(join(folder, 'world', name), 'utf8');
const json = async <T>(name: string) => JSON.parse(await text(name)) as T;

test('the image is built with the real dnf and with running daemons, and holds nothing of the build instance', async () => {
  expect({ code, output }).toMatchObject({ code: 0 });
  expect(output).toContain('verified: fit to be an image');
  expect(await text('verified')).toBe('verified: fit to be an image\n');
});

test.each([
  '/var/lib/ecs-node/bootstrap.json',
  '/var/lib/ecs/data/agent.db',
  '/etc/ecs/ecs.config names a cluster',
  '/var/lib/cloud/instance is there',
  '/var/lib/cloud/instances/i-0build/user-data.txt',
  '/var/lib/cloud/sem/config_scripts_user.once',
  '/etc/machine-id is not empty',
  '/etc/ssh/ssh_host_ed25519_key is there',
  '/home/ec2-user/.ssh/authorized_keys',
  '/root/.ssh/authorized_keys',
  '/root/.bash_history',
  '/root/.aws/credentials',
  '/root/.docker/config.json',
  '/var/log/',
  '/var/tmp/',
  '/var/lib/amazon/ssm/Vault/Store/RegistrationKey',
  '/var/lib/docker/engine-id',
  '/usr/bin/ecs-node is missing',
  '/usr/lib/systemd/system/ecs-node.service is missing',
])('a machine with this fault becomes no image: %s', async (fault) => {
  expect(await text('unclean')).toContain(`verify-image.sh: ${fault}`);
});

test('settings in ecs.config that people set on purpose stay', async () => {
  expect(await text('upper/etc/ecs/ecs.config')).toBe('ECS_RESERVED_MEMORY=256\n');
});

test("the builder's own files and container images are in the image, and belong to root", async () => {
  expect(await text('upper/etc/chrony/conf.d/fleet.conf')).toContain('server time.example.com');
  const { uid, mode } = await stat(join(folder, 'world/upper/etc/chrony/conf.d/fleet.conf'));
  expect([uid, (mode & 0o777).toString(8)]).toEqual([0, '644']);
  expect(await text('upper/var/lib/docker/pulled')).toBe('public.ecr.aws/docker/library/redis:7\n');
});

test('the agents that the build stopped run again on a node of that image', async () => {
  expect(await text('node-enabled')).toBe('enabled enabled enabled enabled\n');
  expect(await text('node-drop-ins')).toBe('DropInPaths=/usr/lib/systemd/system/ecs.service.d/10-ecs-node.conf\n');
});

test('a Packer that connects through the SSM agent keeps its connection, and the image holds nothing of that agent', async () => {
  expect((await text('again')).split('\n').slice(-4)).toEqual([
    'clean: nothing of this instance is left',
    'verified: fit to be an image',
    'active',
    '',
  ]);
  expect(await text('verified-again')).toBe('verified: fit to be an image\n');
});

test("each region's parameter names the image of that region", async () => {
  const ids = new Set<string>();
  for (const region of ['us-east-1', 'eu-west-1']) {
    const { Parameters } = await json<{ Parameters: { Name: string; Value: string }[] }>(`parameters-${region}.json`);
    const { Images } = await json<{ Images: { ImageId: string }[] }>(`images-${region}.json`);
    const latest = Parameters.find(({ Name }) => Name === '/ami/ecs/latest')!;
    expect(Images.map(({ ImageId }) => ImageId)).toEqual([latest.Value]);
    // The same image is named by the time of its build, for a roll back.
    const dated = Parameters.filter(({ Name }) => /^\/ami\/ecs\/\d{8}T\d{6}Z-x86_64$/.test(Name));
    expect(dated.map(({ Value }) => Value)).toEqual([latest.Value]);
    ids.add(latest.Value);
  }
  expect(ids.size).toBe(2);
});

test('the build instance had no IMDSv1, and the build leaves nothing in AWS', async () => {
  type Instances = {
    Reservations: { Instances: { State: { Name: string }; MetadataOptions: { HttpTokens: string } }[] }[];
  };
  const { Reservations } = await json<Instances>('instances.json');
  const instances = Reservations.flatMap(({ Instances }) => Instances);
  expect(instances.map(({ State, MetadataOptions }) => [State.Name, MetadataOptions.HttpTokens])).toEqual([
    ['terminated', 'required'],
  ]);
  expect(await json<object>('keys.json')).toEqual({ KeyPairs: [] });
  const { SecurityGroups } = await json<{ SecurityGroups: { GroupName: string }[] }>('groups.json');
  expect(SecurityGroups.map(({ GroupName }) => GroupName)).toEqual(['default']);
});

test("the package enables the units once, keeps an operator's choice in an update, and removes them at its end", async () => {
  expect(await text('units-installed')).toBe('enabled enabled\n');
  expect(await text('units-updated')).toBe('enabled disabled\n');
  expect(await text('units-removed')).toBe('');
});
