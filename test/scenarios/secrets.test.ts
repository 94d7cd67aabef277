/**
 * Plants secrets in everything that a node reads, and searches for them in everything that it
 * prints, writes and sends.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { scenario, type Scene } from './scenario.ts';
import { opsworks, settings, type Node } from './stage.ts';

const authData = '{"https://index.docker.io/v1/":{"auth":"canary-auth-data"}}';
const planted = settings({
  'ecs.settings.ECS_ENGINE_AUTH_TYPE': 'docker',
  'ecs.settings.ECS_ENGINE_AUTH_DATA': `'${authData}'`,
  'ecs.settings.HTTP_PROXY': "http://me:it's-canary-proxy@127.0.0.1:3128",
  'join.checks': '[{command: [/canary-check, --password=canary-argument, -u, "user:canary-user"]}]',
});
const pulled = settings({ 'refresh.source': 'ssm:/canary', 'refresh.also': '[ecs]', 'refresh.everySeconds': 30 });
const flags = [...opsworks, ...planted.slice(0, -2), ...pulled, ...settings({ 'bootstrap.timeoutSeconds': 30 })];

const userData = '#!/bin/sh\nexport DB_PASSWORD=canary-user-data\n';
const hook = '#!/bin/sh\necho "password=canary-hook token: x"\nenv\nexit 3\n';

async function prepare({ simulator }: Scene, node: Node): Promise<void> {
  simulator.world.instances.get(node.id)!.userData = userData;
  simulator.verbs.putParameter(
    '/canary/secret',
    'ecs: {settings: {ECS_PASSWORD: canary-secure-string}}',
    'SecureString',
  );
  await node.write('etc/ecs-node/hooks.d/joined/tells', hook, 0o755);
  await node.write('etc/ecs-node/hooks.d/left/tells', hook, 0o755);
}

/** As the metadata service gives them to this node. */
async function credentialsOf({ simulator }: Scene, node: Node): Promise<string[]> {
  const endpoint = simulator.imdsEndpoint(node.id);
  const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
  const token = await (await fetch(`${endpoint}/latest/api/token`, { method: 'PUT', headers })).text();
  const get = async (path: string) =>
    (await fetch(`${endpoint}/latest/meta-data/${path}`, { headers: { 'x-aws-ec2-metadata-token': token } })).text();
  const role = await get('iam/security-credentials/');
  const keys = JSON.parse(await get(`iam/security-credentials/${role}`)) as Record<string, string>;
  return [keys['SecretAccessKey']!, keys['Token']!];
}

interface Found {
  path: string;
  mode: number;
  isFile: boolean;
  text: string;
}

/** The files below the node's root, except those that stand in for the machine itself. */
async function filesOf(root: string): Promise<Found[]> {
  const names = await readdir(root, { recursive: true });
  const own = names.filter((name) => /^(etc|var\/lib|run)\//.test(name));
  return Promise.all(
    own.map(async (path) => {
      const { mode } = await lstat(join(root, path));
      const isFile = (mode & 0o170000) === 0o100000;
      return {
        path,
        mode: mode & 0o7777,
        isFile,
        text: isFile ? await readFile(join(root, path), 'utf8') : '',
      };
    }),
  );
}

// Flags win over what is pulled, hence the second one.
const holders = [
  'etc/ecs-node/config.d/zz-flags.yaml',
  'etc/ecs-node/config.yaml',
  'etc/ecs/ecs.config',
  'run/ecs-node/last-good.json',
  'var/lib/ecs-node/refreshed.json',
];

async function expectNoSecret(scene: Scene, node: Node, keys: readonly string[], said: string): Promise<void> {
  const { expect } = scene;
  const secrets = [
    ...keys,
    'canary-auth-data',
    'canary-secure-string',
    'canary-proxy',
    'canary-user-data',
    'canary-hook',
  ];
  expect(secrets.every((secret) => secret.length > 8)).toBe(true);
  const files = (await filesOf(node.root)).filter(({ path }) => !path.includes('/hooks.d/'));
  // They were there to be found.
  for (const secret of ['canary-auth-data', 'canary-secure-string', 'canary-proxy'])
    expect(
      files.some(({ text }) => text.includes(secret)),
      secret,
    ).toBe(true);
  const sent = JSON.stringify(scene.simulator.calls.find({}).map(({ params }) => params));
  const tags = JSON.stringify([...scene.simulator.world.instances.get(node.id)!.tags]);
  for (const secret of secrets) {
    expect.soft(said, secret).not.toContain(secret);
    expect.soft(sent, secret).not.toContain(secret);
    expect.soft(tags, secret).not.toContain(secret);
    const holding = files.filter(({ text }) => text.includes(secret)).map(({ path }) => path);
    expect
      .soft(
        holding.filter((path) => !holders.includes(path)),
        secret,
      )
      .toEqual([]);
  }
  for (const { path, mode, isFile } of files) {
    expect.soft(mode & 0o022, `${path} can be written by others`).toBe(0);
    if (isFile && holders.includes(path)) expect.soft(mode, path).toBe(0o600);
  }
  expect(
    files
      .filter(({ path }) => holders.includes(path))
      .map(({ path }) => path)
      .toSorted(),
  ).toEqual(holders);
}

async function askAll(node: Node): Promise<string> {
  const said: string[] = [node.log.map((line) => JSON.stringify(line)).join('\n')];
  for (const format of ['json', 'text']) {
    for (const words of [
      ['status'],
      ['check'],
      ['check', '--metadata'],
      ['effective'],
      ['doctor'],
      ['policy'],
      ['policy', '--explain'],
    ]) {
      const { stdout, stderr } = await node.run(['--log-format', format, '--verbose', ...words]);
      said.push(stdout, stderr);
    }
  }
  return said.join('\n');
}

describe('no secret is printed, sent or left in a file that others may read', () => {
  scenario(
    'by a node that joins, is asked everything, and leaves',
    { flags, hooks: false, boots: false },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await prepare(scene, node);
      const keys = await credentialsOf(scene, node);
      expect(await node.boot()).toBe(0);
      await scene.inService(node);
      await scene.logged(node, 'hook failed');
      expect(JSON.stringify(node.log.find(({ message }) => message === 'hook failed'))).toMatch(/password=\(hidden\)/);
      const asked = await askAll(node);
      const { stdout, stderr } = await node.run(['leave', '--no-wait', '--reason', 'because']);
      await scene.gone(node);
      const log = node.log.map((line) => JSON.stringify(line)).join('\n');
      await expectNoSecret(scene, node, keys, `${asked}${stdout}${stderr}${log}`);
      // A hook receives the facts about the node, but none of its keys.
      expect(log).not.toMatch(/AWS_[A-Z]/);
    },
  );

  scenario(
    'by a node that OpsWorks never takes, and that ends itself',
    { flags, hooks: false, boots: false, settings: { opsworks: { registersAs: 'setup_failed' } } },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await prepare(scene, node);
      const keys = await credentialsOf(scene, node);
      expect([77, 137]).toContain(await node.boot());
      await scene.gone(node);
      await expectNoSecret(scene, node, keys, await askAll(node));
    },
  );
});

describe("a caller's umask", () => {
  test.each(['000', '022', '077', '777'])('under umask %s a node writes the same modes', async (umask) => {
    const root = await mkdtemp(join(tmpdir(), 'ecs-node-mask-'));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    const words = ['configure', '--root', root, '--cluster', 'demo', ...planted];
    const { status, stderr } = spawnSync(
      '/bin/sh',
      ['-c', 'umask "$0"; exec "$@"', umask, inject('binary'), ...words],
      {
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', AWS_EC2_METADATA_DISABLED: 'true' },
      },
    );
    expect([status, stderr]).toEqual([0, '']);
    const modes = (await filesOf(root)).map(({ path, mode }) => [path, mode.toString(8)]);
    expect(Object.fromEntries(modes)).toEqual({ 'etc/ecs-node': '755', 'etc/ecs-node/config.yaml': '600' });
  });

  test('leaves files without a secret readable for all and writable for root', async () => {
    const root = await mkdtemp(join(tmpdir(), 'ecs-node-mask-'));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    spawnSync(inject('binary'), ['configure', '--root', root, '--cluster', 'demo'], { env: {} });
    expect((await lstat(join(root, 'etc/ecs-node/config.yaml'))).mode & 0o7777).toBe(0o644);
  });
});

describe('the binary does not trust its environment:', () => {
  const run = (environment: Record<string, string>, ...words: string[]) =>
    spawnSync(inject('binary'), words, { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', ...environment } });

  test('NODE_OPTIONS loads nothing into it', () => {
    const { status, stdout, stderr } = run(
      { NODE_OPTIONS: '--require /no/such/file.js', NODE_DEBUG: 'http' },
      '--version',
    );
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ecs-node /);
  });

  const ofFleet = ['--cluster', 'demo', '--region', 'us-east-1'];
  test.each([
    ['bootstrap', []],
    ['agent', []],
    ['doctor', []],
    ['policy', []],
    ['fleet', ofFleet],
    ['fleet', [...ofFleet, '--history']],
    ['sweep', ofFleet],
    ['service-size', [...ofFleet, '--service', 'web']],
  ])('%s reaches no AWS without TLS, and the error names the variable to fix', async (command, flags) => {
    const root = await mkdtemp(join(tmpdir(), 'ecs-node-tls-'));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    const { status, stderr } = run(
      { AWS_ENDPOINT_URL_ECS: 'http://192.0.2.1', AWS_ENDPOINT_URL: 'http://192.0.2.2' },
      command,
      '--root',
      root,
      ...flags,
    );
    expect(status).toBe(78);
    expect(stderr).toContain('AWS_ENDPOINT_URL_ECS');
    expect(stderr).toContain('ecs-node: AWS_ENDPOINT_URL: ');
    expect(await readdir(root)).toEqual([]);
  });

  const openssl = spawnSync('openssl', ['version']).status === 0;

  // In CI it is there, or this fails.
  test.skipIf(!openssl && process.env['CI'] !== 'true')(
    'certificates are checked, also with NODE_TLS_REJECT_UNAUTHORIZED=0',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'ecs-node-tls-'));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
      spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject]);
      let asked = 0;
      const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (_, response) => {
        asked += 1;
        response.setHeader('content-type', 'application/x-amz-json-1.1').end('{"InstanceInformationList":[]}');
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      onTestFinished(() => void server.close());
      const ask = async (more: Record<string, string>) => {
        const { port } = server.address() as AddressInfo;
        const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
        const child = spawn(inject('binary'), ['cloud', JSON.stringify({ instanceId: 'i-1', region: 'us-east-1' })], {
          env: { PATH: '/usr/bin:/bin', AWS_ENDPOINT_URL: `https://127.0.0.1:${port}`, ...keys, ...more },
        });
        let said = '';
        child.stdout.on('data', (text: Buffer) => (said += text.toString()));
        child.stderr.on('data', (text: Buffer) => (said += text.toString()));
        child.stdin.end('{"id":1,"verb":"readPing","args":[]}\n');
        await once(child, 'close');
        return said;
      };
      const forced = await ask({ NODE_TLS_REJECT_UNAUTHORIZED: '0' });
      expect(forced).toMatch(/self.signed certificate/);
      expect(forced).toContain('NODE_TLS_REJECT_UNAUTHORIZED is not heeded');
      expect(asked).toBe(0);
      expect(await ask({ NODE_EXTRA_CA_CERTS: cert })).toContain('{"id":1}');
      expect(asked).toBe(1);
    },
  );
});
