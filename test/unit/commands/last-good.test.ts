import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { effectiveArgs, firstEffectiveWords } from '../../../commands/agent.ts';
import type { Config } from '../../../config/config.ts';
import { readOutsideAtBoot, untilComplete } from '../../../commands/bootstrap.ts';
import { keepBooted, keepLastGood } from '../../../commands/last-good.ts';
import { assetTag } from '../../../commands/node/identify.ts';
import { keepUserData } from '../../../commands/user-data-copy.ts';
import { renderRefreshed } from '../../../config/remote/refreshed.ts';
import { resolveConfig } from '../../../config/load-config.ts';
import { readConfig, readConfigOrLastGood, type Effective } from '../../../commands/node/effective.ts';
import { ConfigError, Unavailable } from '../../../core/errors.ts';
import type { Machine } from '../../../core/host.ts';
import { openLog } from '../../../core/log.ts';
import { paths } from '../../../core/state/state.ts';
import { openFiles } from '../../../host/files/files.ts';
import { openFakeClock } from '../../fakes/clock.ts';
import { emptyMachine, openMachine } from '../../fakes/machine.ts';
import { emptyMetadata, openMetadata, someIdentity } from '../../fakes/metadata.ts';
import { openMetadataService, openStage, someDocument } from './stage.ts';
import { stopTimers } from '../host/stop-timers.ts';

stopTimers();

const noop = () => {};

const config = 'etc/ecs-node/config.yaml';

async function openNode() {
  const stage = await openStage();
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: await openMetadataService() };
  return { ...stage, read: async (words: readonly string[]) => stage.run(words, { environment }) };
}

test('a restarted agent continues with its last good configuration, passwords and numbers unchanged', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\necs: {settings: {ECS_A: 012, ECS_ENGINE_AUTH_DATA: canary}}\n');
  const good = await node.read(firstEffectiveWords);
  expect(good.end).toBe(0);
  await node.write(config, 'cluster: prod\ndisk: {fullPercent: lots}\n');
  const again = await node.read(firstEffectiveWords);
  expect(again.end).toBe(0);
  const refused = expect.stringContaining('disk.fullPercent') as string;
  expect(JSON.parse(again.printed)).toEqual({ ...(JSON.parse(good.printed) as object), refused });
  expect(again.logged.map(({ level, message }) => `${level}: ${message}`)).toContain(
    'error: configuration not valid: the agent goes on with the last good one',
  );
  expect(JSON.stringify(again.logged)).toContain('disk.fullPercent');
});

test('an agent that is updated leaves out the entries of lists that only the old version accepted', async () => {
  const group = (name: string) =>
    `arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/${name}/0123456789abcdef`;
  const node = await openNode();
  await node.write(config, `cluster: prod\nleave: {targetGroups: [${group('a')}, ${group('b')}]}\n`);
  await node.read(firstEffectiveWords);
  const file = join(node.root, paths.lastGood);
  const kept = await readFile(file, 'utf8');
  const balancer = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/0123456789abcdef';
  const old = [balancer, group('a'), 'arn:aws:elasticloadbalancing:', group('b')];
  await writeFile(file, kept.replace(/"targetGroups":\[[^\]]*\]/, `"targetGroups":${JSON.stringify(old)}`));
  await node.write(config, `cluster: prod\nleave: {targetGroups: ${JSON.stringify(old)}}\n`);
  const updated = await node.read(firstEffectiveWords);
  expect(updated.end).toBe(0);
  const { config: found, refused } = JSON.parse(updated.printed) as Effective;
  expect(found.leave.targetGroups).toEqual([group('a'), group('b')]);
  expect(refused).toContain('leave.targetGroups.0');
});

// The defaults came back: nodes that the team keeps could leave, and stopped their tasks.
describe('settings that a node has pulled', () => {
  const source = 'ssm:/ecs/prod';
  const pulled = (...texts: string[]) =>
    renderRefreshed({ source, good: texts.map((text, at) => ({ name: `${at}.yaml`, version: '1', text })) });
  const leave = 'disk: {leave: false, fullPercent: 80, clearPercent: 70}\n';

  async function openPulledNode() {
    const node = await openNode();
    await node.write(config, `cluster: prod\nrefresh: {source: "${source}"}\n`);
    await node.write(paths.refreshed.slice(1), pulled(leave));
    await node.read(firstEffectiveWords);
    return node;
  }

  test.each([
    ['a document that this version refuses', paths.refreshed, pulled(leave, 'disk: {brandNew: 1}\n'), ConfigError],
    ['a drop-in that does not fit them', `${paths.dropIns}/50-mine.yaml`, 'disk: {clearPercent: 85}\n', ConfigError],
    ['a damaged file', paths.refreshed, '\0'.repeat(500), Unavailable],
  ])('survive %s, at a reload and at a restart', async (_, path, text, kind) => {
    const node = await openPulledNode();
    await node.write(path.slice(1), text);
    expect((await node.read(effectiveArgs)).end).toBeInstanceOf(kind);
    const { config: found, refused } = JSON.parse((await node.read(firstEffectiveWords)).printed) as Effective;
    expect(found.disk).toMatchObject({ leave: false, fullPercent: 80, clearPercent: 70 });
    expect(refused !== undefined).toBe(kind === ConfigError);
  });

  test('keep no agent from starting where nothing else is kept', async () => {
    const node = await openPulledNode();
    await node.write(paths.lastGood.slice(1), '');
    await node.write(paths.refreshed.slice(1), pulled(leave, 'disk: {brandNew: 1}\n'));
    const { config: found, refused } = JSON.parse((await node.read(firstEffectiveWords)).printed) as Effective;
    expect(found.disk.leave).toBe(false);
    expect(refused).toContain('disk.brandNew');
    await node.write(paths.lastGood.slice(1), '');
    await node.write(paths.refreshed.slice(1), '{');
    expect((await node.read(firstEffectiveWords)).end).toBe(0);
  });
});

// The default hook came back: the node completed a hook that its operator had switched off.
test('a restarted agent leaves a hook alone that its last good configuration switches off', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\nautoScaling: {launchHook: ""}\n');
  const good = await node.read(firstEffectiveWords);
  await node.write(config, 'cluster: [\n');
  const again = await node.read(firstEffectiveWords);
  const hooksOf = ({ printed }: typeof good) => (JSON.parse(printed) as { config: Config }).config.autoScaling;
  expect(hooksOf(again)).toEqual(hooksOf(good));
  expect(hooksOf(again).launchHook).toBeUndefined();
});

test('a reload of a damaged configuration is refused, so that the operator notices', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\n');
  expect((await node.read(firstEffectiveWords)).end).toBe(0);
  await node.write(config, 'cluster: [\n');
  expect((await node.read(effectiveArgs)).end).toBeInstanceOf(ConfigError);
});

test.each(['', '{"config":{"cluster":5}}', '{"config":', '[]'])(
  'a node without a last good configuration (%j) reports the faults of the present one',
  async (kept) => {
    const node = await openNode();
    await node.write(config, 'cluster: "no such name"\n');
    if (kept !== '') await node.write('run/ecs-node/last-good.json', kept);
    const { end } = await node.read(firstEffectiveWords);
    expect(end).toBeInstanceOf(ConfigError);
    expect(String(end)).toContain('cluster: must be a cluster name');
  },
);

// One 404 of the metadata service dropped every setting of a tag at the next reload.
describe('tags that the metadata service shows no more', () => {
  const { signal } = new AbortController();

  async function openNodeWithTags() {
    const files = emptyMachine();
    const answers = emptyMetadata(someIdentity);
    const local = { machine: openMachine(files), clock: openFakeClock(), metadata: openMetadata(answers) };
    const warnings: string[] = [];
    const log = openLog(
      ({ fields }) => void warnings.push(JSON.stringify(fields)),
      () => 0,
    );
    const place = { configFile: '/etc/ecs-node/config.yaml', configFileGiven: false, log };
    files.files.set(place.configFile, 'cluster: prod\n');
    answers.tags = { 'ecs-node:hostname': 'web-{shortId}', 'ecs-node:name': '{host}', Name: 'web' };
    const read = () => local.clock.finish(readConfig(local, place, signal));
    await read();
    return { files, answers, local, warnings, read, place };
  }

  test('still count while the node runs, beside new settings in the files', async () => {
    const { files, answers, warnings, read, place } = await openNodeWithTags();
    answers.tags = undefined;
    files.files.set(place.configFile, 'cluster: prod\nleave: {drainSeconds: 1234}\n');
    for (let reload = 1; reload <= 2; reload++)
      expect(await read()).toMatchObject({ hostname: 'web-{shortId}', leave: { drainSeconds: 1234 } });
    expect(warnings.join()).toContain('the tags from earlier in this boot still count');
  });

  test('count no longer once a person has removed them', async () => {
    const { answers, local, read } = await openNodeWithTags();
    answers.tags = { Name: 'web' };
    expect((await read()).hostname).toBe('web-{shortId}');
    await local.clock.run(75_000);
    expect((await read()).hostname).toBe('');
    answers.tags = undefined;
    expect((await read()).hostname).toBe('');
  });

  test.each(['{"tags":["a"]}', '{"tags":{"ecs-node:hostname":5,"ecs-node:disk.paths":"[/x]"}}', '{"tags":', ''])(
    'are none where an earlier run has left %j',
    async (kept) => {
      const { files, answers, read } = await openNodeWithTags();
      answers.tags = undefined;
      files.files.set(paths.lastGood, kept);
      expect((await read()).hostname).toBe('');
    },
  );
});

// The edited cluster counted when the agent restarted.
test('a restarted agent learns with which configuration the node booted, until the next bootstrap', async () => {
  const node = await openNode();
  const start = async () => JSON.parse((await node.read(firstEffectiveWords)).printed) as Effective;
  await node.write(config, 'cluster: prod\nname: web\n');
  expect(await start()).not.toHaveProperty('booted');
  const machine = openFiles(node.root) as Machine;
  await keepBooted(
    machine,
    (await start()).config,
    openLog(noop, () => 0),
  );
  await node.write(config, 'cluster: other\nname: api\n');
  expect(await start()).toMatchObject({
    config: { cluster: 'other', name: 'api' },
    booted: { cluster: 'prod', name: 'web' },
  });
  await node.write(config, 'cluster: [\n');
  expect(await start()).toMatchObject({ config: { cluster: 'other' }, booted: { cluster: 'prod' } });
  await keepBooted(
    machine,
    (await start()).config,
    openLog(noop, () => 0),
  );
  expect(await start()).toMatchObject({ booted: { cluster: 'other' } });
});

// The memory for /run was full when the bootstrap began, and a person broke the file before the
// agent started. The agent ended with 78, and stayed away.
test('an agent starts with the configuration of its bootstrap where nothing later was kept', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\nname: web\n');
  const { config: own } = JSON.parse((await node.read(effectiveArgs)).printed) as Effective;
  await rm(join(node.root, paths.lastGood));
  await keepBooted(
    openFiles(node.root) as Machine,
    own,
    openLog(noop, () => 0),
  );
  await node.write(config, 'cluster: [\n');
  const { end, printed } = await node.read(firstEffectiveWords);
  expect(end).toBe(0);
  expect(JSON.parse(printed)).toMatchObject({ config: { cluster: 'prod', name: 'web' } });
});

test.each([
  ['this boot', true, 'prod'],
  ['another boot', false, undefined],
])(
  'where an older version has kept nothing, the cluster in bootstrap.json counts if it is of %s',
  async (_, isThis, counts) => {
    const node = await openNode();
    await node.write(config, 'cluster: other\n');
    const bootId = isThis ? '11111111-2222-3333-4444-555555555555' : 'another';
    await node.write('proc/sys/kernel/random/boot_id', '11111111-2222-3333-4444-555555555555\n');
    const state = { instanceId: 'i-1', cluster: 'prod', bootId, startedAt: 0, attempts: 1, outcome: 'done', steps: [] };
    await node.write(paths.bootstrap.slice(1), JSON.stringify(state));
    const found = JSON.parse((await node.read(firstEffectiveWords)).printed) as Effective;
    expect(found.booted?.cluster).toBe(counts);
  },
);

// EC2 changes user data only while the instance is stopped.
describe('user data that the metadata service lists no more', () => {
  const { signal } = new AbortController();
  const place = { configFile: '/etc/ecs-node/config.yaml', configFileGiven: false, log: openLog(noop, () => 0) };

  async function openNodeWithUserData(kept?: string) {
    const files = emptyMachine();
    const answers = emptyMetadata(someIdentity);
    const local = { machine: openMachine(files), clock: openFakeClock(), metadata: openMetadata(answers) };
    answers.userData = Buffer.from('#ecs-node\ncluster: prod\nleave: {drainSeconds: 1234}\n');
    await readConfig(local, place, signal);
    answers.userData = undefined;
    // By itself, this is valid.
    files.files.set(place.configFile, 'cluster: prod\n');
    if (kept !== undefined) files.files.set(paths.lastGood, kept);
    return { files, local };
  }

  test('costs a node none of its settings while it runs', async () => {
    const { local } = await openNodeWithUserData();
    const reload = local.clock.finish(readConfig(local, place, signal));
    await expect(reload).rejects.toThrow(/had some earlier in this boot/);
    const { config: kept } = await local.clock.finish(readConfigOrLastGood(local, place, signal));
    expect(kept.leave.drainSeconds).toBe(1234);
  });

  test('is believed in the next boot', async () => {
    const { files, local } = await openNodeWithUserData();
    files.files.delete(paths.lastGood);
    expect((await readConfig(local, place, signal)).leave.drainSeconds).not.toBe(1234);
  });

  test('is believed beside a file of an older version, which does not say', async () => {
    const { local } = await openNodeWithUserData('{"config":{"cluster":"prod"}}\n');
    expect((await readConfig(local, place, signal)).leave.drainSeconds).not.toBe(1234);
  });

  const userData = '#ecs-node\ncluster: prod\nleave: {drainSeconds: 1234}\n';

  /** A node that has booted with that user data, and boots again. */
  async function bootAgain(instanceId = someIdentity.instanceId) {
    const files = emptyMachine();
    const answers = emptyMetadata(someIdentity);
    const local = { machine: openMachine(files), clock: openFakeClock(), metadata: openMetadata(answers) };
    answers.userData = Buffer.from(userData);
    const boot = (id = someIdentity.instanceId) =>
      local.clock.finish(readOutsideAtBoot(local, place, id, 600_000, signal));
    await keepUserData(local.machine, instanceId, await boot(), place.log);
    return { files, local, answers, boot };
  }

  // One 404 at a boot: exit 78, which systemd never retries, or the defaults.
  test.each([undefined, Buffer.alloc(0)])('is asked for again at a boot (%j), and comes back', async (lost) => {
    const { local, answers, boot } = await bootAgain();
    answers.userData = lost;
    local.clock.schedule(5_000, () => void (answers.userData = Buffer.from(userData)));
    const outside = await boot();
    expect(outside.layers).toHaveLength(1);
    expect(outside).not.toHaveProperty('isCopy');
  });

  test('counts from the copy of the earlier boot after 20 s, with a warning, and costs the agent no time', async () => {
    const { files, local, answers, boot } = await bootAgain();
    answers.userData = undefined;
    const began = local.clock.uptime();
    const outside = await boot();
    expect(local.clock.uptime() - began).toBeLessThan(30_000);
    expect(outside).toMatchObject({ isCopy: true, warnings: [{ problem: expect.stringContaining('earlier boot') }] });
    expect(files.modes.get(paths.userData)).toBe(0o600);
    const none = { layers: [], faults: [] };
    const { config: booted } = resolveConfig(none, [], outside);
    expect(booted).toMatchObject({ cluster: 'prod', leave: { drainSeconds: 1234 } });
    await keepUserData(local.machine, someIdentity.instanceId, outside, place.log);
    expect(files.files.has(paths.userData)).toBe(true);
    await keepLastGood(local.machine, booted, outside, place.log);
    expect((await readConfig(local, place, signal)).leave.drainSeconds).toBe(1234);
  });

  test.each([
    ['of another instance, which came with its image, and costs no time', 'i-0aaaaaaaaaaaaaaaa', undefined, 0],
    ['beside user data without settings, which a person has put there', undefined, '#!/bin/sh\n', 75_000],
  ])('does not count from a copy %s', async (_, instanceId, present, leastMs) => {
    const { files, local, answers, boot } = await bootAgain(instanceId);
    answers.userData = present === undefined ? undefined : Buffer.from(present);
    const began = local.clock.uptime();
    const outside = await boot();
    expect(outside.layers).toEqual([]);
    const tookMs = local.clock.uptime() - began;
    expect(tookMs).toBeGreaterThanOrEqual(leastMs);
    expect(tookMs).toBeLessThan(leastMs * 1.5 + 1_000);
    await keepUserData(local.machine, someIdentity.instanceId, outside, place.log);
    expect(files.files.has(paths.userData)).toBe(false);
  });
});

// Exit 78 for good: the metadata service showed the user data only after 20 s.
test.each([
  ['is tried again while the metadata service shows no user data', undefined, Unavailable],
  ['is a configuration error beside user data without settings (control)', '#!/bin/sh\n', ConfigError],
])('a missing cluster at a first boot %s', async (_, text, kind) => {
  const { signal } = new AbortController();
  const answers = emptyMetadata(someIdentity);
  answers.userData = text === undefined ? undefined : Buffer.from(text);
  const clock = openFakeClock();
  const local = { machine: openMachine(emptyMachine()), clock, metadata: openMetadata(answers) };
  const place = { log: openLog(noop, () => 0) };
  const read = async () => {
    const outside = await readOutsideAtBoot(local, place, someIdentity.instanceId, 600_000, signal);
    return { outside, resolve: () => resolveConfig({ layers: [], faults: [] }, [], outside) };
  };
  const ended = untilComplete(clock, 600_000, signal, read).catch((error: unknown) => error);
  const error = await clock.finish(ended);
  expect(error).toBeInstanceOf(kind);
  expect(String(error)).toContain('cluster: ');
});

describe('a bootstrap', () => {
  const document = { ...someDocument, instanceId: someIdentity.instanceId };

  async function bootWith(
    answers: Record<string, string>,
    before?: object,
    files: Record<string, string> = {},
    flags: readonly string[] = [],
  ) {
    const stage = await openStage();
    const identity = { 'dynamic/instance-identity/document': JSON.stringify(document) };
    // Not spread: an answer may be a getter.
    const service = await openMetadataService(Object.assign(answers, identity));
    await stage.write(assetTag.slice(1), `${someIdentity.instanceId}\n`);
    if (before !== undefined) await stage.write(paths.bootstrap.slice(1), JSON.stringify(before));
    const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: service, AWS_ENDPOINT_URL: 'http://127.0.0.1:1' };
    for (const [path, text] of Object.entries(files)) await stage.write(path, text);
    return { stage, ...(await stage.run(['bootstrap', ...flags], { environment })) };
  }

  test('keeps the settings of its user data for the next boot, private', async () => {
    const { stage, end } = await bootWith({
      'user-data': '#ecs-node\ncluster: prod\nmetrics: {enabled: false}\nname: ""\n',
    });
    expect(end).toBe(0);
    expect(await stage.read(paths.userData)).toContain('cluster: prod');
    expect((await stat(join(stage.root, paths.userData))).mode & 0o777).toBe(0o600);
    expect(await stage.read(paths.lastGood)).toContain('"booted"');
  });

  test('keeps the settings of its tags for the next boot', async () => {
    const key = 'ecs-node:autoScaling.terminateHook';
    const { stage, end } = await bootWith({
      'user-data': '#ecs-node\ncluster: prod\nmetrics: {enabled: false}\nname: ""\n',
      'meta-data/tags/instance/': key,
      [`meta-data/tags/instance/${key}`]: 'drain-hook',
    });
    expect(end).toBe(0);
    const { instanceId } = someIdentity;
    expect(JSON.parse((await stage.read(paths.tags))!)).toEqual({ instanceId, tags: { [key]: 'drain-hook' } });
  });

  async function bootWithOldEntry(instanceId?: string) {
    const balancer = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/0123456789abcdef';
    const before = instanceId === undefined ? undefined : { ...state, instanceId, cluster: 'prod' };
    const userData = '#ecs-node\ncluster: prod\nmetrics: {enabled: false}\nname: ""\n';
    const files = { [config]: `leave: {targetGroups: ["${balancer}"], drainSeconds: 7200}\n` };
    return bootWith({ 'user-data': userData }, before, files);
  }

  // Exit 78, which systemd never retries: ECS did not start on a node that was in service.
  test('leaves out an entry that only an older version accepted where the node was in service', async () => {
    const { end, stage, logged } = await bootWithOldEntry(someIdentity.instanceId);
    expect(end).toBe(0);
    expect(JSON.stringify(logged)).toContain('left out: is the ARN of a load balancer');
    expect(JSON.parse((await stage.read(paths.lastGood))!)).toMatchObject({
      config: { leave: { targetGroups: [], drainSeconds: 7200 } },
    });
  });

  test.each([undefined, 'i-1'])('refuses such an entry on a new node (state of %s)', async (instanceId) => {
    // It looks again after 3 s.
    vi.useRealTimers();
    expect((await bootWithOldEntry(instanceId)).end).toBeInstanceOf(ConfigError);
  });

  test('names such an entry to a person who gives flags', async () => {
    const files = { [config]: 'cluster: prod\ndisk: {paths: [relative]}\n' };
    const before = { ...state, cluster: 'prod' };
    const { end } = await bootWith({}, before, files, ['--set', 'spot.marginSeconds=20']);
    expect(end).toBeInstanceOf(ConfigError);
    expect(String(end)).toContain('disk.paths.0');
  });

  const state = { instanceId: someIdentity.instanceId, startedAt: 0, attempts: 1, outcome: 'done', steps: [] };
  test.each([
    ['is tried again where an earlier boot had it', { ...state, cluster: 'prod' }, Unavailable],
    ['is a configuration error at a first boot', undefined, ConfigError],
    [
      'is a configuration error beside the state of another instance',
      { ...state, cluster: 'prod', instanceId: 'i-1' },
      ConfigError,
    ],
  ])('without a cluster %s', async (_, before, kind) => {
    // A first boot looks again after 3 s. Without any user data, it would do so for 20 s.
    vi.useRealTimers();
    const { end } = await bootWith({ 'user-data': '#!/bin/sh\n' }, before);
    expect(end).toBeInstanceOf(kind);
    expect(String(end)).toContain('cluster');
  });

  // Exit 78 for good: ECS never started, and the launch hook ended the node.
  test('asks again for user data that one answer lacks at a first boot', async () => {
    // It waits a second before it asks again.
    vi.useRealTimers();
    let asked = 0;
    const text = '#ecs-node\ncluster: prod\nmetrics: {enabled: false}\nname: ""\n';
    const answers = Object.defineProperty({}, 'user-data', { get: () => (++asked > 1 ? text : undefined) });
    expect((await bootWith(answers)).end).toBe(0);
  });
});
