import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownLayers, resolveConfig } from '../../../config/load-config.ts';
import { DocumentsLost } from '../../../config/remote/refresh.ts';
import { pullFor, readResolvedConfig, type ConfigSources } from '../../../config/remote/pull.ts';
import { layersOf, readFiles } from '../../../config/sources/files.ts';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { remoteSettings } from '../../../config/remote/remote-settings.ts';
import { paths } from '../../../core/state/state.ts';
import { addDocuments } from '../../fakes/cloud/configuration.ts';
import { openFakeHost } from '../../fakes/host.ts';

// Hours and hundreds of pulls pass in seconds, but not on a machine that does five other things.

const signal = new AbortController().signal;

/** A node that pulls from somewhere, with files of its own. */
function openNode(source = 'ssm:/ecs/web', files: Record<string, string> = {}) {
  const { host, world, clock } = openFakeHost();
  world.machine.files.set(paths.config, `cluster: demo\nrefresh:\n  source: ${source}\n`);
  for (const [path, text] of Object.entries(files)) world.machine.files.set(path, text);
  const sources = (on: Host): ConfigSources => ({
    machine: on.machine,
    clock: on.clock,
    configFile: paths.config,
    configFileGiven: false,
    log: on.log,
    flags: [],
    outside: { tags: [], layers: [], faults: [], warnings: [] },
  });
  return {
    host,
    world,
    clock,
    offers: (texts: Record<string, string>) => addDocuments(world.documentSources, source, texts),
    pull: (on = host) => pullFor(sources(on), source, on.cloud, signal),
    settled: (on = host) => readResolvedConfig(sources(on)),
    fetched: () => {
      const given = world.calls.of('readDocuments').at(-1)!.args[1] as Record<string, string>;
      return [...world.documentSources.get(source)!]
        .filter(([name, { version }]) => given[name] !== version)
        .map(([name]) => name);
    },
  };
}

const fault = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).message;
};

describe('documents that are pulled', () => {
  it('rank between config.yaml and its drop-ins, a later name over an earlier one', async () => {
    const node = openNode('ssm:/ecs/web', {
      [`${paths.dropIns}/10-here.yaml`]: 'disk: {checks: 7}\n',
      [paths.config]: 'cluster: demo\nrefresh: {source: "ssm:/ecs/web"}\ndisk: {fullPercent: 99, checkSeconds: 30}\n',
    });
    node.offers({
      '10-all': 'disk: {fullPercent: 85, checks: 5}\nspot: {action: log}\n',
      '20-web': 'disk: {fullPercent: 86}\n',
    });
    expect(await node.pull()).toBe('changed');
    const config = await node.settled();
    expect(config).toMatchObject({ disk: { fullPercent: 86, checks: 7, checkSeconds: 30 }, spot: { action: 'log' } });
    expect(node.world.machine.modes.get(paths.refreshed)).toBe(0o600);
  });

  it('stay in use until lists have been empty for a minute', async () => {
    const node = openNode();
    node.offers({ a: 'disk: {checks: 4}\n' });
    await node.pull();
    node.offers({});
    await expect(node.pull()).rejects.toThrow(Unavailable);
    expect((await node.settled()).disk.checks).toBe(4);
    node.offers({ a: 'disk: {checks: 4}\n' });
    expect(await node.pull()).toBe('unchanged');
    node.offers({});
    await expect(node.pull()).rejects.toThrow('lists a no more');
    await node.clock.run(60_000);
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk.checks).toBe(3);
  });

  // One list lacked the document with `disk.leave: false`, and the node could leave.
  it('stay in use until lists have lacked the same document for a minute', async () => {
    const node = openNode();
    const [a, b] = ['disk: {leave: false}\n', 'spot: {marginSeconds: 20}\n'];
    node.offers({ a, b });
    await node.pull();
    const pulls: string[] = [];
    for (const offer of [{ b }, { a }, { b }, { a, b }, { b }] as Record<string, string>[]) {
      node.offers(offer);
      await node.clock.run(60_000);
      pulls.push(await node.pull().catch((error: unknown) => (error instanceof Unavailable ? 'doubted' : 'failed')));
      expect(await node.settled()).toMatchObject({ disk: { leave: false }, spot: { marginSeconds: 20 } });
    }
    expect(pulls).toEqual(['doubted', 'doubted', 'doubted', 'unchanged', 'doubted']);
    await node.clock.run(60_000);
    expect(await node.pull()).toBe('changed');
    expect(await node.settled()).toMatchObject({ disk: { leave: true }, spot: { marginSeconds: 20 } });
  });

  // A bootstrap that is tried again asks twice within a second.
  it.each([
    'within a second',
    'after the clock was set back',
    'after the clock was set forward',
    'before and after a reboot',
  ])('stay in use when lists lack one %s', async (when) => {
    const node = openNode();
    const a = 'disk: {leave: false}\n';
    node.offers({ a });
    await node.pull();
    node.offers({});
    await expect(node.pull()).rejects.toThrow(DocumentsLost);
    if (when === 'within a second') await node.clock.run(1_000);
    if (when.includes('set')) node.clock.jump(when.includes('back') ? -3_600_000 : 3_600_000);
    if (when.includes('reboot')) {
      await node.clock.run(120_000);
      node.world.machine.bootId = 'boot-2';
    }
    await expect(node.pull()).rejects.toThrow('lists a no more');
    expect((await node.settled()).disk.leave).toBe(false);
    await node.clock.run(60_000);
    expect(await node.pull()).toBe('changed');
  });

  it('are dropped after a minute where an older version has noted that their source is empty', async () => {
    const node = openNode();
    const good = [{ name: 'a', version: '1', text: 'disk: {checks: 4}\n' }];
    node.world.machine.files.set(paths.refreshed, JSON.stringify({ source: 'ssm:/ecs/web', good, isEmptied: true }));
    node.offers({});
    await expect(node.pull()).rejects.toThrow(DocumentsLost);
    await node.clock.run(60_000);
    expect(await node.pull()).toBe('changed');
  });

  it('are fetched only when they changed, and are dropped when they vanish there', async () => {
    const node = openNode();
    node.offers({ a: 'disk: {checks: 4}\n', b: 'disk: {checkSeconds: 30}\n' });
    await node.pull();
    expect(await node.pull()).toBe('unchanged');
    expect(node.fetched()).toEqual([]);
    node.offers({ a: 'disk: {checks: 5}\n', b: 'disk: {checkSeconds: 30}\n' });
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk).toMatchObject({ checks: 5, checkSeconds: 30 });
    node.offers({ b: 'disk: {checkSeconds: 30}\n' });
    await expect(node.pull()).rejects.toThrow('lists a no more');
    await node.clock.run(60_000);
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk).toMatchObject({ checks: 3, checkSeconds: 30 });
  });

  it('with a fault change nothing, are named with every fault, and are not fetched again until they change', async () => {
    const node = openNode();
    node.offers({ good: 'disk: {checks: 4}\n' });
    await node.pull();
    node.offers({ good: 'disk: {checks: 9}\n', bad: 'disk: {fullPercent: 85, cheks: 1}\nspot: {action: run}\n' });
    const said = await fault(node.pull());
    expect(said).toMatch(/disk\.cheks: unknown setting; did you mean "checks".*from ssm:\/ecs\/web\/bad:1/);
    expect(said).toMatch(/spot\.action: .*from ssm:\/ecs\/web\/bad:2/);
    expect((await node.settled()).disk.checks).toBe(4);
    await fault(node.pull());
    expect(node.fetched()).toEqual([]);
    node.offers({ good: 'disk: {checks: 9}\n', bad: 'disk: {fullPercent: 85}\n' });
    expect(await node.pull()).toBe('changed');
    // Only what was changed, and not the one that was good all along.
    expect(node.fetched()).toEqual(['bad']);
    expect((await node.settled()).disk).toMatchObject({ checks: 9, fullPercent: 85 });
  });

  it("are judged together with the node's own files, even when each alone is valid", async () => {
    const node = openNode('ssm:/ecs/web', { [`${paths.dropIns}/90-here.yaml`]: 'disk: {clearPercent: 88}\n' });
    node.offers({ all: 'disk: {fullPercent: 85}\n' });
    expect(await fault(node.pull())).toMatch(/clearPercent: must be below disk.fullPercent \(85\)/);
    expect((await node.settled()).disk.fullPercent).toBe(90);
    node.world.machine.files.set(`${paths.dropIns}/90-here.yaml`, 'disk: {clearPercent: 70}\n');
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk.fullPercent).toBe(85);
  });

  it("may not set programs that run as root, the node's identity, or the limits on leaving", async () => {
    const forbidden: Record<string, unknown> = {
      cluster: 'other',
      registrar: 'ssm',
      join: { checks: [{ command: ['/bin/sh', '-c', 'id'] }] },
      ecs: { settings: { ECS_BACKEND_HOST: 'https://evil.example' }, introspectionEndpoint: 'http://127.0.0.1:1' },
      daemonTasks: { definitions: ['anything'] },
      stormGuard: { maxFailures: 1000 },
      disk: { maxLeavingPercent: 100 },
      ecsAgent: { maxDisconnectedPercent: 100 },
      bootstrap: { onFailure: 'keep' },
      refresh: { source: 's3://evil/x', also: ['cluster'] },
    };
    for (const [section, value] of Object.entries(forbidden)) {
      const node = openNode();
      node.offers({ forged: JSON.stringify({ [section]: value }) });
      expect(await fault(node.pull()), section).toMatch(/may not be set from outside the node/);
      expect(await node.settled(), section).toMatchObject({
        cluster: 'demo',
        refresh: { source: 'ssm:/ecs/web', also: [] },
      });
    }
  });

  it('may set in addition what the node itself allows, but never their own source', async () => {
    const node = openNode();
    node.world.machine.files.set(
      paths.config,
      'cluster: demo\nrefresh: {source: "ssm:/ecs/web", also: [ecs.settings, join]}\n',
    );
    node.offers({ all: 'ecs: {settings: {ECS_RESERVED_MEMORY: 256}}\njoin: {checks: [{url: "http://127.0.0.1/"}]}\n' });
    await node.pull();
    expect((await node.settled()).ecs.settings).toEqual({ ECS_RESERVED_MEMORY: '256' });
    node.world.machine.files.set(
      paths.config,
      'cluster: demo\nrefresh: {source: "ssm:/ecs/web", also: [refresh.source]}\n',
    );
    await expect(node.settled()).rejects.toThrow('none of refresh itself');
  });

  it('may set only settings that exist', async () => {
    for (const path of remoteSettings) {
      const node = openNode();
      // The one setting that takes any word but this.
      const nonsense = path === 'metrics.namespace' ? 'AWS/nonsense' : 'nonsense';
      node.offers({
        all: JSON.stringify(path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), nonsense)),
      });
      expect(await fault(node.pull()), path).not.toMatch(/unknown setting|may not be set/);
    }
  });

  it('may not set the file that the node writes its metrics to', async () => {
    const node = openNode();
    node.offers({ all: 'metrics: {textfile: /etc/cron.d/a.prom}\n' });
    expect(await fault(node.pull())).toMatch(/metrics.textfile: may not be set from outside the node/);
  });

  it('do not count when this version does not know them: its own files count alone, and it says so', async () => {
    const node = openNode();
    const refreshed = { source: 'ssm:/ecs/web', good: [{ name: 'new', version: '1', text: 'disk: {brandNew: 1}\n' }] };
    node.world.machine.files.set(paths.refreshed, JSON.stringify(refreshed));
    expect((await node.settled()).disk.checks).toBe(3);
    expect(node.world.log.some(({ message }) => message === 'pulled configuration not used')).toBe(true);
  });

  // One document dropped every pulled setting: nodes that the team keeps could leave.
  it.each([
    ['an unknown setting', 'disk: {brandNew: 1}\n'],
    ['a setting that it may not carry', 'stormGuard: {maxFailures: 1000}\n'],
    ['no YAML', 'disk: [\n'],
  ])('count without the one that has %s', async (_, text) => {
    const node = openNode();
    const good = [
      { name: 'a', version: '1', text: 'disk: {leave: false}\n' },
      { name: 'b', version: '1', text },
      { name: 'c', version: '1', text: 'disk: {checks: 7}\n' },
    ];
    node.world.machine.files.set(paths.refreshed, JSON.stringify({ source: 'ssm:/ecs/web', good }));
    expect((await node.settled()).disk).toMatchObject({ leave: false, checks: 7 });
  });

  it('stay on disk, also damaged, until others take their place', async () => {
    const node = openNode();
    node.offers({ a: 'disk: {checks: 9}\n' });
    const damaged = new ConfigError([{ path: paths.refreshed, problem: 'is not UTF-8 text' }]);
    node.world.machine.files.set(paths.refreshed, damaged);
    node.world.calls.fails('readDocuments', new Unavailable('silent'), 1);
    await expect(node.pull()).rejects.toThrow('silent');
    expect(node.world.machine.files.has(paths.refreshed)).toBe(true);
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk.checks).toBe(9);
  });

  it('do not count on a node that is no longer configured to pull', async () => {
    const node = openNode();
    node.offers({ all: 'disk: {checks: 9}\n' });
    await node.pull();
    node.world.machine.files.set(paths.config, 'cluster: demo\n');
    expect((await node.settled()).disk.checks).toBe(3);
  });

  it('survive a silent source, a missing bucket, and a destroyed file of ours', async () => {
    const node = openNode('s3://ours/ecs');
    node.offers({ 'a.yaml': 'disk: {checks: 9}\n' });
    await node.pull();
    node.world.calls.fails('readDocuments', new Unavailable('silent'), 1);
    await expect(node.pull()).rejects.toThrow(Unavailable);
    node.world.documentSources.clear();
    await expect(node.pull()).rejects.toThrow(Refused);
    expect((await node.settled()).disk.checks).toBe(9);
    for (const text of ['', '{', '[]', 'null', '{"source": 1}', '{"source":"s3://ours/ecs","good":[{}]}']) {
      node.world.machine.files.set(paths.refreshed, text);
      expect((await node.settled()).disk.checks).toBe(3);
      node.offers({ 'a.yaml': 'disk: {checks: 9}\n' });
      expect(await node.pull()).toBe('changed');
      expect((await node.settled()).disk.checks).toBe(9);
    }
  });

  it('are pulled again when they are unreadable on disk, which is no fault of the configuration', async () => {
    const node = openNode();
    node.offers({ a: 'disk: {checks: 9}\n' });
    node.world.machine.files.set(
      paths.refreshed,
      new ConfigError([{ path: paths.refreshed, problem: 'is not UTF-8 text' }]),
    );
    expect((await node.settled()).disk.checks).toBe(3);
    expect(node.world.log.some(({ message }) => message === 'pulled configuration not read')).toBe(true);
    // On a disk that lets it be replaced.
    node.world.machine.files.delete(paths.refreshed);
    expect(await node.pull()).toBe('changed');
    expect((await node.settled()).disk.checks).toBe(9);
  });

  it('are refused when they exceed every file of ours', async () => {
    const node = openNode();
    const text = `# ${'\u0001'.repeat(200_000)}\n`;
    node.offers({ a: text, b: text });
    expect(await fault(node.pull())).toMatch(/larger than 1500000 bytes together/);
  });

  it('are all old or all new, whenever the process dies', async () => {
    const deaths = { before: 0, after: 0 };
    for (const when of ['before', 'after'] as const) {
      for (let call = 1, isOver = false; !isOver; call++) {
        const node = openNode();
        node.offers({ a: 'disk: {checks: 4}\n', b: 'disk: {checkSeconds: 40}\n' });
        await node.pull();
        node.offers({ a: 'disk: {checks: 5}\n', b: 'disk: {checkSeconds: 50}\n' });
        node.world.calls.crashAt(call, when);
        isOver = (await Promise.race([node.world.calls.crashed(), node.pull()])) !== 'crashed';
        if (!isOver) deaths[when] += 1;
        const host = node.world.restart();
        const { checks, checkSeconds } = (await node.settled(host)).disk;
        expect([4, 5]).toContain(checks);
        expect(checkSeconds).toBe(checks * 10);
        await node.pull(host);
        expect((await node.settled(host)).disk).toMatchObject({ checks: 5, checkSeconds: 50 });
      }
    }
    expect(Math.min(deaths.before, deaths.after)).toBeGreaterThan(4);
  });

  it('leave a valid configuration of the same node with the same limits, whatever they contain', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.json({ maxDepth: 3 }),
      fc
        .record(
          {
            cluster: fc.string(),
            disk: fc.jsonValue({ maxDepth: 2 }),
            refresh: fc.jsonValue({ maxDepth: 2 }),
            stormGuard: fc.jsonValue(),
          },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), text, { maxKeys: 4 }),
        async (texts) => {
          const node = openNode();
          node.offers(texts);
          const { texts: own } = await readFiles(node.host.machine, paths.config, false, node.host.log);
          const before = resolveConfig(ownLayers(layersOf(own)), []).config;
          const refusal = await node.pull().then(
            () => new ConfigError([]),
            (error: unknown) => error,
          );
          expect(refusal).toBeInstanceOf(ConfigError);
          const { cluster, refresh, stormGuard, join } = await node.settled();
          expect({ cluster, refresh, stormGuard, checks: join.checks }).toEqual({
            cluster: before.cluster,
            refresh: before.refresh,
            stormGuard: before.stormGuard,
            checks: before.join.checks,
          });
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });
});
