// The build changes one kind of expression in the AWS SDK's schemas; this proves that their values
// stay what they were.
import { globSync, readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { foldSchemaKeys } from '../../scripts/binary/fold-schema-keys.ts';

const clients = [
  'auto-scaling',
  'cloudwatch',
  'ec2',
  'ecs',
  'elastic-load-balancing',
  'elastic-load-balancing-v2',
  'ssm',
];
const files = [
  ...clients.map((client) => `node_modules/@aws-sdk/client-${client}/dist-es/schemas/schemas_0.js`),
  ...globSync('node_modules/@aws-sdk/nested-clients/dist-es/submodules/*/schemas/schemas_*.js').toSorted(),
];

describe('the folded schemas of the AWS SDK', () => {
  test.each(files)('equal the originals: %s', (file) => {
    const source = readFileSync(file, 'utf8');
    const original = evaluate(source);
    const folded = evaluate(foldSchemaKeys(source, file));
    expect(original.size).toBeGreaterThan(10);
    expect([...folded.keys()]).toEqual([...original.keys()]);
    expect([...folded].filter(([name, shape]) => shape !== original.get(name))).toEqual([]);
  });

  test('leave the bundler no computed key that needs a shape', () => {
    for (const file of files) expect(foldSchemaKeys(readFileSync(file, 'utf8'), file)).not.toMatch(/[{,]\s*\[_\w+\]:/);
  });

  test('stop the build at a key that its file does not define', () => {
    expect(() => foldSchemaKeys('export var X = [3, { [_gone]: 1 }];', 'x.js')).toThrow(
      'x.js: the computed key [_gone]',
    );
  });

  test('stop the build at an unknown kind of computed key', () => {
    expect(() => foldSchemaKeys('const _a = "a";\nexport var X = [{ [_a + 1]: 1 }];', 'x.js')).toThrow('[_a + 1]:');
  });
});

/**
 * Stands in for what the files import, the error classes and the registry for them: folding touches
 * neither.
 */
class Untouched {
  static for(): Untouched {
    return new Untouched();
  }
  registerError(): void {}
}

/**
 * Runs a schema file and renders each of its shapes, in which another shape is mentioned by its
 * name.
 */
function evaluate(source: string): Map<string, string> {
  const imported = [...source.matchAll(/^import \{([^}]*)\} from/gm)].flatMap(
    ([, names]) => names!.match(/\w+/g) ?? [],
  );
  const body = source.replaceAll(/^import .*$/gm, '').replaceAll(/^export /gm, '');
  const names = [...body.matchAll(/^(?:var|const) ([\w$]+) = \[/gm)].map(([, name]) => name!);
  const run = compileFunction(`${body}; return { ${names.join()} };`, imported);
  const shapes = run(...imported.map(() => Untouched)) as Record<string, unknown>;
  const nameOf = new Map(Object.entries(shapes).map(([name, shape]) => [shape, name]));
  const render = (value: unknown): unknown => {
    if (nameOf.has(value)) return { shape: nameOf.get(value) };
    if (typeof value === 'function') return { lazy: render(value()) };
    if (Array.isArray(value)) return value.map(render);
    if (value === null || typeof value !== 'object') return value;
    return Object.entries(value).map(([key, member]) => [key, render(member)]);
  };
  return new Map(
    Object.entries(shapes).map(([name, shape]) => [name, JSON.stringify((shape as unknown[]).map(render))]),
  );
}
