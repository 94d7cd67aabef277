import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test.each(['docs/man/ecs-node.8', 'docs/man/ecs-node.yaml.5'])('groff renders %s without a warning', (page) => {
  const { status, stderr, stdout } = spawnSync('groff', ['-ww', '-man', '-Tutf8', page], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.length).toBeGreaterThan(2_000);
});
