import { expect, test } from 'vitest';
import { renderEffective } from '../../../commands/check.ts';
import { parseConfig } from '../../../config/config.ts';
import { ConfigError, messageOf } from '../../../core/errors.ts';
import { holdsSecret, isSecretName, redact, tellable, tellableArguments } from '../../../core/secrets.ts';
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
])("a program's text about %j is shown without the secret", (text) => {
  expect(redact(text)).not.toContain('canary');
});

/**
 * Each form in which a configuration or a program's output may hold a secret; "canary" is the
 * secret.
 */
const forms = [
  'http://me:canary@proxy:3128',
  'https://me:can/ary@canary.example@proxy.example:3128/x'.replace('can/ary@canary.example', 'canary/x@canary'),
  'git clone https://canarycanary@git.example.com/x',
  'HTTP_PROXY: me:canary@10.0.0.2:3128',
  'curl -u user:canary https://x',
  'curl --user user:canary https://x',
  'command: [/usr/bin/curl, -u, "user:canary"]',
  'command:\n  - /usr/bin/curl\n  - -u\n  - user:canary\n',
  '["curl","-u","user:canary"]',
  'mysql --password canary',
  '["mysql","--password","canary canary"]',
  '"password": "canary, canary"',
  "password: 'canary canary'",
  String.raw`{\"password\": \"canary canary\"}`,
  'PGPASSWORD=canary psql',
  '--api-token canary',
  '?token=canary&x=1',
  '"session_token":"canary"',
  'X-Vault-Token: canary',
  'Authorization: Token canary',
  'Authorization: AWS4-HMAC-SHA256 Credential=canary/x, SignedHeaders=host, Signature=canary',
  'Cookie: session=canary',
  '{"auths":{"r":{"auth":"canary"}}}',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canarycanary',
  'ghp_canary0123456789canary0123456789abcd',
  'https://hooks.slack.com/services/T0/B0/canary',
  // An apostrophe needs no encoding in a URL.
  "HTTP_PROXY: http://me:pa'canary@127.0.0.1:3128",
  'HTTP_PROXY: http://me:12/canary@127.0.0.1:3128',
  "http://me:pa'canary@127.0.0.1:3128",
  `https://me:${'canary'.repeat(200)}@proxy:3128`,
  'curl -uuser:canary https://x',
  'curl -su user:canary https://x',
  'command: [curl, -su, "user:canary"]',
  'command: [curl, "-uuser:canary"]',
  'command: [env, DB_PASS=canary, app]',
  'env MYSQL_PWD=canary mysql',
  'DB_PASS: canary',
  '[psql, --pass, canary]',
  'curl --oauth2-bearer canary https://x',
  'command: [curl, -b, session=canary]',
  'curl --cookie session=canary https://x',
  'https://x/healthz?key=canary',
  'https://x/blob?sv=2024&sig=canary%3D&x=1',
  'https://x/?pass=canary',
  'db:\n  password: two canary words canary\n  port: 1',
  '-----BEGIN PGP PRIVATE KEY BLOCK-----\ncanary\n-----END PGP PRIVATE KEY BLOCK-----',
  // Each mark that a URL may hold, also behind digits.
  ..."! $ & ' ( ) * + , ; =".split(' ').map((mark) => `http://me:12${mark}canary@proxy:3128`),
  "http://o'brien:canary@proxy:3128",
  'redis://:canary@cache:6379',
  "curl -su 'user:two canary' https://x",
  'curl -u user:a,canary https://x',
  'curl --proxy me:canary@10.0.0.2:3128 https://x',
  'curl -sx me:canary@10.0.0.2:3128 https://x',
  "curl -sb 'a=canary; b=canary' https://x",
  'curl -bsession=canary https://x',
  "curl -H 'X-Api-Key: canary' https://x",
  'app --access-key canary',
  'app --db-pass=canary',
  'java -DDB_PASS=canary',
  'openssl rsa -passin pass:canary',
  'TOKEN: canary',
  'https://x.example/api/f?code=canary',
  "https://x/?subscription-key=canary'canary",
  'https://x/?X-Amz-Security-Token=canary',
  'DefaultEndpointsProtocol=https;AccountKey=canary==',
  'Server=db;Pwd=canary;Database=app',
  'password=canary;canary',
  "password=canary,canary'canary]canary",
  "  password: canary canary, it's canary",
  'error: db_pass: canary canary',
  '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\ncanary\n---- END SSH2 ENCRYPTED PRIVATE KEY ----',
];

test.each(['', 'HTTP_PROXY: '])('a password of 4,000 characters in a URL is hidden: %j', (before) => {
  expect(redact(`${before}http://me:${'a'.repeat(4000)}@proxy:3128`)).toBe(`${before}http://(hidden)@proxy:3128`);
});

test('the text behind a secret is shown', () => {
  expect(redact('Server=db;Password=canary;Database=app x')).toBe('Server=db;Password=(hidden);Database=app x');
  expect(redact('login: password: two words user=me')).toBe('login: password: (hidden) user=me');
  expect(redact('{password: canary, port: 1}')).toBe('{password: (hidden), port: 1}');
  expect(redact("curl -su 'me:two words' https://x")).toBe("curl -su 'me:(hidden)' https://x");
});

test.each(forms)('%j is recognised by its form, and a file that holds it is private', (text) => {
  // No part of it is left either.
  expect(redact(text)).not.toMatch(/anar/);
  // The reader sees where it stood.
  expect(redact(text)).toContain('(hidden)');
  expect(holdsSecret(text)).toBe(true);
  // Told twice is told the same.
  expect(redact(redact(text))).toBe(redact(text));
});

test('a private key is hidden to its end, and the text behind it is shown', () => {
  const key = (kind: string) => `-----BEGIN ${kind}PRIVATE KEY-----\ncanary\n-----END ${kind}PRIVATE KEY-----`;
  expect(redact(`a ${key('')} b ${key('RSA ')} c`)).toBe('a (hidden) b (hidden) c');
});

test.each([
  'E: Unable to locate package x (exit 100); see https://example.com/a?b=c and ecs:ListTasks',
  'instance metadata: api/token: 403',
  'api/token answered with no token',
  'GET http://127.0.0.1:51678/v1/metadata: connect ECONNREFUSED 127.0.0.1:51678',
  'http://localhost:8080/users/a@example.com',
  'arn:aws:ecs:us-east-1:123456789012:cluster/prod',
  'docker run -u 1000:1000 app',
  'image repo/app:1@sha256:0123',
  'mail me@example.com',
  "url: 'http://localhost:8080', mail: 'me@example.com'",
  'NO_PROXY: 169.254.169.254,/var/run/docker.sock',
  'HTTPS_PROXY: http://proxy.example.com:3128',
  'docker run -v /a:/b -p 80:80 -euo pipefail app',
  'curl --user-agent probe:1 https://x',
  'PWD=/root OLDPWD=/ app',
  'systemctl --user status app',
  'the query ?page=2&sort=key',
  'http://[fd00:ec2::254]:8080/users/a@example.com',
  "['http://localhost:8080','me@example.com'] ['http://localhost','me@example.com:25']",
  'http://a.example:9200,http://b.example:9200/users/a@example.com',
  'java -Durl=http://localhost:8080 -out:file',
  'consul agent -bind=0.0.0.0:8301',
  'curl -x proxy.example.com:3128 http://localhost:8080/a@b',
  'tar -czvu a:b',
  'GET /healthz?code=404',
  'ecs.settings.DB_PASS: must be text',
  'SignatureDoesNotMatch: The request signature we calculated does not match',
  'InvalidSignatureException: Signature expired: 20261203T000000Z',
  'CredentialsProviderError: Could not load credentials from any providers',
  'cluster: prod\nname: "{cluster} ECS - {hostname}"\ndisk: {fullPercent: 85}\n',
])('%j holds no secret, and stays', (text) => {
  expect(redact(text)).toBe(text);
});

test('the value of a secret flag is hidden, and the values of other flags are shown', () => {
  expect(
    tellableArguments([
      '/usr/bin/curl',
      '-u',
      'user:canary',
      '--token',
      'canary',
      '--db-password',
      'canary',
      '-H',
      'X-Api-Token: canary',
      'https://x',
      '-u',
      'user1:22',
      '-u',
      '1000:1000',
      '-sSu',
      'user:canary',
      '-uuser:canary',
      '--pass',
      'canary',
      '--oauth2-bearer',
      'canary',
      '-b',
      'session=canary',
      'DB_PASS=canary',
      '-sb',
      'a=canary; b=canary',
      '--access-key',
      'canary',
      '--proxy',
      'me:12/canary@10.0.0.2:3128',
    ]),
  ).toEqual([
    '/usr/bin/curl',
    '-u',
    'user:(hidden)',
    '--token',
    '(hidden)',
    '--db-password',
    '(hidden)',
    '-H',
    'X-Api-Token: (hidden)',
    'https://x',
    '-u',
    'user1:(hidden)',
    '-u',
    '1000:1000',
    '-sSu',
    'user:(hidden)',
    '-uuser:(hidden)',
    '--pass',
    '(hidden)',
    '--oauth2-bearer',
    '(hidden)',
    '-b',
    'session=(hidden)',
    'DB_PASS=(hidden)',
    '-sb',
    'a=(hidden)',
    '--access-key',
    '(hidden)',
    '--proxy',
    '(hidden)@10.0.0.2:3128',
  ]);
});

test('a proxy without a scheme, as the ECS agent accepts it, is shown without its password', () => {
  expect(tellable('HTTP_PROXY', 'me:canary@10.0.0.2:3128')).toBe('(hidden)@10.0.0.2:3128');
  expect(tellable('HTTP_PROXY', '10.0.0.2:3128')).toBe('10.0.0.2:3128');
  expect(tellable('HTTP_PROXY', 'http://me:12/canary@10.0.0.2:3128')).toBe('http://(hidden)@10.0.0.2:3128');
});

test('a URL is shown without its user, whatever characters the URL parser accepts in a password', () => {
  expect(tellable('url', 'http://me:a "canary@10.0.0.2/x')).toBe('http://(hidden)@10.0.0.2/x');
  expect(tellable('url', 'http://10.0.0.2/a "b@c')).toBe('http://10.0.0.2/a "b@c');
});

test('an error is shown without the secret in it', () => {
  expect(messageOf(new Error('cannot reach http://me:canary@proxy:3128'))).toBe(
    'cannot reach http://(hidden)@proxy:3128',
  );
});

const settings = {
  ECS_ENGINE_AUTH_DATA: '{"r":{"auth":"canary"}}',
  HTTP_PROXY: 'http://me:canary@proxy',
  ECS_LOGLEVEL: 'info',
};

test('the effective configuration is shown without its secrets, and is still valid YAML', () => {
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
  ['a password of several parts', { ecs: { settings: { DB_PASSWORD: { a: 'canary' } } } }],
  ['a list of assignments', { ecs: { settings: ['ECS_ENGINE_AUTH_DATA=canary'] } }],
  ['a text of assignments', { ecs: 'ECS_ENGINE_AUTH_DATA=canary' }],
])('%s is refused without being shown', (_, wrong) => {
  expect(() => parseConfig({ cluster: 'demo', ...wrong })).toThrow(ConfigError);
  expect(() => parseConfig({ cluster: 'demo', ...wrong })).toThrow(/^(?!.*canary)/s);
});

test.each(['a: *canary\n', 'a: {b: "c" canary}\n', 'a: !canary x\n', 'a: "x\n  canary', 'a: [x\ncanary: y\n'])(
  'an invalid YAML text is not quoted: %j',
  (text) => expect(() => parseLayer(text, 'file')).toThrow(/^(?!.*canary)/s),
);

test('an invalid --set is shown up to its value', () => {
  expect(() => parseAssignment('ecs.settings.AUTH-DATA=canary')).toThrow(/^(?!.*canary)/s);
});

test('a file with a secret is recognised', () => {
  expect(holdsSecret('ecs:\n  settings:\n    ECS_ENGINE_AUTH_DATA: "x"\n')).toBe(true);
  expect(holdsSecret('ecs: {settings: {"DB_PASSWORD": x}}')).toBe(true);
  // Only the name of the setting tells it.
  expect(holdsSecret('cluster: demo\nDB_PASS: x\necs: {}\n')).toBe(true);
  expect(holdsSecret('ecs: {settings: {"ACCESS_KEY2":x}}')).toBe(true);
  expect(holdsSecret('cluster: demo\nDB_PASS:  # none\necs: {}\n')).toBe(false);
  expect(holdsSecret('cluster: demo\nDB_PASS:\necs: {}\n')).toBe(false);
  expect(holdsSecret('cluster: demo\n# no password\necs: {}\n')).toBe(false);
});

const repeated = [
  'a',
  '-',
  '_',
  ' ',
  '"',
  '\\"',
  '://',
  'a://b:',
  'proxy=a://b:',
  'proxy=a:',
  'A_',
  'a=',
  'A: ',
  '-u',
  ' -aau a',
  '?key=',
  ' -b a',
  '\n- password ',
  '@a://b:',
  'password: a',
  'password=a;b',
  'A_TOKEN: ',
  'x_token.settings.',
  "password=';",
  'password=a\\',
  ' -u"a:b',
  ' -x a:',
  ' --proxy=a:@',
  '://a:b@ ',
  ';key=',
  '-----BEGIN PRIVATE KEY-----',
  'x:y@',
  'proxy',
  'password',
  'password-',
  'token_',
  '--token',
  '-u ',
];

// It takes a tenth of a second. A pattern of quadratic time takes longer than this limit: ten
// seconds for 60,000 characters, and 25 times that for these.
test.each(repeated)('a long text of %j is searched in time', { timeout: 120_000 }, (piece) => {
  const text = piece.repeat(Math.floor(300_000 / piece.length));
  redact(text);
  expect(holdsSecret(text)).toBeTypeOf('boolean');
});
