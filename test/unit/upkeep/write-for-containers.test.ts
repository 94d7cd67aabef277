import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openMachine } from '../../../host/machine.ts';
import { writeForContainers } from '../../../upkeep/write-for-containers.ts';

const path = '/etc/container_config/node.json';

test.each([
  ['a link to a file of the node', (file: string, root: string) => symlink(join(root, 'etc/shadow'), file)],
  ['a link that leads nowhere', (file: string) => symlink('/no/such/file', file)],
  [
    'a folder with files',
    async (file: string) => {
      await mkdir(join(file, 'deep'), { recursive: true });
      await writeFile(join(file, 'deep/x'), 'x');
    },
  ],
  ['a named pipe', async (file: string) => void execFileSync('mkfifo', [file])],
])('a container that puts %s in the place of its file harms neither the next boot nor another file', async (_, put) => {
  const root = await mkdtemp(join(tmpdir(), 'ecs-node-containers-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, 'etc/container_config'), { recursive: true });
  await writeFile(join(root, 'etc/shadow'), 'secret');
  await put(join(root, path), root);
  const machine = openMachine(root, {});
  expect(await writeForContainers(machine, path, 'text')).toBe('changed');
  expect((await lstat(join(root, path))).isFile()).toBe(true);
  expect(await readFile(join(root, path), 'utf8')).toBe('text');
  expect(await readFile(join(root, 'etc/shadow'), 'utf8')).toBe('secret');
  expect(await writeForContainers(machine, path, 'text')).toBe('unchanged');
});

// While the node removed the folder, a container put links in the place of its folders. The node
// then removed files of its own state.
test("a container's folder in the place of a file keeps its content", async () => {
  const root = await mkdtemp(join(tmpdir(), 'ecs-node-containers-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, path, 'deep'), { recursive: true });
  await writeFile(join(root, path, 'deep/x'), 'x');
  expect(await writeForContainers(openMachine(root, {}), path, 'text')).toBe('changed');
  const folder = join(root, 'etc/container_config');
  const [aside = ''] = (await readdir(folder)).filter((name) => name.endsWith('.damaged'));
  expect(await readFile(join(folder, aside, 'deep/x'), 'utf8')).toBe('x');
});
