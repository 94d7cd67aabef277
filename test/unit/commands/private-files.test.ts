import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStage } from './stage.ts';

test.each([
  ['a password of a registry', 'ecs.settings.ECS_ENGINE_AUTH_DATA={"r":{"auth":"canary"}}'],
  ['a proxy with a password', 'ecs.settings.HTTP_PROXY=http://me:canary@10.0.0.2:3128'],
  ['a proxy with a password and no scheme', 'ecs.settings.HTTPS_PROXY=me:canary@10.0.0.2:3128'],
  ['a check with a password', 'join.checks=[{command: [/usr/bin/curl, -u, "user:canary", "https://x"]}]'],
  ["a proxy's password with an apostrophe", "ecs.settings.HTTP_PROXY=http://me:1'canary@10.0.0.2:3128"],
  ['a check with flags in one word', 'join.checks=[{command: [/usr/bin/curl, -su, "me:canary", "https://x"]}]'],
  ['a check with a proxy', 'join.checks=[{command: [/usr/bin/curl, -x, "me:1/canary@10.0.0.2:1", "https://x"]}]'],
  ['a check with a quote in its password', `join.checks=[{url: 'http://me:a"canary@127.0.0.1/'}]`],
  ['a check with a token in its URL', 'join.checks=[{url: "https://127.0.0.1/?token=canary"}]'],
])('%s: the file is private, and "check" does not print it', async (_, assignment) => {
  const stage = await openStage();
  const { end } = await stage.run(['configure', '--cluster', 'prod', '--set', assignment]);
  expect(end).toBe(0);
  const file = 'etc/ecs-node/config.yaml';
  expect(await stage.read(file)).toContain('canary');
  expect((await stat(join(stage.root, file))).mode & 0o777).toBe(0o600);
  const checked = await stage.run(['check']);
  expect(checked.end).toBe(0);
  expect(checked.printed).toContain('(hidden)');
  expect(checked.printed + JSON.stringify(checked.logged)).not.toContain('canary');
});

test.each([
  'ecs.settings.HTTP_PROXY=10.0.0.2:3128',
  'join.checks=[{url: "http://localhost:8080/users/a@example.com"}]',
  'join.checks=[{command: [/bin/check, -u, "1000:1000", "-out:file", "repo/app:1@sha256:0123"]}]',
])('a configuration without a secret is readable for everybody: %s', async (assignment) => {
  const stage = await openStage();
  await stage.run(['configure', '--cluster', 'prod', '--set', assignment]);
  expect((await stat(join(stage.root, 'etc/ecs-node/config.yaml'))).mode & 0o777).toBe(0o644);
});
