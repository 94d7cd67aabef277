import fc from 'fast-check';
import { expect } from 'vitest';
import { editFiles } from '../../config/sources/edit-files.ts';
import { layersOf } from '../../config/sources/files.ts';
import { layersOfFlags, settingsOfFlags } from '../../config/sources/flags.ts';
import { layersOfTags } from '../../config/sources/tags-and-user-data.ts';
import { resolveConfig } from '../../config/load-config.ts';
import { parseLine } from '../../cli/parse-line.ts';
import { globalFlags, settingFlags } from '../../commands/flags.ts';
import { commands, commandTable } from '../../commands/table.ts';
import { isSection, parseConfig } from '../../config/config.ts';
import { ConfigError, UsageError } from '../../core/errors.ts';
import { schema, tagSettings } from '../../config/schema.ts';
import { mergeLayers, parseAssignment, parseLayer } from '../../config/settings.ts';
import { json, nastyKey, nastyText } from './hostile.ts';
import { holds, orSaysNo } from './property.ts';

const sections = Object.keys(schema.shape);
const key = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...sections) }, { weight: 1, arbitrary: nastyKey });

/** Pieces of YAML in any order: anchors, aliases, merges, tags, brackets, block texts. */
const yamlPieces = fc
  .array(
    fc.oneof(
      key.map((name) => `${name}: `),
      fc.constantFrom(
        '\n',
        '\n  ',
        '\n    ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        ', ',
        '&a ',
        '*a',
        '<<: *a',
        '!!set ',
        '!!binary ',
        '!x ',
      ),
      fc.constantFrom(
        '"',
        "'",
        '|\n',
        '>-\n',
        '# ',
        '? ',
        '%YAML 1.1\n',
        '---\n',
        '...\n',
        '\t',
        '\uFEFF',
        '~',
        '.inf',
        '0x10',
      ),
      nastyText,
    ),
    { maxLength: 60 },
  )
  .map((pieces) => pieces.join(''));

/** Nesting, aliases that multiply, long lines: what costs a parser its time or its memory. */
const bombs = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('[', '{a: ', '- ', '? ', '!!seq [', "'", '"\\', 'a: &a [*a, '),
      fc.integer({ min: 1, max: 65_000 }),
    )
    .map(([piece, count]) => piece.repeat(Math.min(count, Math.floor(65_000 / piece.length)))),
  fc
    .tuple(fc.integer({ min: 2, max: 30 }), fc.integer({ min: 2, max: 30 }))
    .map(([levels, width]) =>
      Array.from({ length: levels }, (_, i) => `l${i}: &l${i} [${i === 0 ? 'x' : `*l${i - 1},`.repeat(width)}]`).join(
        '\n',
      ),
    ),
  fc.integer({ min: 1, max: 6_000 }).map((count) => Array.from({ length: count }, (_, i) => `a${i}: ${i}`).join('\n')),
  fc
    .tuple(fc.constantFrom(' ', '\n', '#', 'a', '\t', '-', ':', '%', '\r'), fc.integer({ min: 1, max: 80_000 }))
    .map(([piece, count]) => `cluster: a${piece.repeat(count)}`),
);

/** Documents that are whole, with values of any kind in known places. */
const settings = fc
  .array(fc.tuple(key, json), { maxLength: 6 })
  .map((pairs) => JSON.stringify(Object.fromEntries(pairs)));

const text = fc.oneof(
  { weight: 8, arbitrary: yamlPieces },
  { weight: 8, arbitrary: settings },
  { weight: 1, arbitrary: bombs },
);

function isClean(): void {
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>)['cluster']).toBeUndefined();
}

holds('whatever a configuration says, it becomes a Config or a ConfigError', text, async (yaml) => {
  const config = await orSaysNo(() => {
    const layer = parseLayer(yaml, 'file');
    const { settings: merged, sourceOf } = mergeLayers([layer], isSection);
    return parseConfig(merged, sourceOf);
  }, ConfigError);
  if (config !== undefined) {
    expect(config.cluster).toMatch(/^[\w-]+$/);
    expect(Object.isFrozen(config)).toBe(true);
  }
  isClean();
});

holds('every fault of a configuration is one short line that names its place', text, (yaml) => {
  try {
    parseConfig(mergeLayers([parseLayer(yaml, 'file')], isSection).settings);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.faults.length).toBeGreaterThan(0);
    for (const { path, problem } of error.faults) {
      expect(path).not.toBe('');
      expect(problem.length).toBeLessThan(2_000);
    }
  }
});

holds(
  'drop-ins beside each other, broken ones among them, become one Config or one ConfigError',
  fc.array(text, { maxLength: 4 }),
  async (texts) => {
    const found = layersOf(texts.map((each, index) => ({ path: `/etc/ecs-node/config.d/${index}.yaml`, text: each })));
    expect(found.layers.length + new Set(found.faults.map(({ path }) => path.split(':')[0])).size).toBe(texts.length);
    await orSaysNo(() => resolveConfig(found, []), ConfigError);
    isClean();
  },
  { runs: 80 },
);

const assignment = fc.oneof(
  fc
    .tuple(
      fc.array(fc.oneof(key, fc.string({ maxLength: 6 })), { minLength: 1, maxLength: 4 }),
      fc.oneof(text, nastyText),
    )
    .map(([path, value]) => `${path.join('.')}=${value}`),
  nastyText,
);

holds('whatever stands behind --set, it becomes a setting or wrong usage', assignment, async (given) => {
  const set = await orSaysNo(() => parseAssignment(given), UsageError);
  if (set !== undefined) expect(set.path.every((part) => /^[A-Za-z]\w*$/.test(part))).toBe(true);
  isClean();
});

holds(
  'whatever flags say, they end in a Config, a ConfigError or wrong usage',
  fc.array(assignment, { maxLength: 3 }),
  async (set) => {
    const words = { flags: { set, cluster: 'demo' }, operands: [] };
    await orSaysNo(
      () => resolveConfig({ layers: [], faults: [] }, layersOfFlags(settingsOfFlags(settingFlags, words))),
      ConfigError,
      UsageError,
    );
    isClean();
  },
);

const flagNames = [...globalFlags, ...commands.flatMap(({ flags }) => flags)].map(({ name }) => `--${name}`);
const word = fc.oneof(
  fc.constantFrom(...commands.map(({ name }) => name), 'help', '--', '-h', '-', '--no-wait=', ...flagNames),
  fc.tuple(fc.constantFrom(...flagNames), nastyText).map(([flag, value]) => `${flag}=${value}`),
  nastyText,
  fc.constantFrom('--__proto__=x', '--constructor', '--toString=1', '--__proto__'),
);

holds(
  'whatever a command line says, it is understood or wrong usage',
  fc.array(word, { maxLength: 6 }),
  async (given) => {
    const line = await orSaysNo(() => parseLine(commandTable, given), UsageError);
    if (line?.command !== undefined) expect(commands).toContain(line.command);
    isClean();
  },
);

const tags = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.constantFrom(...tagSettings).map((name) => `ecs-node:${name}`),
        key.map((name) => `ecs-node:${name}.x`),
        nastyText.map((name) => `ecs-node:${name}`),
        nastyText,
      ),
      nastyText,
    ),
    { maxLength: 8 },
  )
  .map((pairs) => Object.fromEntries(pairs));

holds('whatever the tags say, they set nothing but names and choices', tags, async (given) => {
  const { tags: layers } = layersOfTags(given);
  const { settings: merged } = mergeLayers(layers, isSection);
  const paths = Object.entries(merged).flatMap(([section, value]) =>
    typeof value === 'object' ? Object.keys(value ?? {}).map((inner) => `${section}.${inner}`) : [section],
  );
  expect(paths.filter((path) => !(tagSettings as readonly string[]).includes(path))).toEqual([]);
  // A file makes a valid configuration; no tag may change that, or choose the program that
  // registers the node.
  const file = { layers: [parseLayer('cluster: a\n', 'file')], faults: [] };
  const { config } = resolveConfig(file, [], { tags: layers, layers: [], faults: [], warnings: [] });
  expect(config).toMatchObject({ cluster: 'a', registrar: 'none', opsworks: { waitForOnline: false } });
  isClean();
});

holds(
  'what flags write into configuration files is what they said, or nothing is written',
  fc.tuple(
    fc.array(text, { maxLength: 2 }),
    fc.constantFrom('disk.checks=7', 'hostname=a', 'spot={action: log}', 'disk.paths=[/a]'),
  ),
  async ([texts, set]) => {
    const files = texts.map((each, index) => ({
      path: index === 0 ? '/etc/ecs-node/config.yaml' : `/etc/ecs-node/config.d/${index}.yaml`,
      text: each,
    }));
    const flags = settingsOfFlags(settingFlags, { flags: { set: [set] }, operands: [] });
    const edits = await orSaysNo(() => editFiles(files, '/etc/ecs-node/config.yaml', flags), ConfigError);
    if (edits === undefined) return;
    const after = new Map(files.map((file) => [file.path, file.text]));
    for (const { path, text: now } of edits) {
      if (now === undefined) after.delete(path);
      else after.set(path, now);
    }
    const layers = [...after].map(([path, now]) => parseLayer(now, path));
    const { settings: merged } = mergeLayers(layers, isSection);
    const [flag] = flags;
    const found = flag!.path.reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], merged);
    if (typeof flag!.value === 'object' && !Array.isArray(flag!.value))
      expect(found).toMatchObject(flag!.value as object);
    else expect(found).toEqual(flag!.value);
    isClean();
  },
  { runs: 80 },
);
