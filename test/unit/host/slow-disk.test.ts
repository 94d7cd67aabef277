import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openFiles } from '../../../host/files/files.ts';

const disk = vi.hoisted(() => ({
  /** The flushes that the disk holds, in their order. Undefined while it holds none. */
  held: undefined as (() => void)[] | undefined,
  /** Resolves when the disk removes what it was told to. */
  removing: Promise.resolve(),
}));

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  const fsync = ((handle: number, done: (error: Error | null) => void) => {
    const flush = () => fs.fsync(handle, done);
    if (disk.held === undefined) flush();
    else disk.held.push(flush);
  }) as typeof fs.fsync;
  return { ...fs, fsync };
});

vi.mock(import('node:fs/promises'), async (original) => {
  const fs = await original();
  const rm: typeof fs.rm = async (...args) => {
    await disk.removing;
    await fs.rm(...args);
  };
  return { ...fs, rm };
});

const path = '/departure.json';

/** A node whose disk holds a write of `text`, which nobody waits for any more. */
async function openNode(text: string) {
  const root = mkdtempSync(join(tmpdir(), 'files-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const files = openFiles(root);
  await files.writeText(path, 'before');
  const held = (disk.held = []);
  onTestFinished(() => void (disk.held = undefined));
  const late = files.writeText(path, text);
  disk.held = undefined;
  return {
    files,
    read: () => readFileSync(join(root, path), 'utf8'),
    names: () => readdirSync(root),
    async release() {
      for (const flush of held as (() => void)[]) flush();
      await late;
    },
  };
}

// Its departure was called off, and the file of it came back.
test('a write that the disk holds does not come back after a removal', async () => {
  const { files, names, release } = await openNode('leaving');
  expect(await files.remove(path)).toBe(true);
  await release();
  expect(names()).toEqual([]);
});

test.each(['newer', 'before'])('a write that the disk holds does not replace a newer one: %s', async (text) => {
  const { files, read, names, release } = await openNode('older');
  await files.writeText(path, text);
  await release();
  expect([read(), names()]).toEqual([text, ['departure.json']]);
});

// The file of the next departure was gone.
test('a removal that begins before a write does not remove what is written', async () => {
  const { files, read, release } = await openNode('older');
  await release();
  const { promise, resolve } = Promise.withResolvers<void>();
  disk.removing = promise;
  const removal = files.remove(path);
  await files.writeText(path, 'newer');
  resolve();
  expect(await removal).toBe(true);
  expect(read()).toBe('newer');
});

test('a write that the disk holds is whole once the disk goes on', async () => {
  const { read, names, release } = await openNode('late');
  expect(read()).toBe('before');
  await release();
  expect([read(), names()]).toEqual(['late', ['departure.json']]);
});
