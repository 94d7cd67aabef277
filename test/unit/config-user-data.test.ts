import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findConfiguration } from '../../commands/sources/user-data.ts';
import { ConfigError } from '../../core/errors.ts';

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

test('several parts stay in their order', () => {
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
])("%s is not ours, and nobody's fault", (_, userData) => {
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
    /^user data: names a part .* cannot be found/,
  ],
])('%s is told instead of losing the configuration', (_, userData, problem) => {
  expect(() => findConfiguration(userData)).toThrow(ConfigError);
  expect(() => findConfiguration(userData)).toThrow(problem);
});

test('whatever the bytes are, it ends with texts or with a ConfigError', () => {
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
    );
  expect(law).not.toThrow();
});
