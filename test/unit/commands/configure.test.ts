import { expect, test } from 'vitest';
import { planConfiguration, writeEdits } from '../../../commands/configure.ts';
import { resolveConfig } from '../../../config/load-config.ts';
import { flagsFile } from '../../../config/sources/edit-files.ts';
import { settingsOfFlags } from '../../../config/sources/flags.ts';
import { settingFlags } from '../../../commands/flags.ts';
import { ConfigError } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { openStage } from './stage.ts';

const dropIn = `${paths.dropIns}/50-team.yaml`;

function openNode(files: Record<string, string | Error> = {}) {
  const { host, world } = openFakeHost();
  for (const [path, text] of Object.entries(files)) world.machine.files.set(path, text);
  const caller = { configFile: paths.config, configFileGiven: false, log: host.log };
  const plan = (flags: Record<string, string | string[]>) =>
    planConfiguration(host.machine, caller, settingsOfFlags(settingFlags, { flags, operands: [] }));
  return {
    world,
    plan,
    text: (path: string = paths.config) => world.machine.files.get(path),
    async configure(flags: Record<string, string | string[]>) {
      const { files: found, flagLayers, edits } = await plan(flags);
      resolveConfig(found, flagLayers);
      return writeEdits(host.machine, edits);
    },
    async effective() {
      const { files: found } = await plan({});
      return resolveConfig(found, []).config;
    },
  };
}

test('a first configuration begins with a comment that explains it', async () => {
  const node = openNode();
  await node.configure({ cluster: 'prod', set: ['disk.fullPercent=85', 'disk.paths=[/data]'] });
  expect(node.text()).toMatch(/^# Settings of this ECS node\./);
  expect(await node.effective()).toMatchObject({ cluster: 'prod', disk: { fullPercent: 85, paths: ['/data'] } });
});

test('configure names the file that it wrote with the root, as faults do', async () => {
  const stage = await openStage();
  const { printed } = await stage.run(['configure', '--cluster', 'prod'], {
    environment: { AWS_EC2_METADATA_DISABLED: 'true' },
  });
  expect(printed).toBe(`${stage.root}${paths.config}: written\n`);
});

test('configuring twice leaves the same bytes, in any style of file', async () => {
  const text = '# ours\n\ncluster:   "prod"   # the big one\ndisk: {fullPercent: 85, prune: yes please}\n'.replace(
    'yes please',
    'true',
  );
  const node = openNode({ [paths.config]: text });
  await node.configure({ cluster: 'prod', set: ['disk.fullPercent=85'] });
  expect(node.text()).toBe(text);
  await node.configure({ cluster: 'stage' });
  const once = node.text();
  expect(await node.configure({ cluster: 'stage' })).toEqual([{ path: paths.config, what: 'unchanged' }]);
  expect(node.text()).toBe(once);
});

test('comments, order and everything that no flag names stay', async () => {
  const node = openNode({
    [paths.config]:
      '# head\ncluster: old # the old one\n\n# about disks\ndisk:\n  # when to worry\n  fullPercent: 80 # less than usual\n  checks: 5\nspot:\n#  action: log\n# end\n',
  });
  await node.configure({ cluster: 'new', set: ['disk.fullPercent=85', 'spot.marginSeconds=30'] });
  expect(node.text()).toBe(
    '# head\ncluster: new # the old one\n\n# about disks\ndisk:\n  # when to worry\n  fullPercent: 85 # less than usual\n  checks: 5\nspot:\n  marginSeconds: 30\n  #  action: log\n  # end\n',
  );
});

test('text that YAML would read as another type is still text after a reboot', async () => {
  const node = openNode();
  for (const cluster of ['123', 'true', 'null', '0x1F', '1e3']) {
    await node.configure({ cluster });
    expect((await node.effective()).cluster).toBe(cluster);
  }
});

test('a flag takes precedence over a drop-in after a reboot, too, and the drop-in is unchanged', async () => {
  const node = openNode({ [dropIn]: 'cluster: team\ndisk:\n  checks: 5\n' });
  await node.configure({ cluster: 'prod', set: ['disk.fullPercent=85'] });
  expect(node.text(flagsFile)).toMatch(/^# Written by ecs-node.*\n\ncluster: prod\n$/);
  expect(node.text(dropIn)).toBe('cluster: team\ndisk:\n  checks: 5\n');
  expect(await node.effective()).toMatchObject({ cluster: 'prod', disk: { fullPercent: 85, checks: 5 } });
  await node.configure({ cluster: 'prod' });
  expect((await node.effective()).cluster).toBe('prod');
});

test('an override that is no longer needed is removed from our own drop-in', async () => {
  const node = openNode({ [dropIn]: 'cluster: team\n' });
  await node.configure({ cluster: 'prod', registrar: 'none' });
  node.world.machine.files.delete(dropIn);
  expect(await node.configure({ cluster: 'stage' })).toContainEqual({ path: flagsFile, what: 'removed' });
  expect(node.text(flagsFile)).toBeUndefined();
  expect((await node.effective()).cluster).toBe('stage');
});

test('a flag that a later file would override is refused', async () => {
  const node = openNode({ [`${paths.dropIns}/zzz.yaml`]: 'cluster: team\n' });
  await expect(node.configure({ cluster: 'prod' })).rejects.toThrow(/^cluster: is overridden by .*zzz\.yaml:1/);
  expect(node.text()).toBeUndefined();
});

// The error named a drop-in that did not exist, and the operator was told to remove a line there.
test('two flags that set one setting to different values are refused, and both are named', async () => {
  const node = openNode();
  const twice = node.configure({ cluster: 'prod', registrar: 'none', set: ['disk.checks=2', 'disk.checks=3'] });
  await expect(twice).rejects.toThrow(
    'disk.checks: is given two values, by --set disk.checks and by --set disk.checks; give one of them',
  );
  await expect(node.configure({ cluster: 'prod', set: ['cluster=stage'] })).rejects.toThrow(
    'cluster: is given two values, by --cluster and by --set cluster; give one of them',
  );
  expect(node.text()).toBeUndefined();
  await node.configure({ cluster: 'prod', registrar: 'none', set: ['disk.checks=2', 'disk.checks=2'] });
  expect(await node.effective()).toMatchObject({ cluster: 'prod', disk: { checks: 2 } });
});

test('an alias to another section is not edited through, and its target stays', async () => {
  const node = openNode({
    [paths.config]: 'cluster: a\nspot: &s\n  action: log\n  pollSeconds: 10\nmaintenance: *s\n',
  });
  await node.configure({ set: ['maintenance.pollSeconds=30'] });
  expect(await node.effective()).toMatchObject({
    spot: { action: 'log', pollSeconds: 10 },
    maintenance: { action: 'log', pollSeconds: 30 },
  });
});

test('every fault of every file and flag is reported at once, and nothing is written', async () => {
  const files = {
    [paths.config]: 'cluster: prod\nregistrer: ssm\n',
    [dropIn]: 'disk:\n  fullPercent: 900\n',
    [`${paths.dropIns}/60.yaml`]: 'a: [\n',
    [`${paths.dropIns}/70.yaml`]: new ConfigError([{ path: `${paths.dropIns}/70.yaml`, problem: 'is not UTF-8 text' }]),
  };
  const node = openNode(files);
  const error = await node.configure({ set: ['metrics.everySeconds=1'] }).catch((thrown: unknown) => thrown as Error);
  expect((error as Error).message.split('\n').map((line) => line.split(': ')[0])).toEqual([
    `${paths.dropIns}/70.yaml`,
    `${paths.dropIns}/60.yaml:2`,
    'disk.fullPercent',
    'metrics.everySeconds',
    'registrer',
  ]);
  expect((error as Error).message).toContain('(from --set metrics.everySeconds)');
  expect((error as Error).message).toContain(`(from ${paths.config}:2)`);
  expect(Object.fromEntries(node.world.machine.files)).toEqual(files);
});

test('a missing setting may still come from tags or user data', async () => {
  expect((await openNode().plan({ registrar: 'opsworks' })).lacksOutside).toBe(true);
  expect((await openNode().plan({ cluster: 'a' })).lacksOutside).toBe(false);
  await expect(openNode().plan({ registrar: 'opsworks', set: ['disk.fullPercent=0'] })).rejects.toThrow(
    /^disk\.fullPercent: [^\n]*$/,
  );
});

test('a file with another ending is no drop-in, and a near miss is named', async () => {
  const node = openNode({
    [paths.config]: 'cluster: prod\n',
    [`${paths.dropIns}/10.yaml~`]: 'cluster: old\n',
    [`${paths.dropIns}/.hidden.yaml`]: 'cluster: hidden\n',
    [`${paths.dropIns}/20.yml`]: 'cluster: typo\n',
  });
  expect((await node.effective()).cluster).toBe('prod');
  expect(node.world.log).toContainEqual(
    expect.objectContaining({ level: 'warn', fields: { path: `${paths.dropIns}/20.yml` } }),
  );
});

test('a flag takes precedence over pulled documents, now and later', async () => {
  const pulled = (text: string) =>
    JSON.stringify({ source: 'ssm:/ecs/web', good: [{ name: 'all', version: '1', text }] });
  const node = openNode();
  await node.configure({ cluster: 'prod', set: ['refresh.source=ssm:/ecs/web', 'disk.fullPercent=85', 'name=web'] });
  // Documents may not set these two, so the flags' file need not protect them.
  expect(node.text(flagsFile)).toContain('fullPercent: 85');
  expect(node.text(flagsFile)).not.toMatch(/source|name/);
  node.world.machine.files.set(paths.refreshed, pulled('disk: {fullPercent: 95, checks: 9}\n'));
  expect((await node.effective()).disk).toMatchObject({ fullPercent: 85, checks: 9 });
  await node.configure({ set: ['disk.checks=4'] });
  expect((await node.effective()).disk).toMatchObject({ fullPercent: 85, checks: 4 });
  expect(await node.configure({ set: ['disk.checks=4', 'disk.fullPercent=85'] })).toEqual([
    { path: paths.config, what: 'unchanged' },
    { path: flagsFile, what: 'unchanged' },
  ]);
});
