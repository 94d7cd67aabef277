/**
 * The shipped binary and its source, called as people and user data call them: exit codes,
 * messages, files. No AWS, and no other machine.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { commands } from '../../commands/table.ts';

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A closed port: any call over the network fails at once. */
const common = { PATH: '/usr/bin:/bin', AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };

/** Node keeps the compiled source here: each start of it then needs 0.3 s of CPU time less. */
const compiled = mkdtempSync(join(tmpdir(), 'ecs-node-compiled-'));
afterAll(() => rmSync(compiled, { recursive: true }));

const programs = {
  source: () => [process.execPath, 'main.ts'],
  binary: () => [inject('binary')],
};

describe.each(Object.entries(programs))('%s', (name, program) => {
  // The binary starts as on a node, without such a folder.
  const environment = name === 'source' ? { ...common, NODE_COMPILE_CACHE: compiled } : common;
  const run = (...args: string[]): Ran => {
    const [file = '', ...first] = program();
    const { status, stdout, stderr } = spawnSync(file, [...first, ...args], { encoding: 'utf8', env: environment });
    return { code: status, stdout, stderr };
  };

  function openRoot(files: Record<string, string | Uint8Array> = {}) {
    const root = mkdtempSync(join(tmpdir(), 'ecs-node-cli-'));
    onTestFinished(() => rmSync(root, { recursive: true }));
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    return {
      root,
      run: (...args: string[]) => run('--log-format=json', ...args, '--root', root),
      text: (path: string) => readFileSync(join(root, path), 'utf8'),
      has: (path: string) => existsSync(join(root, path)),
    };
  }

  const config = 'etc/ecs-node/config.yaml';
  const faults = ({ stderr }: Ran) =>
    stderr
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as { level: string; message: string; path: string; problem: string; source?: string },
      );

  test('prints its version and nothing else', () => {
    expect(run('--version')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^ecs-node \S+.*\n$/),
    });
    expect(run('status', '--version')).toEqual(run('--version'));
  });

  test('explains itself, and each command, on standard output', () => {
    expect(run('--help')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('Usage: ecs-node COMMAND'),
    });
    for (const { name } of commands.filter(({ hidden }) => hidden !== true)) {
      expect(run(name, '--help')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Examples:') });
    }
  });

  test.each([
    [[]],
    [['chek']],
    [['configure', '--clustr', 'x']],
    [['configure', '--set', 'cluster']],
    [['completion']],
  ])('wrong usage %j exits with 64 and one line that leads to the help', (args) => {
    const { run: runHere, has } = openRoot();
    const ran = runHere(...args);
    expect(ran).toMatchObject({ code: 64, stdout: '' });
    expect(faults(ran)).toHaveLength(1);
    expect(ran.stderr).toMatch(/see: ecs-node .*--help/);
    expect(has('etc')).toBe(false);
  });

  test('a person who pipes the output reads errors as text', () => {
    expect(run('chek').stderr).toMatch(/^ecs-node: unknown command "chek"; did you mean check\? .*\n$/);
    expect(run('check', '--root', '/nonexistent').stderr).toMatch(/^ecs-node: cluster: missing.*\n$/);
  });

  test('configures, checks, and changes nothing when it runs again with the same flags', () => {
    const node = openRoot();
    const flags = [
      '--cluster',
      'prod',
      '--registrar',
      'ssm',
      '--name',
      '{cluster} {shortId}',
      '--set',
      'disk.paths=[/data]',
    ];
    const file = `${node.root}/etc/ecs-node/config.yaml`;
    expect(node.run('configure', ...flags)).toMatchObject({ code: 0, stdout: `${file}: written\n` });
    const first = node.text(config);
    expect(node.run('configure', ...flags)).toMatchObject({
      code: 0,
      stdout: `${file}: unchanged\n`,
    });
    expect(node.text(config)).toBe(first);
    const checked = node.run('check');
    expect(checked).toMatchObject({ code: 0, stderr: '' });
    expect(checked.stdout).toMatch(/^cluster: prod # from \/etc\/ecs-node\/config\.yaml:\d+$/m);
    expect(checked.stdout).toMatch(/^registrar: ssm # from/m);
    expect(checked.stdout).toMatch(/^ {2}paths: \[\/data\] # from/m);
    expect(checked.stdout).toMatch(/^ {2}fullPercent: 90 # default$/m);
  });

  test('the output of check is a configuration with the same effect', () => {
    const node = openRoot({
      [config]: 'cluster: prod\njoin:\n  checks:\n    - command: [/bin/true]\n    - url: http://127.0.0.1/\n',
    });
    const { stdout } = node.run('check');
    const again = openRoot({ [config]: stdout }).run('check');
    expect(again.code).toBe(0);
    expect(parse(again.stdout)).toEqual(parse(stdout));
  });

  test('the output of check is a configuration with the same effect', () => {
    const node = openRoot({
      [config]: 'cluster: no such name\nregistrer: ssm\n',
      'etc/ecs-node/config.d/10-disk.yaml': 'disk:\n  fullPercent: 900\n  checks: many\n',
    });
    const ran = node.run('check');
    expect(ran).toMatchObject({ code: 78, stdout: '' });
    expect(faults(ran).map(({ path, source }) => [path, source])).toEqual([
      ['cluster', `${node.root}/etc/ecs-node/config.yaml:1`],
      ['disk.fullPercent', `${node.root}/etc/ecs-node/config.d/10-disk.yaml:2`],
      ['disk.checks', `${node.root}/etc/ecs-node/config.d/10-disk.yaml:3`],
      ['registrer', `${node.root}/etc/ecs-node/config.yaml:2`],
    ]);
    expect(faults(ran).at(-1)?.problem).toBe('unknown setting; did you mean "registrar"?');
    expect(node.run('check', '--log-format', 'text').stderr.split('\n')[0]).toMatch(
      /^ecs-node: cluster: must be a cluster name.*\(from \/\S+\/etc\/ecs-node\/config\.yaml:1\)$/,
    );
  });

  test.each<[string, string | Uint8Array, RegExp]>([
    ['no UTF-8', Buffer.from([0x63, 0x3a, 0x20, 0xff, 0x0a]), /UTF-8/],
    ['no YAML', 'cluster: [\n', /YAML/],
    ['two settings of one name', 'cluster: a\ncluster: b\n', /same setting twice/],
    ['a list', '- cluster\n', /must hold settings/],
    ['nothing', '', /missing/],
  ])('a file that is %s is a clear error, and no command changes it', (_name, content, problem) => {
    const node = openRoot({ [config]: content });
    for (const args of [['check'], ['configure', '--set', 'disk.prune=false'], ['bootstrap']]) {
      if (content === '' && args[0] !== 'check') continue;
      const ran = node.run(...args);
      expect([args[0], ran.code]).toEqual([args[0], 78]);
      expect(faults(ran)[0]?.problem).toMatch(problem);
    }
    expect(Buffer.from(node.text(config), 'utf8').toString()).toBe(Buffer.from(content).toString('utf8'));
  });

  test('a folder in place of the file, and a named file that is missing, exit with 78', () => {
    const folder = openRoot({ [`${config}/x`]: '' });
    expect(faults(folder.run('check'))[0]).toMatchObject({ path: `${folder.root}/${config}` });
    expect(openRoot().run('check', '--config', '/nowhere.yaml').code).toBe(78);
    expect(openRoot().run('check', 'nowhere.yaml').code).toBe(78);
  });

  test('without a cluster from anywhere nothing is written', () => {
    const node = openRoot();
    const ran = node.run('configure', '--registrar', 'ssm');
    expect(ran.code).toBe(78);
    expect(faults(ran)).toMatchObject([{ path: 'cluster', problem: expect.stringMatching(/^missing/) }]);
    expect(node.has('etc')).toBe(false);
  });

  test('bad flags are refused before any network call, and nothing is written', () => {
    const node = openRoot();
    const ran = node.run('bootstrap', '--cluster', 'no such name', '--set', 'disk.fullPercent=900');
    expect(ran.code).toBe(78);
    expect(faults(ran).map(({ path, source }) => [path, source])).toEqual([
      ['cluster', '--cluster'],
      ['disk.fullPercent', '--set disk.fullPercent'],
    ]);
    expect(ran.stderr).not.toMatch(/metadata/);
    expect(node.has('etc')).toBe(false);
  });

  test('a file can be checked before it is deployed', () => {
    const node = openRoot({ 'new.yaml': 'cluster: next\n', [config]: 'cluster: now\n' });
    expect(node.run('check', 'new.yaml').stdout).toMatch(/^cluster: next # from \/new\.yaml:1$/m);
    expect(node.run('check').stdout).toMatch(/^cluster: now /m);
  });

  test('the policy is JSON without a network, and follows the configuration', () => {
    const node = openRoot({ [config]: 'cluster: prod\nmetrics: {enabled: false}\n' });
    const { code, stdout, stderr } = node.run('policy');
    expect(code).toBe(0);
    expect(stderr).toContain('the policy covers every Auto Scaling group');
    expect(JSON.parse(stdout)).toMatchObject({ Version: '2012-10-17' });
    expect(stdout).not.toContain('cloudwatch:PutMetricData');
    expect(node.run('policy', '--explain').stdout).toMatch(/^ec2:TerminateInstances .*this instance only$/m);
  });

  test('the policy needs no file: flags describe the node', () => {
    const node = openRoot();
    const where = ['--region', 'cn-north-1', '--account', '210987654321', '--group', 'web nodes'];
    const { code, stdout, stderr } = node.run('policy', '--cluster', 'prod', '--registrar', 'ssm', ...where);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('"ssm:DescribeInstanceInformation"');
    expect(stdout).toContain('"arn:aws-cn:ecs:cn-north-1:210987654321:cluster/prod"');
    expect(stdout).toContain('autoScalingGroupName/web nodes"');
    const agent = node.run('policy', '--for', 'ecs-agent', '--cluster', 'prod');
    expect(agent.stdout).toContain('"ecs:RegisterContainerInstance"');
    expect(agent.stdout).toContain('"arn:aws:ecs:*:*:cluster/prod"');
    expect(node.run('policy')).toMatchObject({ code: 78, stderr: expect.stringContaining('cluster') });
  });

  test('status reports that nothing has run yet, and prints JSON for programs', () => {
    const node = openRoot();
    expect(node.run('status')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing has run on this machine yet'),
    });
    expect(JSON.parse(node.run('status', '--json').stdout)).toEqual({ remarks: [] });
  });

  test('status names the fault of a configuration with which nothing can start', () => {
    const { code, stdout } = openRoot({ [config]: 'disk: {fullPercent: 200}\n' }).run('status');
    expect(code).toBe(0);
    expect(stdout).toContain('The configuration is wrong, so nothing can start:\n  disk.fullPercent: must be ');
    expect(stdout).not.toContain('Begin with');
  });

  test('under another root, a fault names the file where it is, and the root must be a folder', () => {
    const node = openRoot({ [config]: 'disk:\n  fullPercent: 200\n' });
    const [missing, fault] = faults(node.run('check'));
    expect(missing).toMatchObject({ path: 'cluster' });
    expect(fault).toMatchObject({ path: 'disk.fullPercent', source: `${node.root}/${config}:2` });
    const ran = run('check', '--root', `${node.root}/${config}`);
    expect(ran.code).toBe(64);
    expect(ran.stderr).toContain(`--root ${node.root}/${config} is not a folder`);
  });

  test('leave and stay report that no agent can take the request', () => {
    for (const command of ['leave', 'stay']) {
      const ran = openRoot().run(command);
      expect(ran.code).toBe(75);
      expect(ran.stderr).toMatch(/nothing can take the request/);
    }
  });

  test('doctor reports each fault of a machine that is no node in one line, exit 1', () => {
    const { code, stdout } = openRoot({ [config]: 'cluster: prod\n' }).run('doctor');
    expect(code).toBe(1);
    for (const line of stdout.trimEnd().split('\n')) expect(line).toMatch(/^(ok|WRONG|unsure) +[\w ]+: /);
    expect(stdout).toMatch(/^WRONG +instance metadata: /m);
  });

  test('the schema matches the repository, and bash accepts the completion script', () => {
    expect(run('schema').stdout).toBe(readFileSync('config.schema.json', 'utf8'));
    const { stdout } = run('completion', 'bash');
    expect(spawnSync('bash', ['-n'], { input: stdout }).status).toBe(0);
  });

  test('a reader that stops early causes no failure', () => {
    const [file = '', ...first] = program();
    const line = [file, ...first, 'schema'].map((word) => `'${word}'`).join(' ');
    const { status, stderr } = spawnSync('bash', ['-c', `set -o pipefail; ${line} | head -n 1 > /dev/null`], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
  });

  test.each(['--version', '--help', 'schema', 'completion bash', 'check --config CONFIG'])(
    'a result that cannot be written is a failure, reported in one line: %s',
    (words) => {
      const file = join(mkdtempSync(join(tmpdir(), 'ecs-node-cli-')), 'config.yaml');
      onTestFinished(() => rmSync(dirname(file), { recursive: true }));
      writeFileSync(file, 'cluster: prod\n');
      const line = [...program(), ...words.replace('CONFIG', file).split(' ')].map((word) => `'${word}'`).join(' ');
      const ended = spawnSync('bash', ['-c', `${line} >/dev/full`], { encoding: 'utf8', env: environment });
      expect([ended.status, ended.stderr.trim().split('\n').at(-1)]).toEqual([
        74,
        expect.stringMatching(/^ecs-node: cannot write to standard output: ENOSPC/),
      ]);
      // A log that cannot be written changes nothing.
      const quiet = spawnSync('bash', ['-c', `${line} 2>/dev/full`], { encoding: 'utf8', env: environment });
      expect(quiet.status).toBe(0);
      expect(quiet.stdout).not.toBe('');
    },
  );

  test('commands in a removed folder work with absolute paths, and refuse relative ones', () => {
    const gone = mkdtempSync(join(tmpdir(), 'ecs-node-gone-'));
    const call = (words: string) => {
      const [file = '', ...first] = program();
      const command = [file, ...first.map((path) => resolve(path))].map((word) => `'${word}'`).join(' ');
      mkdirSync(gone, { recursive: true });
      return spawnSync('bash', ['-c', `cd '${gone}' && rmdir '${gone}' && exec ${command} ${words}`], {
        encoding: 'utf8',
        env: environment,
      });
    };
    expect(call('schema').stdout).toBe(readFileSync('config.schema.json', 'utf8'));
    expect(call('configure --cluster demo --root relative')).toMatchObject({
      status: 64,
      stderr: expect.stringContaining('the current folder was removed'),
    });
  });

  test('a waiting command ends at the first signal', async () => {
    const [file = '', ...first] = program();
    const root = mkdtempSync(join(tmpdir(), 'ecs-node-cli-'));
    onTestFinished(() => rmSync(root, { recursive: true }));
    const child = spawn(file, [...first, 'bootstrap', '--cluster', 'prod', '--root', root], { env: environment });
    await once(child.stderr, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([143, null]);
    // The flags are kept for the next start, and nothing else has been done yet.
    expect(readdirSync(root, { recursive: true, encoding: 'utf8' }).toSorted()).toEqual([
      'etc',
      'etc/ecs-node',
      'etc/ecs-node/config.yaml',
    ]);
  });
});
