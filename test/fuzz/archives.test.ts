import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, lstatSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Header, type HeaderData } from 'tar';
import { afterAll, beforeAll, expect } from 'vitest';
import { Refused, Unavailable } from '../../core/errors.ts';
import { openNetwork } from '../../host/network/network.ts';
import { unpack } from '../../host/files/unpack.ts';
import { bytes, nastyText } from './hostile.ts';
import { holds, orSaysNo } from './property.ts';

const patient = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'ecs-node-fuzz-'));
let body: Buffer = Buffer.alloc(0);
const server = createServer((_, response) => void response.end(body));
let url = '';
beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/installer.tgz`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

type Entry = Partial<HeaderData> & { path: string };

function blockOf(entry: Entry, content: Buffer): Buffer {
  const block = Buffer.alloc(512);
  new Header({ mode: 0o644, type: 'File', size: content.length, mtime: new Date(0), ...entry }).encode(block);
  return Buffer.concat([block, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

const path = fc.oneof(
  fc.constantFrom(
    'a',
    'a/b',
    'link',
    'link/b',
    'a/../../x',
    '../x',
    '/tmp/x',
    './a',
    'a//b',
    '..',
    '.',
    '\\\\x',
    'C:/x',
    'link/../../x',
  ),
  nastyText.filter((text) => text !== '').map((text) => text.slice(0, 90)),
);
const type = fc.constantFrom(
  ...([
    'File',
    'Directory',
    'SymbolicLink',
    'Link',
    'FIFO',
    'CharacterDevice',
    'BlockDevice',
    'ContiguousFile',
  ] as const),
  ...([
    'OldFile',
    'GNUDumpDir',
    'ExtendedHeader',
    'GlobalExtendedHeader',
    'NextFileHasLongPath',
    'NextFileHasLongLinkpath',
  ] as const),
  ...(['SparseFile', 'TapeVolumeHeader', 'OldExtendedHeader', 'SolarisACL', 'ContinuationFile'] as const),
);
const content = fc.oneof(
  bytes.map((each) => Buffer.from(each)),
  fc
    .constantFrom(
      '27 path=../../escaped-by-pax\n',
      '20 linkpath=/etc/x\n',
      '../../escaped-by-name\0',
      '19 size=99999999\n',
    )
    .map((text) => Buffer.from(text)),
);
const linkpath = fc.constantFrom('/etc', '..', 'a', '/tmp', '../..', '');
const entry = fc
  .record({
    path,
    type,
    linkpath,
    content,
    mode: fc.constantFrom(0o644, 0o4777, 0o777, 0),
    size: fc.option(fc.constantFrom(0, 5, 2 ** 33), { nil: undefined, freq: 8 }),
  })
  .map(({ content: text, size, ...rest }) => blockOf({ ...rest, ...(size !== undefined && { size }) }, text));
const tar = fc.array(entry, { maxLength: 6 }).map((blocks) => Buffer.concat([...blocks, Buffer.alloc(1024)]));
const archive = fc.oneof(
  { weight: 6, arbitrary: tar.map((each) => gzipSync(each)) },
  {
    weight: 2,
    arbitrary: fc.tuple(tar, fc.nat(), fc.nat()).map(([each, at, bit]) => {
      const spoilt = Buffer.from(each);
      spoilt[at % spoilt.length]! ^= 1 << (bit % 8);
      return gzipSync(spoilt);
    }),
  },
  { weight: 1, arbitrary: fc.tuple(tar, fc.nat()).map(([each, at]) => gzipSync(each).subarray(0, at % 200)) },
  { weight: 1, arbitrary: bytes.map((each) => Buffer.from(each)) },
);

/** Everything below a folder, with what it is. */
function walk(at: string): { path: string; isPlain: boolean; mode: number }[] {
  return readdirSync(at, { recursive: true, encoding: 'utf8' }).map((name) => {
    const found = lstatSync(join(at, name));
    return { path: name, isPlain: found.isFile() || found.isDirectory(), mode: found.mode };
  });
}

holds(
  'whatever an installer holds, it lands in its own folder as plain files and folders, or nothing of it is kept',
  archive,
  async (given) => {
    body = given;
    const outer = mkdtempSync(join(folder, 'case-'));
    const inner = join(outer, 'root/var/lib/ecs-node/tmp');
    const at = await orSaysNo(() => unpack(url, inner, openNetwork({}), patient), Refused, Unavailable);
    const found = walk(outer);
    expect(found.filter(({ isPlain }) => !isPlain)).toEqual([]);
    expect(found.filter(({ mode }) => (mode & 0o7007) !== 0 && (mode & 0o100000) !== 0)).toEqual([]);
    const own = at?.slice(outer.length + 1);
    const stray = found.filter(
      ({ path: each }) => !'root/var/lib/ecs-node/tmp'.startsWith(each) && !(own !== undefined && each.startsWith(own)),
    );
    expect(stray).toEqual([]);
    rmSync(outer, { recursive: true });
  },
  { runs: 60 },
);

/** Gzip takes one member after another: a megabyte of each costs a kilobyte. */
const bombs = {
  'more than a disk holds': Buffer.concat([
    gzipSync(blockOf({ path: 'a' }, Buffer.from('x'))),
    ...Array.from({ length: 900 }, () => zeros()),
  ]),
  'more files than a disk holds': Buffer.concat(
    Array.from({ length: 60 }, () =>
      gzipSync(Buffer.concat(Array.from({ length: 1024 }, () => blockOf({ path: 'a' }, Buffer.alloc(0))))),
    ),
  ),
  'one file that never comes': gzipSync(blockOf({ path: 'a', size: 2 ** 32 }, Buffer.alloc(0))),
};

function zeros(): Buffer {
  return gzipSync(Buffer.alloc(1 << 20));
}

holds(
  'an installer that promises, or unpacks to, more than a disk holds is refused and nothing of it is kept',
  fc.constantFrom(...(Object.keys(bombs) as (keyof typeof bombs)[])),
  async (kind) => {
    body = bombs[kind];
    await expect(unpack(url, join(folder, 'tmp'), openNetwork({}), patient)).rejects.toThrow(Refused);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  },
  { runs: 4 },
);
