import { execFileSync } from 'node:child_process';
import { describe, vi } from 'vitest';
import type { AgentStatus } from '../../agent/status.ts';
import { paths } from '../../core/state/state.ts';
import { scenario } from './scenario.ts';
import { waitFor as untilSoon } from '../../simulator/wait-for.ts';
import { settings, type Node } from './stage.ts';

// Rounds come every ten seconds, each with programs to start, on a machine that does five other
// things.
vi.setConfig({ testTimeout: 300_000 });
const until = (what: string, isSo: () => unknown) => untilSoon(what, isSo, 90_000);

const shellFile = `${paths.containerConfig}/node.config`;

const readStatus = async (node: Node): Promise<AgentStatus> =>
  JSON.parse((await node.read(paths.agent)) ?? '{}') as AgentStatus;

/** Where each effective setting comes from, as people see it. */
const check = async (node: Node): Promise<string> => (await node.run(['check'])).stdout;

const changed = (node: Node, setting: string) =>
  until(`${setting} changed`, () =>
    node.log.some((line) => line.message === 'setting changed' && line['setting'] === setting),
  );

const failed = (node: Node) =>
  node.log.filter(({ message, chore }) => message === 'chore failed' && chore === 'refresh');

const refreshFrom = (source: string) => settings({ 'refresh.source': source, 'refresh.everySeconds': 10 });

interface NodeJson {
  tags: Record<string, string>;
}

describe.concurrent('containers', () => {
  scenario(
    'find identity and tags of their node in a file that a shell sources, and a changed tag within the interval',
    {
      flags: settings({ 'containerEnvironment.enabled': true, 'containerEnvironment.everySeconds': 10 }),
      boots: false,
    },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      await simulator.verbs.setMetadata(node.id, { tags: false });
      const value = `it's "$HOME" \`id\`\nüber; rm -rf /`;
      simulator.verbs.setTag(node.id, 'my env', value);
      expect(await node.boot()).toBe(0);
      // Before ECS started, and asked of EC2.
      const first = (await node.read(shellFile))!;
      const sourced = (name: string) =>
        execFileSync('/bin/sh', ['-euc', `. "${node.root}${shellFile}"; printf %s "$${name}"`], { encoding: 'utf8' });
      expect(first).toContain('InstanceMetadataTags is off');
      expect(sourced('ECS_NODE_TAG_my_env')).toBe(value);
      expect(sourced('ECS_NODE_INSTANCE_ID')).toBe(node.id);
      expect(sourced('ECS_NODE_GROUP')).toBe('nodes');
      await scene.inService(node);
      simulator.verbs.setTag(node.id, 'my env', 'prod');
      // The shell's file is written first.
      const readJson = async () => JSON.parse((await node.read(`${paths.containerConfig}/node.json`))!) as NodeJson;
      await until('the new tag', async () => (await readJson()).tags['my env'] === 'prod');
      expect(await readJson()).toMatchObject({ instanceId: node.id, cluster: 'demo', tagsFrom: 'ec2' });
      expect(sourced('ECS_NODE_TAG_my_env')).toBe('prod');
      // The metadata service may be made to show them at any time.
      simulator.world.instances.get(node.id)!.tags.delete('my env');
      simulator.verbs.setTag(node.id, 'env', 'stage');
      await simulator.verbs.setMetadata(node.id, { tags: true });
      await until('the tag, told by the metadata service', async () => {
        const text = (await node.read(shellFile)) ?? '';
        return text.includes('ECS_NODE_TAG_env=stage\n') && !text.includes('InstanceMetadataTags is off');
      });
    },
  );
});

describe.concurrent('a configuration that is pulled', () => {
  scenario(
    'from parameters is there before ECS starts, and a change is applied without a restart',
    {
      spot: true,
      flags: refreshFrom('ssm:/ecs/web'),
      async prepare(node) {
        await node.write(`${paths.dropIns}/90-here.yaml`, 'disk: {clearPercent: 70}\n');
      },
      boots: false,
    },
    async (scene) => {
      const { expect, simulator } = scene;
      simulator.verbs.putParameter('/ecs/web/10-all', 'disk: {fullPercent: 85, clearPercent: 60}\n', 'SecureString');
      simulator.verbs.putParameter('/ecs/web/20-web', 'spot: {action: log}\n');
      const node = await scene.launch();
      expect(await node.boot()).toBe(0);
      const shown = await check(node);
      expect(shown).toMatch(/fullPercent: 85 # from ssm:\/ecs\/web\/10-all:1\n/);
      expect(shown).toMatch(/clearPercent: 70 # from \/etc\/ecs-node\/config\.d\/90-here\.yaml:1\n/);
      await scene.inService(node);
      const { pid } = node.process!;
      simulator.verbs.putParameter(
        '/ecs/web/20-web',
        'spot: {action: leave, pollSeconds: 1}\ndisk: {fullPercent: 95}\n',
      );
      await changed(node, 'disk.fullPercent');
      await until('shown', async () => (await readStatus(node)).configuration?.changed.includes('spot.action'));
      expect(node.process?.pid).toBe(pid);
      // The watchers use the new configuration: the old one would only have logged the notice.
      simulator.verbs.noticeSpot(node.id);
      await until('left for the spot notice', () => scene.placements(node).includes('DRAINING'));
      // Decrypted once, though it was looked at again and again.
      const decrypted = simulator.calls.find({ operation: 'GetParameters', instanceId: node.id });
      expect(decrypted).toHaveLength(1);
    },
  );

  scenario(
    'from S3 is kept when a bad document comes, and needs only the policy of "ecs-node policy"',
    { flags: refreshFrom('s3://ours/ecs'), boots: false },
    async (scene) => {
      const { expect, simulator } = scene;
      simulator.verbs.putObject('ours', 'ecs/10-all.yaml', 'disk: {fullPercent: 85}\n');
      simulator.verbs.putObject('ours', 'ecs/notes.md', 'not for nodes\n');
      const node = await scene.launch();
      expect(await node.boot()).toBe(0);
      simulator.verbs.setPolicy(node.id, JSON.parse((await node.run(['policy'])).stdout));
      await scene.inService(node);
      expect(await check(node)).toMatch(/fullPercent: 85 # from s3:\/\/ours\/ecs\/10-all\.yaml:1\n/);

      simulator.verbs.putObject(
        'ours',
        'ecs/20-bad.yaml',
        'disk: {fullPercnt: 70}\njoin: {checks: [{command: [/bin/false]}]}\n',
      );
      await until('refused', () => failed(node).length > 0);
      expect(failed(node)[0]!['error']).toMatch(/fullPercnt: unknown setting; did you mean "fullPercent"/);
      expect(failed(node)[0]!['error']).toMatch(/join\.checks: may not be set from outside the node/);
      await until('shown', async () => /refresh +failed .*20-bad\.yaml:1/.test((await node.run(['status'])).stdout));
      expect(await check(node)).toMatch(/fullPercent: 85 /);
      const readBad = () =>
        simulator.calls
          .find({ operation: 'GetObject', instanceId: node.id })
          .filter(({ params }) => params['Key'] === 'ecs/20-bad.yaml');
      const lists = () => simulator.calls.find({ operation: 'ListObjectsV2', instanceId: node.id }).length;
      const before = lists();
      await until('asked again', () => lists() > before);
      expect(readBad()).toHaveLength(1);

      simulator.verbs.putObject('ours', 'ecs/20-bad.yaml', 'disk: {fullPercent: 75, clearPercent: 60}\n');
      await changed(node, 'disk.fullPercent');
      simulator.verbs.deleteObject('ours', 'ecs/20-bad.yaml');
      await until('back to what is left', async () => (await check(node)).includes('fullPercent: 85 '));
      expect(failed(node)).toHaveLength(2);
      expect(failed(node)[1]!['error']).toMatch(/20-bad\.yaml no more; if it lists as little after a minute/);
    },
  );

  scenario(
    'delays no boot: a node with a silent source boots with its own files, and catches up later',
    { flags: refreshFrom('ssm:/ecs/web'), boots: false },
    async (scene) => {
      const { expect, simulator } = scene;
      simulator.verbs.putParameter('/ecs/web/all', 'disk: {fullPercent: 85}\n');
      const node = await scene.launch();
      const heal = simulator.faults.add({ operation: 'GetParametersByPath', effect: { kind: 'refuse' } });
      expect(await node.boot()).toBe(0);
      expect(node.log.some(({ message }) => message === 'configuration not refreshed')).toBe(true);
      await scene.inService(node);
      expect(await check(node)).toMatch(/fullPercent: 90 # default\n/);
      heal();
      await changed(node, 'disk.fullPercent');
    },
  );

  scenario(
    'is whole whenever the agent is killed',
    { flags: refreshFrom('ssm:/ecs/web'), boots: false },
    async (scene) => {
      const { expect, simulator } = scene;
      const put = (percent: number) => {
        simulator.verbs.putParameter('/ecs/web/a', `disk: {fullPercent: ${percent}}\n`);
        simulator.verbs.putParameter('/ecs/web/b', `disk: {clearPercent: ${percent - 10}}\n`);
      };
      put(90);
      const node = await scene.launch();
      expect(await node.boot()).toBe(0);
      await scene.inService(node);
      for (const percent of [80, 70]) {
        const before = simulator.calls.find({ operation: 'GetParametersByPath', instanceId: node.id }).length;
        put(percent);
        // In the middle of the round that sees it.
        await until(
          'asked',
          () => simulator.calls.find({ operation: 'GetParametersByPath', instanceId: node.id }).length > before,
        );
        node.kill();
        await node.ended();
        const shown = await check(node);
        const [full, clear] = ['fullPercent', 'clearPercent'].map((name) =>
          Number(new RegExp(`${name}: (\\d+)`).exec(shown)?.[1]),
        );
        expect([percent, percent + 10]).toContain(full);
        expect(clear).toBe(full! - 10);
        expect(await node.boot()).toBe(0);
        await until('up to date', async () => (await check(node)).includes(`fullPercent: ${percent} `));
      }
    },
  );
});

describe.concurrent('a reload', () => {
  scenario('applies a new configuration, refuses a faulty one, and loses no service', {}, async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    await scene.logged(node, 'joined');
    await node.write(`${paths.dropIns}/90-here.yaml`, 'disk: {fullPercent: 101}\n');
    node.process!.kill('SIGHUP');
    await scene.logged(node, 'configuration not taken over');
    await node.write(
      `${paths.dropIns}/90-here.yaml`,
      'disk: {fullPercent: 85}\necs: {settings: {ECS_RESERVED_MEMORY: 64}}\n',
    );
    node.process!.kill('SIGHUP');
    await changed(node, 'disk.fullPercent');
    await until('told', async () =>
      (await readStatus(node)).configuration?.pending.includes('ecs.settings.ECS_RESERVED_MEMORY'),
    );
    const { stdout } = await node.run(['status']);
    expect(stdout).toMatch(/Settings +wait for the next boot.*ECS_RESERVED_MEMORY/);
    expect(node.log.filter(({ message }) => message === 'joined')).toHaveLength(1);
    expect(scene.placements(node)).toEqual([]);
    // The paths that it watches now.
    await node.fillDisk(88);
    await until('drained for a full disk', () => scene.placements(node).includes('DRAINING'));
  });
});
