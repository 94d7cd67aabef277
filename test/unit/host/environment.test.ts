import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  networkVariables,
  parseEnvironmentFile,
  withEnvironmentFile,
  readNetworkSettings,
} from '../../../host/environment.ts';

function machine(text: string): string {
  const root = mkdtempSync(join(tmpdir(), 'ecs-node-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'etc/ecs-node'), { recursive: true });
  writeFileSync(join(root, 'etc/ecs-node/environment'), text);
  return root;
}

test('the file is read as systemd reads it', () => {
  const text = `# a comment
; another
HTTPS_PROXY="http://me:p\\"x@10.0.0.2:3128"
 NO_PROXY = '.internal, 10.0.0.0/8'
AWS_CA_BUNDLE=/etc/pki/ca.pem # no comment here
export X=1
EMPTY=
`;
  expect(parseEnvironmentFile(text)).toEqual({
    HTTPS_PROXY: 'http://me:p"x@10.0.0.2:3128',
    NO_PROXY: '.internal, 10.0.0.0/8',
    AWS_CA_BUNDLE: '/etc/pki/ca.pem # no comment here',
    EMPTY: '',
  });
});

test('a command run by a person uses the proxy of the units, unless the person sets another', () => {
  const root = machine('HTTPS_PROXY=http://file:1\nNO_PROXY=a\nPATH=/evil\nLD_PRELOAD=/evil.so\n');
  const given = { HTTPS_PROXY: 'http://person:1', PATH: '/usr/bin' };
  expect(withEnvironmentFile(given, root)).toEqual({ ...given, NO_PROXY: 'a' });
  expect(withEnvironmentFile(given, '/nowhere')).toBe(given);
});

test("a company's authority works for a command, although Node has read its own variables by then", () => {
  const root = machine('NODE_EXTRA_CA_CERTS=/etc/ca.pem\n');
  expect(withEnvironmentFile({}, root)).toMatchObject({ AWS_CA_BUNDLE: '/etc/ca.pem' });
  expect(withEnvironmentFile({ NODE_EXTRA_CA_CERTS: '/mine.pem' }, root)).not.toHaveProperty('AWS_CA_BUNDLE');
});

test("a downloading program gets the proxy and the authority, and none of AWS's keys", () => {
  const given = {
    HTTPS_PROXY: 'http://p:1',
    no_proxy: 'a',
    http_proxy: '',
    AWS_CA_BUNDLE: '/ca.pem',
    AWS_SECRET_ACCESS_KEY: 's',
  };
  expect(networkVariables(given)).toEqual({
    HTTPS_PROXY: 'http://p:1',
    no_proxy: 'a',
    AWS_CA_BUNDLE: '/ca.pem',
    SSL_CERT_FILE: '/ca.pem',
    CURL_CA_BUNDLE: '/ca.pem',
  });
});

test('a downloading program gets what curl and Ruby read, and its own names win', () => {
  const own = {
    ALL_PROXY: 'http://p:1',
    all_proxy: 'http://p:2',
    SSL_CERT_FILE: '/ruby.pem',
    SSL_CERT_DIR: '/certs',
    CURL_CA_BUNDLE: '/curl.pem',
  };
  expect(networkVariables(own)).toEqual(own);
  expect(networkVariables({ AWS_CA_BUNDLE: '/ca.pem', SSL_CERT_FILE: '/ruby.pem' })).toEqual({
    AWS_CA_BUNDLE: '/ca.pem',
    SSL_CERT_FILE: '/ruby.pem',
    CURL_CA_BUNDLE: '/ruby.pem',
  });
  expect(networkVariables({ NODE_EXTRA_CA_CERTS: '/node.pem' })).toEqual({
    SSL_CERT_FILE: '/node.pem',
    CURL_CA_BUNDLE: '/node.pem',
  });
});

test.each(['ALL_PROXY', 'all_proxy', 'HTTP_PROXY'])(
  'a proxy that only %s names is noticed, since no call uses it',
  (name) => {
    const proxy = { [name]: 'http://10.0.0.2:3128' };
    expect(readNetworkSettings(proxy, '/nowhere').hasOnlyHttpProxy).toBe(true);
    const both = { ...proxy, HTTPS_PROXY: 'http://10.0.0.2:3128' };
    expect(readNetworkSettings(both, '/nowhere').hasOnlyHttpProxy).toBe(false);
  },
);

test.each([
  ['HTTPS_PROXY=http://me:x/y@10.0.0.2:3128', true],
  ['HTTPS_PROXY=http://token@10.0.0.2:3128', true],
  ['AWS_SECRET_ACCESS_KEY=x', true],
  ['AWS_ENDPOINT_URL=https://me:x@aws.example.com', true],
  ['HTTPS_PROXY=http://10.0.0.2:3128\nNO_PROXY=169.254.169.254', false],
])('a file for all users with %j exposes a secret: %s', (text, exposes) => {
  const root = machine(text);
  expect(readNetworkSettings({}, root).exposesPassword).toBe(exposes);
  chmodSync(join(root, 'etc/ecs-node/environment'), 0o600);
  expect(readNetworkSettings({}, root).exposesPassword).toBe(false);
});
