/** The shipped binary, and hooks that root owns and an ACL lets another user write. */

import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { paths } from '../../../core/state/state.ts';
import { scenario } from '../scenario.ts';

vi.setConfig({ testTimeout: 300_000 });

const run = promisify(execFile);
const user = '12345';
const folder = `${paths.hooks}/joined`;
const tell = '#!/bin/sh\nid -u >"$0.ran"\n';

scenario('a hook that an ACL lets a user write does not run what this user wrote', { boots: false }, async (scene) => {
  const { expect } = scene;
  const node = await scene.launch();
  await node.write(`${folder}/10-acl`, '#!/bin/sh\n', 0o755);
  await node.write(`${folder}/20-own`, tell, 0o755);
  const hook = join(node.root, folder, '10-acl');
  await run('setfacl', ['--modify', `user:${user}:rwx`, hook]);
  // Only for this user to reach it: the folders above belong to root, and nobody else can write.
  await chmod(dirname(node.root), 0o755);
  const write = 'printf "%s" "$1" >"$2"';
  await run('setpriv', ['--reuid', user, '--clear-groups', '/bin/sh', '-c', write, 'sh', tell, hook]);
  expect(await node.read(`${folder}/10-acl`)).toBe(tell);

  expect(await node.boot()).toBe(0);
  await scene.inService(node);
  await scene.logged(node, 'hook ran');
  expect(await node.read(`${folder}/20-own.ran`)).toBe('0\n');
  expect(await node.read(`${folder}/10-acl.ran`)).toBeUndefined();
  const failed = node.log.find(({ message }) => message === 'hook failed');
  expect(JSON.stringify(failed)).toContain('users and groups of its ACL');
});
