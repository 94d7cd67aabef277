/**
 * The shipped binary, and a container that has the folder for containers mounted so that it can
 * write there. The documented use is read-only.
 */

import { execFile } from 'node:child_process';
import { lstat, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, vi } from 'vitest';
import { paths } from '../../../core/state/state.ts';
import { scenario } from '../scenario.ts';
import { settings } from '../stage.ts';

vi.setConfig({ testTimeout: 300_000 });

type Put = (file: string, root: string) => Promise<unknown>;

const hostile: Record<string, Put> = {
  "a link to a file of the node's": (file, root) => symlink(join(root, 'etc/shadow'), file),
  'a link that leads nowhere': (file) => symlink('/no/such/file', file),
  'a folder with files': async (file) => {
    await mkdir(join(file, 'deep'), { recursive: true });
    await writeFile(join(file, 'deep/x'), 'x');
  },
  'a named pipe': (file) => promisify(execFile)('mkfifo', [file]),
};

describe('the next boot succeeds after a container has put, in the place of its files,', () => {
  for (const [what, put] of Object.entries(hostile)) {
    scenario(what, { flags: settings({ 'containerEnvironment.enabled': true }) }, async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      await scene.logged(node, 'joined');
      await node.write('etc/shadow', 'secret');
      node.kill();
      await node.ended();
      const files = ['node.json', 'node.config'].map((name) => join(node.root, paths.containerConfig, name));
      for (const file of files) {
        expect((await lstat(file)).isFile()).toBe(true);
        await rm(file);
        await put(file, node.root);
      }
      expect(await node.reboot()).toBe(0);
      for (const file of files) {
        expect((await lstat(file)).isFile()).toBe(true);
        expect(await readFile(file, 'utf8')).toContain(node.id);
      }
      expect(await node.read('etc/shadow')).toBe('secret');
      expect(node.state()).toBe('InService');
    });
  }
});
