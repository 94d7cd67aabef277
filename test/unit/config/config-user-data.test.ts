import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findConfiguration as find } from '../../../config/sources/user-data.ts';
import { ConfigError } from '../../../core/errors.ts';

const findConfiguration = (userData: Uint8Array) => find(userData).texts.map(({ text }) => text);

const yaml = 'cluster: prod\nname: "Büro"\n';
const bytes = (text: string) => new TextEncoder().encode(text);
const multipart = (...parts: string[]) =>
  [
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed;',
    ' boundary="=="',
    '',
    'preamble',
    ...parts.flatMap((part) => ['--==', part]),
    '--==--',
    'epilogue',
  ].join('\n');
const script = 'Content-Type: text/x-shellscript\n\n#!/bin/sh\necho "#ecs-node"\n';
const ours = (content: string, headers = '') =>
  `Content-Type: application/x-ecs-node; charset="utf-8"\n${headers}\n${content}`;

test.each([
  ['plain, with its marker', bytes(`#ecs-node\n${yaml}`)],
  ['plain with carriage returns', bytes(`#ecs-node\r\n${yaml}`)],
  ['plain with a byte order mark', bytes(`\uFEFF#ecs-node\n${yaml}`)],
  ['gzip', gzipSync(`#ecs-node\n${yaml}`)],
  ['base64', bytes(Buffer.from(`#ecs-node\n${yaml}`).toString('base64'))],
  [
    'gzip in base64 with line breaks',
    bytes(gzipSync(`#ecs-node\n${yaml}`).toString('base64').replace(/.{40}/g, '$&\n')),
  ],
  ['a part beside a script', bytes(multipart(script, ours(yaml)))],
  ['a part with carriage returns', bytes(multipart(script, ours(yaml)).replaceAll('\n', '\r\n'))],
  [
    'a part in base64',
    bytes(multipart(ours(Buffer.from(yaml).toString('base64'), 'Content-Transfer-Encoding: base64\n'))),
  ],
  [
    'a part in gzip in base64',
    bytes(multipart(ours(gzipSync(yaml).toString('base64'), 'Content-Transfer-Encoding: base64\n'))),
  ],
  [
    'a quoted-printable part',
    bytes(multipart(ours('cluster: prod\nname: "B=C3=BC=\nro"', 'Content-Transfer-Encoding: quoted-printable\n'))),
  ],
  ['a text part with the marker', bytes(multipart(`Content-Type: text/plain\n\n#ecs-node\n${yaml}`))],
  ['a part without headers but with the marker', bytes(multipart(`\n#ecs-node\n${yaml}`))],
  ['a part in a part', bytes(multipart(`Content-Type: multipart/mixed; boundary=in\n\n--in\n${ours(yaml)}\n--in--`))],
  ['gzip around a multipart message', gzipSync(multipart(script, ours(yaml)))],
])('finds the configuration: %s', (_, userData) => {
  const [text, ...others] = findConfiguration(userData);
  expect(others).toEqual([]);
  expect(
    text
      ?.replace(/^\uFEFF?#ecs-node\r?\n/, '')
      .replaceAll('\r', '')
      .trim(),
  ).toBe(yaml.trim());
});

test('several parts keep their order', () => {
  expect(findConfiguration(bytes(multipart(ours('cluster: a'), script, ours('cluster: b'))))).toEqual([
    'cluster: a',
    'cluster: b',
  ]);
});

test.each([
  ['a script', bytes('#!/bin/sh\necho "#ecs-node"\n')],
  ['cloud-config', bytes('#cloud-config\nruncmd: []\n')],
  ['another tool', bytes(multipart('Content-Type: application/node.eks.aws\n\nkind: NodeConfig'))],
  ['a marker that goes on', bytes('#ecs-nodes\ncluster: a\n')],
  ['a word that is also base64', bytes('abcdefgh')],
  ['nothing', new Uint8Array()],
  ['noise', new Uint8Array([0xff, 0xfe, 0x00, 0x80])],
])('%s is ignored without an error', (_, userData) => {
  expect(findConfiguration(userData)).toEqual([]);
});

test.each([
  [
    'gzip that was cut off',
    gzipSync(`#ecs-node\n${yaml.repeat(50)}`).subarray(0, 40),
    /^user data: is gzip that cannot be unpacked/,
  ],
  ['a bomb', gzipSync(Buffer.alloc(50_000_000)), /^user data: is gzip that cannot be unpacked/],
  ['another encoding', new Uint8Array([...bytes('#ecs-node\nname: '), 0xfc]), /^user data: is not UTF-8/],
  [
    'a message without its boundary',
    bytes(multipart(ours(yaml)).replace('boundary="=="', '')),
    /^user data: is a multipart message whose Content-Type names no boundary/,
  ],
])('%s is reported, so that no configuration is lost', (_, userData, problem) => {
  expect(() => findConfiguration(userData)).toThrow(ConfigError);
  expect(() => findConfiguration(userData)).toThrow(problem);
});

test('any bytes give texts or a ConfigError', () => {
  const pieces = fc.constantFrom(
    'MIME-Version: 1.0\n',
    'Content-Type: multipart/mixed; boundary=b\n',
    '\n',
    '--b\n',
    '--b--\n',
    ours('x: 1\n'),
    '#ecs-node\n',
    ' folded',
    ':',
    '\xff',
  );
  const law = () =>
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        try {
          findConfiguration(Buffer.from(parts.join(''), 'latin1'));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
        }
      }),
      { seed: 1 },
    );
  expect(law).not.toThrow();
});

const told = (userData: Uint8Array) => find(userData).warnings.map(({ path, problem }) => `${path}: ${problem}`);

test.each([
  ['a message of one part', `MIME-Version: 1.0\nContent-Type: application/x-ecs-node\n\n${yaml}`],
  ['a mailbox line, and no MIME-Version', `From nobody Thu Jan  1 00:00:00 1970\n${multipart(ours(yaml))}`],
  ['blank lines in front', `\r\n\n${multipart(ours(yaml))}`],
  ['a byte order mark in front of the headers', `\uFEFF${multipart(ours(yaml))}`],
  ['blank lines in front of the marker', `\n  \n#ecs-node\n${yaml}`],
  ['another word behind the marker', `#ecs-node v1: production\n${yaml}`],
  [
    'an entry of a cloud-config archive',
    `#cloud-config-archive\n- type: application/x-ecs-node\n  content: |\n    cluster: prod\n    name: "Büro"\n`,
  ],
  ['a template line without any template', `## template: jinja\n#ecs-node\n${yaml}`],
])('reads %s', (_, text) => {
  const [found = '', ...others] = findConfiguration(bytes(text));
  expect(others).toEqual([]);
  expect(found.replaceAll(/^[\s\uFEFF]*(#.*\n\s*)*/g, '').trim()).toBe(yaml.trim());
  expect(told(bytes(text))).toEqual([]);
});

test('a part in ISO 8859-1 is read in its own charset', () => {
  const text = multipart('Content-Type: application/x-ecs-node; charset="iso-8859-1"\n\nname: B\xfcro');
  expect(findConfiguration(Buffer.from(text, 'latin1'))).toEqual(['name: Büro']);
});

test.each([
  ['settings without their first line', 'cluster: prod\n', /^user data: is not read: its first line must be #ecs-node/],
  ['a first line with a typing error', '#ecs-nodes\ncluster: prod\n', /^user data: is not read/],
  ['documents elsewhere', '#include\nhttps://example.com/config\n', /^user data: includes documents by URL/],
  ['a broken archive', '#cloud-config-archive\n- [\n', /^user data: is a cloud-config archive that cannot be read/],
  ['a message without a boundary', 'MIME-Version: 1.0\nContent-Type: multipart/mixed\n\nx\n', /names no boundary/],
  [
    'a part for one instance only',
    multipart(ours(yaml, 'Launch-Index: 1\n')).replace('Content-Type', 'MIME-Version: 1.0\nContent-Type'),
    /^user data: its Launch-Index is not heeded/,
  ],
])('%s: the unreadable part is reported', (_, text, problem) => {
  expect(told(bytes(text)).join('\n')).toMatch(problem);
});

test.each(['application/ecs-node', 'text/x-ecs-node', 'application/x-ecs_node'])(
  'a part of the type %s is refused with the right type, not dropped',
  (type) => {
    const text = multipart(`Content-Type: ${type}\n\ncluster: prod`);
    expect(() => findConfiguration(bytes(text))).toThrow(`a part with settings must have application/x-ecs-node`);
  },
);

test('a Jinja template with our configuration is refused, because its variables would stay unreplaced', () => {
  const text = '## template: jinja\n#ecs-node\ncluster: {{ ds.meta_data.tags.cluster }}\n';
  expect(() => findConfiguration(bytes(text))).toThrow(/is a Jinja template/);
});

// The lines are from Python's binascii.b2a_uu.
test.each(['x-uuencode', 'uuencode', 'X-UUE', 'uue'])('a part in %s is decoded', (encoding) => {
  const lines = [
    'begin 644 settings',
    "M8VQU<W1E<CH@<')O9 IN86UE.B B0L.\\<F\\B\"FQE879E.B![9')A:6Y396-O",
    'F;F1S.B`V,#!](",@;6]R92!T:&%N(#0U(&)Y=&5S(&EN(&%L;`H`',
    '`',
    'end',
  ];
  const text = multipart(ours(lines.join('\n'), `Content-Transfer-Encoding: ${encoding}\n`));
  expect(findConfiguration(bytes(text))).toEqual([`${yaml}leave: {drainSeconds: 600} # more than 45 bytes in all\n`]);
});

const archive = (...entries: string[]) => ['#cloud-config-archive', ...entries, ''].join('\n');
const binary = (content: string | Buffer) => `!!binary ${Buffer.from(content).toString('base64')}`;

test.each([
  ['of our type', `- {type: application/x-ecs-node, content: ${binary('cluster: prod\n')}}`, 'cluster: prod\n'],
  [
    'of our type, with gzip',
    `- {type: application/x-ecs-node, content: ${binary(gzipSync('cluster: prod\n'))}}`,
    'cluster: prod\n',
  ],
  ['with its first line', `- content: ${binary('#ecs-node\ncluster: prod\n')}`, '#ecs-node\ncluster: prod\n'],
])('binary content of an archive is decoded: %s', (_, entry, expected) => {
  expect(findConfiguration(bytes(archive(entry)))).toEqual([expected]);
  expect(told(bytes(archive(entry)))).toEqual([]);
});

test('an archive whose only settings are a map is refused with the form that is right', () => {
  const text = archive('- {type: application/x-ecs-node, content: {cluster: prod}}');
  expect(() => findConfiguration(bytes(text))).toThrow(/user data, entry 1: .*its content must be a text/);
});

const inner = '#cloud-config-archive\n- content: "#ecs-node"';
test.each([
  ['an archive in an archive', archive('- type: text/cloud-config-archive', `  content: ${JSON.stringify(inner)}`)],
  [
    'a message in an archive',
    archive('- type: multipart/mixed', `  content: ${JSON.stringify(multipart(ours(yaml)))}`),
  ],
  ['a template of an archive', `## template: jinja\n${inner}\n`],
  ['a type that no program reads', multipart('Content-Type: application/x-other\n\n#ecs-node-settings\nname: a')],
  ['noise', archive(`- content: ${binary('\xff ecs-node')}`)],
])('%s: a mention of ecs-node that is not understood is told', (_, text) => {
  expect(told(bytes(text)).join('\n')).toMatch(/mentions ecs-node, but/);
});

test.each([
  ['behind the last boundary', `${multipart(script)}\n${ours(yaml)}`],
  ['before the first boundary', multipart(script).replace('preamble', ours(yaml))],
])('settings %s are not lost without an error', (_, text) => {
  expect(() => findConfiguration(bytes(text))).toThrow(/before its first boundary or after its last one/);
});

test.each([
  ['a script', '#!/bin/sh\necs-node bootstrap\n'],
  ['cloud-config', '#cloud-config\nruncmd: [ecs-node bootstrap]\n'],
  ['a template of cloud-config', '## template: jinja\n#cloud-config\nruncmd: [ecs-node bootstrap]\n'],
  ['words around the boundaries', multipart(script).replace('preamble', 'made for ecs-node')],
])('%s may mention ecs-node without a message', (_, text) => expect(told(bytes(text))).toEqual([]));

test('foreign user data causes no message', () => {
  const others = multipart(
    script,
    'Content-Type: text/cloud-config\n\nruncmd: []',
    'Content-Type: application/node.eks.aws\n\nx: 1',
  );
  for (const text of [others, '#!/bin/sh\n', '#cloud-config\n', '']) expect(told(bytes(text))).toEqual([]);
});
