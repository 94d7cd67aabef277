import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEntries, renderEcsConfig } from '../../../bootstrap/ecs-config-text.ts';
import { faultOfValue } from '../../../config/ecs-value.ts';

/**
 * Reads an EnvironmentFile as systemd 252 does. Written from its documented grammar, independently
 * of the product's own parser.
 */
function systemdReads(text: string): Map<string, string> {
  const values = new Map<string, string>();
  let i = 0;
  const newline = (c: string | undefined) => c === '\n' || c === '\r';
  const skipComment = () => {
    while (i < text.length && !newline(text[i])) i += text[i] === '\\' ? 2 : 1;
  };
  while (i < text.length) {
    if (/\s/.test(text[i]!)) {
      i++;
      continue;
    }
    if (text[i] === '#' || text[i] === ';') {
      skipComment();
      continue;
    }
    let key = '';
    while (i < text.length && !newline(text[i]) && text[i] !== '=') key += text[i++];
    if (text[i] !== '=') continue;
    i++;
    let value = '';
    let kept = 0;
    let begins = true;
    for (; i < text.length && !newline(text[i]); i++) {
      const c = text[i]!;
      if (begins && (c === '"' || c === "'")) {
        for (i++; i < text.length && text[i] !== c; i++) {
          if (c === '"' && text[i] === '\\') {
            i++;
            if (i < text.length && text[i] !== '\n') value += '"\\`$'.includes(text[i]!) ? text[i] : `\\${text[i]}`;
          } else value += text[i];
        }
        kept = value.length;
      } else if (c === '\\') {
        i++;
        if (i < text.length && !newline(text[i])) value += text[i];
        kept = value.length;
        begins = false;
      } else if (begins && /[ \t]/.test(c)) {
        continue;
      } else {
        begins = false;
        value += c;
        if (!/\s/.test(c)) kept = value.length;
      }
    }
    values.set(key.trim(), value.slice(0, kept));
  }
  return values;
}

/** Reads the file as ecs-init does: each line, cut at the first equals sign. */
function ecsInitReads(text: string): Map<string, string> {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.trim());
  return new Map(
    lines
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

const key = fc.constantFrom('ECS_CLUSTER', 'ECS_RESERVED_MEMORY', 'ECS_INSTANCE_ATTRIBUTES', 'ECS_LOGLEVEL');
const value = fc
  .oneof(
    fc.string(),
    fc.constantFrom(
      '{"stack":"prod"}',
      "it's",
      'a  b',
      'DOMAIN\\user',
      '{"a":"b\\\\c"}',
      '$HOME `x`',
      'a"b',
      '',
      '#no comment',
      'x;y=z',
    ),
  )
  .filter((text) => faultOfValue(text) === undefined);
const settings = fc.dictionary(key, value, { maxKeys: 4 });
const otherLine = fc.constantFrom(
  '# a comment',
  '; another',
  '',
  'no equals sign',
  'export ECS_CLUSTER=old',
  'OTHER=1',
  '  SPACED = x ',
  'QUOTED="two\nlines"',
  "SINGLE='two\nECS_CLUSTER=inside\nlines'",
  'CONTINUED=a\\\nECS_CLUSTER=inside',
  '# ends in a backslash \\',
);
const ownLine = fc.tuple(key, fc.constantFrom('old', '"old"', 'a b')).map(([name, text]) => `${name}=${text}`);
const file = fc
  .tuple(
    fc.array(fc.oneof(otherLine, ownLine), { maxLength: 12 }),
    fc.constantFrom('\n', '\r\n'),
    fc.boolean(),
    fc.constantFrom('', 'OPEN="never closed', 'OPEN=\\'),
  )
  .map(([lines, eol, ends, tail]) => {
    const text = [...lines, ...(tail === '' ? [] : [tail])].join(eol);
    return ends && tail === '' && text !== '' ? text + eol : text;
  });

describe('ecs.config', () => {
  it('begins as one block below a comment that names its writer', () => {
    expect(renderEcsConfig('', { ECS_CLUSTER: 'demo', ECS_RESERVED_MEMORY: '256' })).toBe(
      '# ecs-node keeps these up to date from /etc/ecs-node/config.yaml: ECS_CLUSTER ECS_RESERVED_MEMORY\n' +
        'ECS_CLUSTER=demo\nECS_RESERVED_MEMORY=256\n',
    );
  });

  it('is read as written by ecs-init, and without backslashes by systemd, whatever was there before', () => {
    fc.assert(
      fc.property(file, settings, (text, wanted) => {
        const after = renderEcsConfig(text, wanted);
        for (const [name, expected] of Object.entries(wanted)) {
          // systemd takes backslashes away; the ECS agent gets its values from ecs-init.
          expect(systemdReads(after).get(name)).toBe(expected.replaceAll(/\\(.)/g, '$1'));
          expect(ecsInitReads(after).get(name)).toBe(expected);
        }
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('keeps the lines of others in order, with their text but for trailing blanks, and each of our keys once', () => {
    fc.assert(
      fc.property(file, settings, (text, wanted) => {
        const after = parseEntries(renderEcsConfig(text, wanted));
        const foreign = (entries: typeof after) =>
          entries
            .filter((entry) => entry.key === undefined || !(entry.key in wanted))
            .map(({ raw }) => raw.trimEnd())
            .filter((raw) => !raw.startsWith('# ecs-node keeps'));
        expect(foreign(after)).toEqual(foreign(parseEntries(text)));
        const keys = after.flatMap((entry) => entry.key ?? []).filter((name) => name in wanted);
        expect(keys.toSorted()).toEqual(Object.keys(wanted).toSorted());
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it('does not change on a second write', () => {
    fc.assert(
      fc.property(file, settings, (text, wanted) => {
        const once = renderEcsConfig(text, wanted);
        expect(renderEcsConfig(once, wanted)).toBe(once);
      }),
      { seed: 3, numRuns: 1000 },
    );
  });

  it('loses only the settings that the configuration no longer has', () => {
    // The second key is a word of our comment.
    const others = '# mine\nOTHER=1\ndate=2\n';
    const before = renderEcsConfig(others, { ECS_CLUSTER: 'demo', ECS_RESERVED_MEMORY: '256' });
    const after = renderEcsConfig(before, { ECS_CLUSTER: 'demo' });
    expect(after).toBe(renderEcsConfig(others, { ECS_CLUSTER: 'demo' }));
    expect(renderEcsConfig(after, {})).toBe(others);
  });

  it('ends a comment that ends in a backslash, behind which systemd before 254 loses a line', () => {
    const ours = '# ecs-node keeps these up to date from /etc/ecs-node/config.yaml: ECS_CLUSTER\nECS_CLUSTER=y\n';
    expect(renderEcsConfig('; a \\\nOTHER=1\n', { ECS_CLUSTER: 'y' })).toBe(`; a \\ \nOTHER=1\n${ours}`);
    expect(renderEcsConfig('# a \\\\\nOTHER="\n# b \\\n"\n', { ECS_CLUSTER: 'y' })).toBe(
      `# a \\\\\nOTHER="\n# b \\\n"\n${ours}`,
    );
  });

  it('changes no value that ends in a backslash, whatever comes before it', () => {
    for (const other of ['OTHER=a;b\\', 'OTHER=a #b\\'])
      expect(renderEcsConfig(other, { ECS_CLUSTER: 'y' })).toMatch(/ECS_CLUSTER=y\nOTHER=a.*b\\$/);
  });

  it('writes its block before a quote that never closes, whatever the key in front of it', () => {
    expect(renderEcsConfig("=B 1= ' `", { ECS_CLUSTER: 'y' })).toMatch(/ECS_CLUSTER=y\n=B 1= ' `$/);
  });

  it('absorbs a line that a user-data script appended twice', () => {
    const text = 'ECS_CLUSTER=old\n# keep me\nECS_CLUSTER=older\n';
    const after = renderEcsConfig(text, { ECS_CLUSTER: 'demo' });
    expect(after.match(/^ECS_CLUSTER=/gm)).toHaveLength(1);
    expect(after.startsWith('# keep me\n')).toBe(true);
  });

  it('keeps the line ends of a file that was edited on Windows', () => {
    const after = renderEcsConfig('OTHER=1\r\nLAST=2', { ECS_CLUSTER: 'demo' });
    expect(after).toMatch(/^OTHER=1\r\nLAST=2\r\n# .*\r\nECS_CLUSTER=demo\r\n$/);
  });

  it('takes no comment for an open line, whatever quote it holds', () => {
    expect(parseEntries('# "a=b\n; it\'s=1\n').map(({ open }) => open)).toEqual([false, false]);
  });

  it('ends a line at a carriage return alone, as systemd does, and at both together', () => {
    const text = 'A=1\rB=2\r\nC=3\r';
    expect(parseEntries(text).map(({ raw }) => raw)).toEqual(['A=1\r', 'B=2\r\n', 'C=3\r']);
    expect([...systemdReads(text)]).toEqual(Object.entries({ A: '1', B: '2', C: '3' }));
  });

  it('refuses values that would damage the file or another line, and keeps DOMAIN\\\\user', () => {
    for (const text of ['two\nlines', 'a\\', '"quoted"', "'quoted'", ' padded', 'padded ', 'nul\0', 'bell\u0007']) {
      expect(faultOfValue(text), JSON.stringify(text)).toBeTypeOf('string');
    }
    for (const text of [
      '',
      'DOMAIN\\user',
      '256',
      '{"a":"b c"}',
      "it's",
      '["json-file","awslogs"]',
      '$x `y`',
      'a=b#c',
      'ü',
    ]) {
      expect(faultOfValue(text), JSON.stringify(text)).toBeUndefined();
    }
  });
});

it('a file with an unfinished last line neither swallows our lines nor grows with every boot', () => {
  const before = 'ECS_A=a\\\n';
  const once = renderEcsConfig(before, { ECS_CLUSTER: 'demo' });
  expect(once.endsWith(before)).toBe(true);
  expect(parseEntries(once).map(({ key }) => key)).toEqual([undefined, 'ECS_CLUSTER', 'ECS_A']);
  expect(renderEcsConfig(once, { ECS_CLUSTER: 'demo' })).toBe(once);
});
