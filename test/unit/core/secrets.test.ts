import { expect, test } from 'vitest';
import { renderEffective } from '../../../commands/check.ts';
import { parseConfig } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { holdsSecret, isSecretName, redact } from '../../../core/secrets.ts';
import { parseAssignment, parseLayer } from '../../../config/settings.ts';

test.each([
  'ECS_ENGINE_AUTH_DATA',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'PROXY_PASSWORD',
  'DB_PASSWD',
  'MY_API_KEY',
])('%s is the name of a secret', (name) => expect(isSecretName(name)).toBe(true));

test.each(['ECS_CLUSTER', 'ECS_ENGINE_AUTH_TYPE', 'ECS_RESERVED_MEMORY', 'ECS_INSTANCE_ATTRIBUTES', 'HTTP_PROXY'])(
  '%s is no secret',
  (name) => expect(isSecretName(name)).toBe(false),
);

test.each([
  'X-Amz-Security-Token: canary',
  '"password": "canary"',
  'AWS_SECRET_ACCESS_KEY=canary',
  'curl -H "Authorization: Bearer canary"',
  'https://me:canary@proxy.example.com:3128/',
  'https://bucket/x?X-Amz-Credential=a&X-Amz-Signature=canary&b=1',
  '-----BEGIN RSA PRIVATE KEY-----\ncanary\ncanary\n-----END RSA PRIVATE KEY-----',
  '-----BEGIN PRIVATE KEY-----\ncanary',
])('what a program says about %j is told without the secret', (text) => {
  expect(redact(text)).not.toContain('canary');
});

test('other words stay', () => {
  const text = 'E: Unable to locate package x (exit 100); see https://example.com/a?b=c and ecs:ListTasks';
  expect(redact(text)).toBe(text);
});

const settings = {
  ECS_ENGINE_AUTH_DATA: '{"r":{"auth":"canary"}}',
  HTTP_PROXY: 'http://me:canary@proxy',
  ECS_LOGLEVEL: 'info',
};

test('the effective configuration is told without its secrets, and is still valid YAML', () => {
  const config = parseConfig({
    cluster: 'demo',
    ecs: { settings },
    join: { checks: [{ url: 'http://me:canary@127.0.0.1/' }, { command: ['/bin/check', '--password=canary'] }] },
  });
  const text = renderEffective(config, () => 'file:1');
  expect(text).not.toContain('canary');
  expect(parseLayer(text, 'text').settings['ecs']).toMatchObject({ settings: { ECS_LOGLEVEL: 'info' } });
  expect(config.ecs.settings).toEqual(settings);
});

test.each([
  ['a password with a backslash', { ecs: { settings: { ECS_ENGINE_AUTH_DATA: 'canary\\' } } }],
  ['a password of several parts', { ecs: { settings: { ECS_ENGINE_AUTH_DATA: { a: 'canary' } } } }],
  ['a list of assignments', { ecs: { settings: ['ECS_ENGINE_AUTH_DATA=canary'] } }],
  ['a text of assignments', { ecs: 'ECS_ENGINE_AUTH_DATA=canary' }],
])('%s is refused without being told', (_, wrong) => {
  expect(() => parseConfig({ cluster: 'demo', ...wrong })).toThrow(ConfigError);
  expect(() => parseConfig({ cluster: 'demo', ...wrong })).toThrow(/^(?!.*canary)/s);
});

test.each(['a: *canary\n', 'a: {b: "c" canary}\n', 'a: !canary x\n', 'a: "x\n  canary', 'a: [x\ncanary: y\n'])(
  'a text that is no YAML is not quoted: %j',
  (text) => expect(() => parseLayer(text, 'file')).toThrow(/^(?!.*canary)/s),
);

test('a --set that makes no sense is told up to its value', () => {
  expect(() => parseAssignment('ecs.settings.AUTH-DATA=canary')).toThrow(/^(?!.*canary)/s);
});

test('a file that holds a secret is known', () => {
  expect(holdsSecret('ecs:\n  settings:\n    ECS_ENGINE_AUTH_DATA: "x"\n')).toBe(true);
  expect(holdsSecret('ecs: {settings: {"DB_PASSWORD": x}}')).toBe(true);
  expect(holdsSecret('cluster: demo\n# no password\necs: {}\n')).toBe(false);
});
