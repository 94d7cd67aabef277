import { randomBytes } from 'node:crypto';
import fs, { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openNetwork } from '../../../host/network/network.ts';
import { parseUrl, unpack } from '../../../host/files/unpack.ts';
import { nowhere, serve, type Answer } from './local-server.ts';

const patient = new AbortController().signal;

type Entry = Partial<HeaderData> & { path: string; text?: string };

/** An archive that says exactly what is asked, which no honest program would write. */
function archive(...entries: Entry[]): Buffer {
  const blocks = entries.flatMap(({ text = '', ...entry }) => {
    const content = Buffer.from(text);
    const header = new Header({ mode: 0o644, type: 'File', size: content.length, mtime: new Date(0), ...entry });
    const block = Buffer.alloc(512);
    header.encode(block);
    return [block, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

async function node(answer: Answer | Buffer) {
  const folder = mkdtempSync(join(tmpdir(), 'unpack-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { url, asked } = await serve(typeof answer === 'function' ? answer : () => ({ body: answer }));
  return {
    url,
    asked,
    folder,
    get: () => unpack(`${url}/installer.tgz`, join(folder, 'tmp'), openNetwork({}), patient),
  };
}

test('unpacks an installer into a private folder of its own', async () => {
  const { get, folder } = await node(
    archive(
      { path: 'opsworks-agent-installer/', type: 'Directory', mode: 0o777 },
      { path: 'opsworks-agent-installer/boot-registration', mode: 0o4777, text: '#!/bin/sh\n' },
    ),
  );
  const at = await get();
  expect(statSync(at).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, 'tmp')).mode & 0o777).toBe(0o700);
  const program = join(at, 'opsworks-agent-installer/boot-registration');
  expect(readFileSync(program, 'utf8')).toBe('#!/bin/sh\n');
  expect(statSync(program).mode & 0o4707).toBe(0o700);
  expect(readdirSync(join(folder, 'tmp'))).toHaveLength(1);
  expect(await get()).not.toBe(at);
});

test.each([
  ['climbs out of its folder', { path: 'a/../../escaped', text: 'x' }],
  ['climbs out of its folder', { path: '..', type: 'Directory' }],
  ['is an absolute path', { path: '/tmp/escaped', text: 'x' }],
  ['is a SymbolicLink', { path: 'link', type: 'SymbolicLink', linkpath: '/etc' }],
  ['is a SymbolicLink', { path: 'link', type: 'SymbolicLink', linkpath: 'inside' }],
  ['is a Link', { path: 'link', type: 'Link', linkpath: '/etc/passwd' }],
  ['is a CharacterDevice', { path: 'device', type: 'CharacterDevice' }],
  ['is a BlockDevice', { path: 'device', type: 'BlockDevice' }],
  ['is a FIFO', { path: 'pipe', type: 'FIFO' }],
] as [string, Entry][])('refuses an archive with an entry that %s as a whole', async (fault, entry) => {
  const { get, folder } = await node(archive({ path: 'good', text: 'good' }, entry));
  const failure = await get().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Refused);
  expect((failure as Error).message).toContain(`${JSON.stringify(entry.path.replace(/\/$/, ''))} ${fault}`);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  expect(existsSync('/tmp/escaped') || existsSync(join(folder, 'escaped'))).toBe(false);
});

const good = archive({ path: 'a', text: 'x'.repeat(5000) });

test.each([
  ['a web page', Buffer.from('<html>Not found</html>')],
  ['nothing', Buffer.alloc(0)],
  ['a tar file that nobody compressed', Buffer.alloc(10_240, 1)],
  ['compressed rubbish', gzipSync(Buffer.alloc(2048, 7))],
  ['an empty archive', archive()],
  ['half an archive', good.subarray(0, good.length - 20)],
  ['an archive that promises more than a disk holds', archive({ path: 'a', size: 2 ** 33 })],
])('refuses %s as an installer', async (_, body) => {
  const { get, folder } = await node(body);
  await expect(get()).rejects.toThrow(Refused);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
});

test('stops a decompression bomb before it fills the disk', async () => {
  const { get } = await node(archive({ path: 'zeros', text: '\0'.repeat(40_000_000) }));
  await expect(get()).rejects.toThrow(Refused);
});

test('treats an absent server as Unavailable and its "no" as Refused', async () => {
  const answers = [{ status: 503 }, { status: 429 }, { status: 404 }, { status: 403 }];
  const { get } = await node(() => answers.shift());
  for (const Kind of [Unavailable, Unavailable, Refused, Refused]) await expect(get()).rejects.toThrow(Kind);
  const folder = mkdtempSync(join(tmpdir(), 'unpack-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  await expect(unpack(`${nowhere}/x.tgz`, folder, openNetwork({}), patient)).rejects.toThrow(Unavailable);
});

test('treats a broken download as Unavailable', async () => {
  const { get, folder } = await node((_, response) => {
    response.writeHead(200, { 'content-length': String(good.length) });
    response.write(good.subarray(0, 30), () => response.destroy());
    return undefined;
  });
  await expect(get()).rejects.toThrow(Unavailable);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
});

test('writes nothing more once a download has broken in the middle of an archive', async () => {
  const many = archive(
    ...Array.from({ length: 300 }, (_, number) => ({
      path: `file-${number}`,
      text: randomBytes(4_000).toString('hex'),
    })),
  );
  const { get, folder } = await node((_, response) => {
    response.writeHead(200, { 'content-length': String(many.length) });
    response.write(many.subarray(0, many.length / 2), () => response.socket?.resetAndDestroy());
    return undefined;
  });
  await expect(get()).rejects.toThrow(Unavailable);
  for (let turn = 0; turn < 20; turn += 1) {
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
    await setImmediate();
  }
});

test('leaves nothing of a download that is reset while a slow disk opens the file', async () => {
  const { open } = fs;
  const opened: Promise<void>[] = [];
  const late = ((...args: Parameters<typeof open>) => {
    opened.push(new Promise((resolve) => setTimeout(() => (open(...args), setTimeout(resolve, 100)), 100)));
  }) as typeof open;
  const spy = vi.spyOn(fs, 'open').mockImplementation(late);
  onTestFinished(() => spy.mockRestore());
  const { get, folder } = await node((_, response) => {
    response.writeHead(200, { 'content-length': String(good.length) });
    response.write(good.subarray(0, 30), () => setTimeout(() => response.socket?.resetAndDestroy(), 20));
    return undefined;
  });
  await expect(get()).rejects.toThrow(Unavailable);
  await Promise.all(opened);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
});

test('follows a mirror, but not in a circle and not to plain http', async () => {
  const { get, url, asked } = await node(({ path }) =>
    path === '/real.tgz' ? { body: good } : { status: 302, headers: { location: '/real.tgz' } },
  );
  expect(existsSync(join(await get(), 'a'))).toBe(true);
  expect(asked.map(({ path }) => path)).toEqual(['/installer.tgz', '/real.tgz']);
  const circle = await node(() => ({ status: 302, headers: { location: `/installer.tgz` } }));
  await expect(circle.get()).rejects.toThrow(/forwards too often/);
  const open = await node(() => ({ status: 302, headers: { location: 'http://example.com/x.tgz' } }));
  await expect(open.get()).rejects.toThrow(/only https is trusted/);
  expect(url).toMatch(/^http:\/\/127/);
});

test('accepts https, and plain http only from this machine', () => {
  for (const url of ['https://example.com/a.tgz', 'http://127.0.0.1:1/a', 'http://localhost/a', 'http://[::1]:2/a']) {
    expect(parseUrl(url).href).toBe(url);
  }
  for (const url of [
    'http://example.com/a',
    'http://169.254.169.254/a',
    'file:///etc/passwd',
    'ftp://a/b',
    'x',
    'http://127.0.0.1.example.com/',
  ]) {
    expect(() => parseUrl(url), url).toThrow(Refused);
  }
});

test('stops downloading at its timeout, and leaves nothing', async () => {
  const { url, folder } = await node((_, response) => {
    response.writeHead(200).write('x');
    return undefined;
  });
  const controller = new AbortController();
  const reason = new Error('too late');
  setTimeout(() => controller.abort(reason), 50);
  await expect(unpack(`${url}/a.tgz`, join(folder, 'tmp'), openNetwork({}), controller.signal)).rejects.toBe(reason);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
});

test('leaves the signature of a signed address out of its messages', async () => {
  for (const status of [403, 503]) {
    const { url, folder } = await node(() => ({ status }));
    const signed = `${url.replace('//', '//user:hunter2@')}/installer.tgz?X-Amz-Signature=canary`;
    const failure = (await unpack(signed, join(folder, 'tmp'), openNetwork({}), patient).catch(
      (error: unknown) => error,
    )) as Error;
    expect(failure.message).toContain('/installer.tgz');
    expect(failure.message).not.toMatch(/canary|hunter2/);
  }
  expect(() => parseUrl('http://example.com/a?X-Amz-Signature=canary')).toThrow(/^(?!.*canary)/);
});
