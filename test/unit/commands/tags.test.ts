import { expect, test } from 'vitest';
import { resolveConfig } from '../../../config/load-config.ts';
import { layersOf } from '../../../config/sources/files.ts';
import { layersOfTags } from '../../../config/sources/tags-and-user-data.ts';

function load(file: string, tags: Record<string, string>) {
  const found = layersOfTags(tags);
  const files = layersOf([{ path: 'config.yaml', text: file }]);
  const { config, warnings } = resolveConfig(files, [], { ...found, layers: [], faults: [] });
  return { config, warnings: warnings.map(({ path, problem }) => `${path}: ${problem}`) };
}

test.each([
  ['ecs-node:registar', 'ssm', /did you mean ecs-node:registrar/],
  ['ecs-node:disk.paths', '[/x]', /cannot be set by a tag/],
  ['ecs-node:name', '{host}', /ignored: name: unknown placeholder \{host\}/],
  ['ecs-node:autoScaling.launchHook', 'a b', /ignored: autoScaling\.launchHook: must be 1 to 255 letters/],
])('a tag with a fault is ignored and reported, and the node boots: %s=%s', (key, value, told) => {
  const { config, warnings } = load('cluster: a\n', { [key]: value, 'ecs-node:hostname': 'web' });
  expect(config).toMatchObject({ cluster: 'a', hostname: 'web', name: '{cluster} ECS - {hostname}' });
  expect(warnings).toEqual([expect.stringMatching(told)]);
});

test('tags that break a rule together are ignored together', () => {
  const { config, warnings } = load('cluster: a\ntags: all\n', {
    'ecs-node:registrar': 'opsworks',
    'ecs-node:hostname': 'web',
  });
  expect(config).toMatchObject({ registrar: 'none' });
  expect(warnings.join()).toMatch(/ecs-node:registrar: ignored: .*opsworks\.stack: missing/);
});

test('a node whose only cluster is a faulty tag reports the fault of the tag', () => {
  expect(() => load('disk: {checks: 5}\n', { 'ecs-node:cluster': 'no such name' })).toThrow(
    /^cluster: must be a cluster name.*from tag ecs-node:cluster/,
  );
});

test('no tag runs an installer as root unless the files say so', () => {
  const tags = { 'ecs-node:registrar': 'opsworks', 'ecs-node:opsworks.stack': 's', 'ecs-node:opsworks.layer': 'l' };
  const refused = load('cluster: a\n', tags);
  expect(refused.config).toMatchObject({ registrar: 'none', opsworks: { waitForOnline: false } });
  expect(refused.warnings).toHaveLength(3);
  expect(refused.warnings[0]).toMatch(/^tag ecs-node:registrar: ignored: .* set "tags: all"/);
  const allowed = load('cluster: a\ntags: all\n', tags);
  expect(allowed.config).toMatchObject({ registrar: 'opsworks', opsworks: { stack: 's', layer: 'l' } });
  expect(allowed.warnings).toEqual([]);
});

test('a tag cannot extend the power of tags, and "tags: ignore" ignores them all', () => {
  const tags = { 'ecs-node:tags': 'all', 'ecs-node:registrar': 'ssm', 'ecs-node:name': 'x' };
  expect(load('cluster: a\n', tags).config).toMatchObject({ tags: 'names', registrar: 'none', name: 'x' });
  const ignored = load('cluster: a\ntags: ignore\n', tags);
  expect(ignored.config.name).toBe('{cluster} ECS - {hostname}');
});
