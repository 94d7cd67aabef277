/**
 * Checks the shell scripts that run as root on every node or image, or that people copy into their
 * containers.
 */

import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const scripts = globSync([
  'packer/**/*.sh',
  'bootstrap/*.sh',
  'docs/examples/*.sh',
  'test/**/*.sh',
  'scripts/npm-shell',
]);

test.each(scripts)('shellcheck finds no fault in %s', async (script) => {
  const { stdout } = await promisify(execFile)('shellcheck', ['-x', script]).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe('');
});
