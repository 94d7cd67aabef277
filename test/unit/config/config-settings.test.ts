import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSection, parseConfig } from '../../../config/config.ts';
import { ConfigError, UsageError } from '../../../core/errors.ts';
import { layerOf, mergeLayers, parseAssignment, parseLayer } from '../../../config/settings.ts';
import { layersOfTags } from '../../../config/sources/tags-and-user-data.ts';

const merge = (...texts: string[]) =>
  mergeLayers(
    texts.map((text, index) => parseLayer(text, `file${index}`)),
    isSection,
  );

test('a stronger source replaces values and lists, and adds to sections', () => {
  const { settings } = merge(
    'cluster: a\ndisk: {paths: [/a, /b], prune: false}\n',
    'cluster: b\ndisk:\n  paths: [/c]\n  checks: 5\n',
  );
  expect(settings).toEqual({ cluster: 'b', disk: { paths: ['/c'], prune: false, checks: 5 } });
});

test('each value has the file and line of its source', () => {
  const { sourceOf } = merge('cluster: a\ndisk:\n  paths:\n    - /a\n    - /b\n', 'disk:\n  checks: 5\n');
  expect(sourceOf('cluster')).toBe('file0:1');
  expect(sourceOf('disk.paths.1')).toBe('file0:5');
  expect(sourceOf('disk.checks')).toBe('file1:2');
  expect(sourceOf('disk.prune')).toBeUndefined();
});

test('a section with only comments does not replace a weaker source', () => {
  const { settings } = merge('cluster: a\ndisk:\n  checks: 5\n', 'disk:\n#  checks: 7\nspot:\n');
  expect(parseConfig(settings).disk.checks).toBe(5);
});

test('a value that replaces a section brings its own source', () => {
  const { settings, sourceOf } = merge('disk:\n  checks: 5\n', 'disk: much\n');
  expect(settings).toEqual({ disk: 'much' });
  expect(sourceOf('disk.checks')).toBe('file1:1');
});

test.each([
  ['the same setting twice', 'cluster: a\ncluster: b\n', /^file:2: the same setting twice in one section;/],
  ['a list', '- a\n', /^file: must hold settings such as "cluster: NAME"; found a list$/],
  ['text', 'cluster\n', /found text$/],
  ['two documents', 'cluster: a\n---\ncluster: b\n', /^file:\d: not YAML: .*multiple documents/],
  ['a tab', 'disk:\n\tchecks: 5\n', /^file:2: not YAML/],
  ['an open bracket', 'disk: {checks: 5\n', /^file:\d: not YAML/],
  ['an unknown tag', 'cluster: !!js/function "x"\n', /^file:1: not YAML/],
  ['nesting without end', `a: ${'{a: '.repeat(50)}1${'}'.repeat(50)}\n`, /nested deeper/],
  ['nesting that would cost the stack', `a: ${'['.repeat(60_000)}\n`, /^file: is nested deeper/],
  ['a section as the name of a setting', '? {a: b}\n: 1\n', /^file:1: something that is no name/],
  ['a list as the name of a setting', 'cluster: a\n[a]: 1\n', /^file:2: something that is no name/],
  ['a text of a megabyte', `cluster: ${'a'.repeat(1_000_000)}\n`, /longer than/],
])('%s is refused with its position', (_, text, problem) => {
  expect(() => parseLayer(text, 'file')).toThrow(ConfigError);
  expect(() => parseLayer(text, 'file')).toThrow(problem);
});

// Small enough that without the limit this fails instead of filling the machine.
test('aliases that multiply are refused instead of filling the memory', () => {
  const lines = Array.from({ length: 4 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`);
  expect(() => parseLayer(`l0: &l0 [a]\n${lines.join('\n')}\n`, 'file')).toThrow(
    /^file: cannot be read as YAML: .*alias/,
  );
});

test('an empty file, comments alone and JSON are valid', () => {
  expect(parseLayer('', 'f').settings).toEqual({});
  expect(parseLayer('# nothing\n', 'f').settings).toEqual({});
  expect(parseLayer('\uFEFFcluster: a\n', 'f').settings).toEqual({ cluster: 'a' });
  expect(parseLayer('{"cluster": "a", "disk": {"checks": 5}}', 'f').settings).toEqual({
    cluster: 'a',
    disk: { checks: 5 },
  });
});

test('any text gives settings or a ConfigError', () => {
  const words = fc.constantFrom(
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&x ',
    '*x',
    '!',
    '"',
    "'",
    '|',
    '#',
    '? ',
    '%',
    '\t',
    ',',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
      try {
        expect(parseLayer(parts.join(''), 'file').settings).toBeTypeOf('object');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
      }
    }),
    { seed: 1 },
  );
});

test('merging never touches the layers, and the strongest layer comes out whole', () => {
  const key = fc.constantFrom('cluster', 'disk', 'spot', '__proto__', 'toString');
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 3 },
      fc.integer(),
      fc.array(fc.integer()),
      fc.dictionary(key, tie('any'), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).any;
  const settings = fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true });
  fc.assert(
    fc.property(settings, settings, (weak, strong) => {
      const layers = [weak, strong].map((each, index) => ({
        settings: each as Record<string, unknown>,
        sourceOf: () => String(index),
      }));
      const before = JSON.stringify(layers);
      const once = mergeLayers(layers, isSection).settings;
      expect(JSON.stringify(layers)).toBe(before);
      expect(mergeLayers([...layers, layers[1]!], isSection).settings).toEqual(once);
      expect(Object.prototype).not.toHaveProperty('x');
    }),
    { seed: 1 },
  );
});

test.each([
  ['disk.fullPercent=85', ['disk', 'fullPercent'], 85],
  ['disk.paths=[/data, /x]', ['disk', 'paths'], ['/data', '/x']],
  ['ecs.settings.ECS_A="5"', ['ecs', 'settings', 'ECS_A'], '5'],
  ['hostname=', ['hostname'], ''],
  ['name=a=b', ['name'], 'a=b'],
  ['name={cluster}', ['name'], '{cluster}'],
  ['hostname={cluster}-{shortId}', ['hostname'], '{cluster}-{shortId}'],
  ['hostname="{cluster}"', ['hostname'], '{cluster}'],
  ['cluster=012', ['cluster'], '012'],
  ['ecs.settings.ECS_A=1.10', ['ecs', 'settings', 'ECS_A'], '1.10'],
  ['ecs.settings.ECS_A={x', ['ecs', 'settings', 'ECS_A'], '{x'],
  ['ecs.settings.ECS_A={x: 012}', ['ecs', 'settings', 'ECS_A'], { x: '012' }],
])('--set %s', (text, path, value) => {
  expect(parseAssignment(text)).toEqual({ path, value });
});

test.each([
  'disk.fullPercent',
  '=5',
  'disk..x=5',
  'a b=5',
  'disk.paths=[',
  'x=*y',
  '__proto__.x=1',
  `x=${'['.repeat(50_000)}`,
])('--set %s is wrong usage', (text) => {
  expect(() => parseAssignment(text)).toThrow(UsageError);
});

test('tags may set names and choices, and nothing else', () => {
  const found = layersOfTags({
    Name: 'web',
    'ecs-node:cluster': 'prod',
    'ecs-node:opsworks.layer': 'ecs',
    'ecs-node:join.checks': '[{command: [/bin/sh]}]',
    'ecs-node:registar': 'ssm',
    'ecs-node:left': 'disk: full',
  });
  expect(mergeLayers(found.tags, isSection).settings).toEqual({ cluster: 'prod', opsworks: { layer: 'ecs' } });
  expect(found.warnings.map(({ path, problem }) => `${path}: ${problem}`)).toEqual([
    expect.stringMatching(/^tag ecs-node:join\.checks: cannot be set by a tag/),
    'tag ecs-node:registar: unknown setting; did you mean ecs-node:registrar?',
  ]);
});

test('a text with thousands of mistakes reports as many as a person fixes in one go', () => {
  const faultsOf = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      return (error as ConfigError).faults;
    }
    return [];
  };
  const unknown = Array.from({ length: 3_000 }, (_, index) => `a${index}: 1`).join('\n');
  expect(faultsOf(() => parseConfig(merge(unknown).settings))).toHaveLength(100);
  expect(faultsOf(() => parseLayer('cluster: a|\n'.repeat(3_000), 'file'))).toHaveLength(50);
});

test('a layer of one path', () => {
  expect(layerOf(['a', 'b'], 1, 'x').settings).toEqual({ a: { b: 1 } });
});

test('numbers that YAML would change keep their spelling where a setting is text', () => {
  const text = [
    'cluster: 012',
    'name: 1.10',
    'disk: {fullPercent: 85, paths: [/a]}',
    'ecs:',
    '  settings:',
    '    ECS_A: 012345678901',
    '    ECS_B: 1e3',
    '    ECS_C: yes',
    '    ECS_D: 2024-01-01',
    '    ECS_E: True',
    '    ECS_F: 0x10',
    '    ECS_G: 1.10',
    '    ECS_H: DOMAIN\\user',
    '    ECS_INSTANCE_ATTRIBUTES: {rack: 012, 1.10: x, 012: y}',
    '    ECS_RESERVED_PORTS: [22, 2375]',
  ].join('\n');
  const config = parseConfig(merge(text).settings);
  expect(config.ecs.settings).toEqual({
    ECS_A: '012345678901',
    ECS_B: '1e3',
    ECS_C: 'yes',
    ECS_D: '2024-01-01',
    ECS_E: 'True',
    ECS_F: '0x10',
    ECS_G: '1.10',
    ECS_H: 'DOMAIN\\user',
    ECS_INSTANCE_ATTRIBUTES: '{"rack":"012","1.10":"x","012":"y"}',
    ECS_RESERVED_PORTS: '[22,2375]',
  });
  expect(config).toMatchObject({ cluster: '012', name: '1.10', disk: { fullPercent: 85 } });
});

test.each(['hostname: {cluster}-{shortId}', '  hostname: {cluster}-{shortId}   # mine'])(
  'a template without quotes is refused with the line that works: %s',
  (text) => {
    expect(() => parseLayer(text, 'file')).toThrow(
      'file:1: text that begins with { needs quotes; write hostname: "{cluster}-{shortId}"',
    );
  },
);

test('a setting written as a section is reported with the line at which the section begins', () => {
  const { sourceOf } = merge('cluster: a\necs:\n  settings:\n    ECS_INSTANCE_ATTRIBUTES:\n      rack: a\n');
  expect(sourceOf('ecs.settings.ECS_INSTANCE_ATTRIBUTES')).toBe('file0:4');
  expect(sourceOf('ecs.introspectionEndpoint')).toBeUndefined();
});
