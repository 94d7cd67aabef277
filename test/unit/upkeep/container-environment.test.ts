import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import { chores } from '../../../upkeep/chores.ts';
import { renderJson, renderShell, variablesOf, type NodeFacts } from '../../../upkeep/container-environment-text.ts';
import { someIdentity } from '../../fakes/metadata.ts';
import { setStage as setAgent, configOf } from '../agent/stage.ts';
import { plainConfig, setStage } from '../bootstrap/stage.ts';

// Some hundred shells are started, on a machine that does five other things.

const folder = mkdtempSync(join(tmpdir(), 'container-environment-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shellFile = `${paths.containerConfig}/node.config`;
const jsonFile = `${paths.containerConfig}/node.json`;
const on = { containerEnvironment: { enabled: true } };

const facts = (tags: Record<string, string> = {}): NodeFacts => ({
  identity: someIdentity,
  cluster: 'demo',
  tags,
  tagsFrom: 'metadata',
});

/** The variables of a real POSIX shell that has sourced the file, by name. */
function sourced(text: string, names: readonly string[]): Record<string, string> {
  const file = join(folder, 'node.config');
  writeFileSync(file, text);
  // Errors count, and so does whatever the file would run.
  const script = `set -eu; PATH=/nowhere; . "$1"; shift; for name; do eval "printf '%s\\0' \\"\\$$name\\""; done`;
  const bytes = execFileSync('/bin/sh', ['-c', script, 'sh', file, ...names], { env: {}, cwd: folder });
  const values = bytes.toString('utf8').split('\0');
  return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
}

/**
 * As Docker's command line reads an --env-file: lines, each up to the first = and after it, nothing
 * else.
 */
function asEnvFile(text: string): [string, string][] {
  return text
    .split('\n')
    .map((line) => line.replace(/\r$/, '').trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
}

const nasty = fc.constantFrom(
  '\n',
  '\n\n',
  "'",
  '"',
  '$',
  '`',
  '\\',
  '$(x)',
  '%s',
  '%',
  '\r',
  '\t',
  ' ',
  '#',
  '~',
  'ü',
  '漢',
  '😀',
  '\u2028',
  '-n',
  '=',
  'x',
  '!',
  ';',
);
const tagText = fc.oneof(
  fc.array(nasty, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.toWellFormed()),
);
const tags = fc.dictionary(
  fc.oneof(tagText, fc.constantFrom('env', 'Env', 'a-b', 'a.b', 'a_b', 'PATH', '__proto__', 'constructor', '1')),
  tagText,
  { maxKeys: 8, noNullPrototype: true },
);

describe('the environment file', () => {
  it('gives a real shell the exact value of every tag, whatever it contains, and runs nothing', () => {
    fc.assert(
      fc.property(tags, (given) => {
        const { variables } = variablesOf(facts(given));
        const names = variables.map(([name]) => name);
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) expect(name).toMatch(/^ECS_NODE_[A-Za-z0-9_]+$/);
        expect(sourced(renderShell(facts(given)), names)).toEqual(Object.fromEntries(variables));
      }),
      // Each run starts a shell.
      { seed: 1, numRuns: 150 },
    );
  });

  it('lists every tag by its value or as omitted, in a fixed order', () => {
    fc.assert(
      fc.property(tags, (given) => {
        const { variables, leftOut } = variablesOf(facts(given));
        const told = variables.filter(([name]) => name.startsWith('ECS_NODE_TAG_')).map(([, value]) => value);
        const kept = Object.keys(given).filter((key) => !leftOut.some((left) => left.key === key));
        expect(told.toSorted()).toEqual(kept.map((key) => given[key]!).toSorted());
        const turned = Object.fromEntries(Object.entries(given).toReversed());
        expect(renderShell(facts(turned))).toBe(renderShell(facts(given)));
        expect(renderJson(facts(turned))).toBe(renderJson(facts(given)));
      }),
      { seed: 1 },
    );
  });

  it('has only its own lines for line-based readers', () => {
    fc.assert(
      fc.property(tags, (given) => {
        const read = asEnvFile(renderShell(facts(given)));
        const { variables } = variablesOf(facts(given));
        expect(read.map(([name]) => name)).toEqual(variables.map(([name]) => name));
        const isPlain = (value: string) => /^[\w./:@%+,=-]*$/.test(value);
        const plain = variables.map(([, value]) => (isPlain(value) ? value : '(quoted)'));
        expect(read.map(([, value], index) => (plain[index] === '(quoted)' ? '(quoted)' : value))).toEqual(plain);
      }),
      { seed: 1 },
    );
  });

  it('holds the same as JSON, with every tag', () => {
    fc.assert(
      fc.property(tags, (given) => {
        const read = JSON.parse(renderJson(facts(given))) as Record<string, unknown>;
        expect(read).toMatchObject({ instanceId: someIdentity.instanceId, zone: 'us-east-1a', cluster: 'demo' });
        expect(new Map(Object.entries(read['tags'] as object))).toEqual(new Map(Object.entries(given)));
      }),
      { seed: 1 },
    );
  });

  it('omits tags that would become the same variable, except one whose key is that name', () => {
    const { variables, leftOut } = variablesOf(facts({ 'a-b': '1', 'a.b': '2', 'c-d': '3', c_d: '4', e: '\0' }));
    expect(Object.fromEntries(variables)).toMatchObject({ ECS_NODE_TAG_c_d: '4' });
    expect(Object.fromEntries(variables)).not.toHaveProperty('ECS_NODE_TAG_a_b');
    expect(leftOut.map(({ key }) => key)).toEqual(['a-b', 'a.b', 'c-d', 'e']);
  });
});

describe('the environment of containers', () => {
  const group = { 'aws:autoscaling:groupName': 'web', env: 'stage' };

  it('is there before ECS starts, readable for all, and off by default', async () => {
    const stage = setStage(plainConfig(on));
    stage.world.metadata.tags = group;
    await stage.boot();
    const { files, modes } = stage.world.machine;
    expect(sourced(String(files.get(shellFile)), ['ECS_NODE_TAG_env', 'ECS_NODE_GROUP', 'ECS_NODE_ZONE'])).toEqual({
      ECS_NODE_TAG_env: 'stage',
      ECS_NODE_GROUP: 'web',
      ECS_NODE_ZONE: 'us-east-1a',
    });
    expect([modes.get(shellFile), modes.get(jsonFile)]).toEqual([0o644, 0o644]);
    expect(stage.world.calls.of('readOwnTags')).toEqual([]);

    const off = setStage(plainConfig());
    await off.boot();
    expect(off.world.machine.files.has(shellFile)).toBe(false);
  });

  it('asks EC2 when the metadata service shows no tags, and says so', async () => {
    const stage = setStage(plainConfig(on));
    stage.world.instance.tags = group;
    await stage.boot();
    expect(String(stage.world.machine.files.get(shellFile))).toMatch(
      /InstanceMetadataTags is off[^]*ECS_NODE_TAG_env=stage\n/,
    );
    expect(stage.world.log.some(({ message }) => message.includes('InstanceMetadataTags is off'))).toBe(true);
  });

  it('ends no node when its tags are unreadable; earlier values of this instance stay', async () => {
    const denied = new Refused('ec2:DescribeTags is not allowed', { code: 'UnauthorizedOperation' });
    const stage = setStage(plainConfig(on));
    stage.world.calls.fails('readOwnTags', denied);
    await stage.boot();
    expect(String(stage.world.machine.files.get(shellFile))).toMatch(/Tags are missing[^]*ECS_NODE_INSTANCE_ID=i-0/);
    // The file of another instance was baked into the image.
    stage.world.machine.files.set(jsonFile, '{"instanceId": "i-00000000", "tags": {"env": "prod"}}');
    await stage.boot(stage.world.reboot());
    expect(String(stage.world.machine.files.get(jsonFile))).not.toContain('prod');
    // Its own.
    stage.world.calls.heals();
    stage.world.instance.tags = { env: 'stage' };
    await stage.boot(stage.world.reboot());
    stage.world.calls.fails('readOwnTags', denied);
    await stage.boot(stage.world.reboot());
    expect(String(stage.world.machine.files.get(shellFile))).toContain('ECS_NODE_TAG_env=stage\n');
  });

  it('follows a changed tag within its interval, is not rewritten otherwise, and survives silence', async () => {
    const config = configOf(on);
    const stage = setAgent(config);
    const { world } = stage;
    world.metadata.tags = { env: 'stage' };
    const agent = stage.agent(stage.host, { chores: chores(config, async () => 'unchanged') });
    const writes = () => world.calls.of('writeText').filter(({ args }) => args[0] === shellFile).length;
    const text = () => String(world.machine.files.get(shellFile));
    await world.clock.run(60_000);
    expect(text()).toContain('ECS_NODE_TAG_env=stage\n');
    world.metadata.tags = { env: 'prod' };
    await world.clock.run(300_000);
    expect(text()).toContain('ECS_NODE_TAG_env=prod\n');
    expect(stage.status().chores?.['container-environment']).toMatchObject({ outcome: 'changed' });
    world.calls.fails('readTags', new Unavailable('silent'));
    const before = writes();
    await world.clock.run(3_600_000);
    expect(writes()).toBe(before);
    expect(text()).toContain('ECS_NODE_TAG_env=prod\n');
    expect(stage.status().chores?.['container-environment']).toMatchObject({ outcome: 'failed', error: 'silent' });
    await agent.stop();
  });
});
