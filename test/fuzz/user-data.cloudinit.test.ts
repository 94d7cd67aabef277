/**
 * cloud-init's own parser judges ours: what it finds in user data, ecs-node must find, with the
 * same type and content.
 */

import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findConfiguration, openUserData, partType } from '../../config/sources/user-data.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const times = Number(process.env['FUZZ_TIMES'] ?? 1);

const python = '/usr/bin/python3';

/** The parts that cloud-init finds in each input; undefined where it refuses the text. */
function askCloudInit(inputs: readonly Buffer[]): (string[][] | undefined)[] {
  const input = inputs.map((each) => `${each.toString('base64')}\n`).join('');
  const { stdout, stderr, status } = spawnSync(python, ['test/fuzz/cloud-init-oracle.py'], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(inputs.length);
  return lines.map((line) => {
    const found = JSON.parse(line) as [string, string][] | null;
    return found?.map(([type, content]) => [type, Buffer.from(content, 'base64').toString('latin1')]);
  });
}

function ourView(input: Buffer): string[][] {
  return openUserData(input).contents.map(({ type, bytes }) => [type, bytes.toString('latin1')]);
}

const isNotBlank = ([, content = '']: string[]) => content.trim() !== '';

/** Fails with the smallest of the inputs that differ. */
function compare(inputs: readonly Buffer[], generous: (input: Buffer) => Buffer = (input) => input): number {
  const answers = askCloudInit(inputs);
  const differing = inputs
    .map((input, at) => ({ input, theirs: answers[at]?.filter(isNotBlank) }))
    .filter(({ theirs }) => theirs !== undefined)
    .map(({ input, theirs }) => ({
      text: input.toString('latin1'),
      theirs,
      ours: ourView(generous(input)).filter(isNotBlank),
    }))
    .filter(({ theirs, ours }) => JSON.stringify(theirs) !== JSON.stringify(ours))
    .toSorted((a, b) => a.text.length - b.text.length);
  expect(differing.slice(0, 2)).toEqual([]);
  return answers.filter((answer) => answer?.some(([type]) => type === partType)).length;
}

const sample = (arbitrary: fc.Arbitrary<Buffer>, runs: number) => fc.sample(arbitrary, { seed, numRuns: runs * times });

// ---------------------------------------------------------------- what people and programs write

const content = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('#ecs-node\ncluster: prod\n', '\n \n#ecs-node\ncluster: a', '#Ecs-Node v1\nname: x\n'),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      '#!/bin/sh\necho "#ecs-node"\n',
      '#cloud-config\nruncmd: []\n',
      '#cloud-boothook\n#!/bin/sh\n',
      '## template: jinja\n#cloud-config\nfqdn: {{ v1.instance_id }}\n',
      '#part-handler\n',
      '#cloud-config-jsonp\n[]\n',
      '#include http://127.0.0.1:1/x\n',
      'plain text\n',
      'key: value\n\nrest\n',
      '',
      '\n\n',
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '#cloud-config-archive\n- type: application/x-ecs-node\n  content: |\n    cluster: prod\n- "#!/bin/sh"\n',
      '#cloud-config-archive\n- |\n  #ecs-node\n  cluster: prod\n- content: "a: 1"\n',
      '#cloud-config-archive\n[]\n',
    ),
  },
);

const eol = fc.constantFrom('\n', '\r\n');
const own = fc.constantFrom(
  partType,
  'Application/X-Ecs-Node',
  `${partType}; charset="utf-8"`,
  `${partType};charset=us-ascii`,
);
const type = fc.oneof(
  own,
  fc.constantFrom(
    'text/plain',
    'text/plain; charset=utf-8',
    'text/x-shellscript; charset="us-ascii"',
    'text/cloud-config',
    'text/x-not-multipart',
    'application/octet-stream',
    'application/node.eks.aws',
    'nonsense',
    'a/b/c',
    '',
  ),
);

const otherHeader = fc.constantFrom(
  'MIME-Version: 1.0',
  'mime-version:1.0',
  'Subject: x',
  'X-Long: a\n b\n\tc',
  'Content-Disposition: attachment; filename="a.yaml"',
  ': no name',
  'Content-Type: text/x-second',
);

const headersOf = (given: readonly string[], before: readonly string[], after: readonly string[]) =>
  [...before, ...given, ...after].map((line) => `${line}\n`).join('');

const fewHeaders = fc.array(otherHeader, { maxLength: 2 });

/** A leaf, with its headers, in one of the transfer encodings. */
const leaf = fc
  .tuple(
    fc.option(type),
    content,
    fc.constantFrom('', 'base64', 'BASE64', 'quoted-printable', '7bit', '8bit', 'binary'),
    fewHeaders,
    fc.constantFrom('', '', ' continues nothing\n'),
  )
  .map(([kind, text, encoding, headers, orphan]) => {
    const lines = [
      ...(kind === null ? [] : [`Content-Type: ${kind}`]),
      ...(encoding === '' ? [] : [`Content-Transfer-Encoding: ${encoding}`]),
    ];
    return `${orphan}${headersOf(lines, [], headers)}\n${encodeText(text, encoding)}`;
  });

/** Gzip under a type that cloud-init unpacks. */
const zippedLeaf = fc.tuple(content, fc.constantFrom('gzip', 'x-gzip', 'x-gunzip')).map(([text, name]) => {
  const body = gzipSync(text).toString('base64').replaceAll(/.{60}/g, '$&\n');
  return `Content-Type: application/${name}\nContent-Transfer-Encoding: base64\n\n${body}\n`;
});

function encodeText(text: string, encoding: string): string {
  if (/^base64$/i.test(encoding)) return Buffer.from(text).toString('base64').replaceAll(/.{20}/g, '$&\n');
  if (encoding !== 'quoted-printable') return text;
  return text
    .replaceAll(/[={}#]/g, (char) => `=${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll(/.{30}/g, '$&=\n');
}

const boundaries = fc.constantFrom('==', 'b', '===============123==', "a'()+_,-./:=? b", 'b-');

const joinParts = (boundary: string, parts: readonly string[], tail: string, junk: string) =>
  `${junk}${parts.map((part) => `--${boundary}${tail}\n${part}\n`).join('')}`;

const multipart = (inner: fc.Arbitrary<string>) =>
  fc
    .tuple(
      boundaries,
      fc.array(inner, { maxLength: 4 }),
      fc.constantFrom('', '', ' ', '\t'),
      fc.constantFrom('', 'preamble\n', '\n', '--almost\n'),
      fc.constantFrom('closed', 'closed', 'open', 'epilogue', 'doubled'),
      fc.constantFrom('mixed', 'alternative', 'Mixed'),
      fc.constantFrom('quoted', 'folded', 'charset', 'spaced'),
    )
    .map(([boundary, parts, tail, junk, end, kind, style]) => {
      const parameter = {
        quoted: `multipart/${kind}; boundary="${boundary}"`,
        folded: `multipart/${kind};\n boundary="${boundary}"`,
        charset: `multipart/${kind}; charset="us-ascii"; Boundary="${boundary}"; x=y`,
        spaced: `multipart/${kind} ;  boundary = "${boundary}" `,
      }[style];
      const close = {
        closed: `--${boundary}--\n`,
        open: '',
        epilogue: `--${boundary}--\nepilogue\n--${boundary}\n\nx\n`,
        doubled: `--${boundary}\n--${boundary}--\n`,
      }[end];
      return `Content-Type: ${parameter}\n\n${joinParts(boundary, parts, tail, junk)}${close}`;
    });

const message = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: multipart(fc.oneof(leaf, leaf, zippedLeaf, multipart(leaf))) },
      { weight: 1, arbitrary: leaf },
    ),
    fc.constantFrom(
      'MIME-Version: 1.0\n',
      'From nobody Thu Jan  1 00:00:00 1970\nMIME-Version: 1.0\n',
      'mime-version: 1.0\nX-A: b\n',
    ),
    eol,
  )
  .map(([text, head, lineBreak]) => Buffer.from(`${head}${text}`.replaceAll('\n', lineBreak), 'latin1'));

const plain = fc.tuple(content, eol).map(([text, lineBreak]) => Buffer.from(text.replaceAll('\n', lineBreak)));

const anything = fc
  .oneof({ weight: 5, arbitrary: message }, { weight: 1, arbitrary: plain })
  .chain((bytes) => fc.boolean().map((isZipped) => (isZipped ? gzipSync(bytes) : bytes)));

test('ecs-node reads the same parts of any user data as cloud-init', () => {
  const found = compare(sample(anything, 1500));
  // The comparison means something only where our configuration is among the parts.
  expect(found).toBeGreaterThan(300 * times);
});

test('a byte order mark, blank lines before the headers and a missing MIME-Version lose nothing that cloud-init finds', () => {
  const inputs = sample(message, 300);
  compare(inputs, (input) => Buffer.concat([Buffer.from('\uFEFF\r\n\n'), input]));
  compare(inputs, (input) => Buffer.from(input.toString('base64').replaceAll(/.{76}/g, '$&\n')));
  const isTyped = (input: Buffer) =>
    /^(From .*\r?\n)?mime-version: 1\.0\r?\n(X-A: b\r?\n)?content-type:/i.test(input.toString('latin1'));
  compare(inputs.filter(isTyped), (input) =>
    Buffer.from(input.toString('latin1').replace(/mime-version: 1\.0\r?\n/i, ''), 'latin1'),
  );
});

test('the mailbox line of mail programs costs no configuration', () => {
  const text = [
    'From nobody Thu Jan  1 00:00:00 1970',
    'Content-Type: multipart/mixed; boundary="=="',
    'MIME-Version: 1.0',
    '',
    '--==',
    `Content-Type: ${partType}`,
    '',
    'cluster: prod',
    '--==--',
  ].join('\n');
  expect(askCloudInit([Buffer.from(text)])).toEqual([[[partType, 'cluster: prod']]]);
  expect(findConfiguration(Buffer.from(text)).texts).toEqual([{ name: 'user data', text: 'cluster: prod' }]);
});
