import { expect, test } from 'vitest';
import { ConfigError } from '../../../../core/errors.ts';
import { parseNoProxy, parseProxy } from '../../../../host/network/proxy.ts';

test('without HTTPS_PROXY there is no proxy, because AWS is never called by http', () => {
  expect(parseProxy({})).toBeUndefined();
  expect(parseProxy({ HTTPS_PROXY: '', https_proxy: ' ' })).toBeUndefined();
  expect(parseProxy({ HTTP_PROXY: 'http://10.0.0.2:3128', http_proxy: 'http://10.0.0.2:3128' })).toBeUndefined();
});

test.each([
  ['http://10.0.0.2:3128', 'http://10.0.0.2:3128', '', ''],
  ['10.0.0.131:3128', 'http://10.0.0.131:3128', '', ''],
  ['proxy.corp.example:3128/', 'http://proxy.corp.example:3128', '', ''],
  ['https://me:p%40ss%3A@proxy.corp.example', 'https://proxy.corp.example', 'me', 'p%40ss%3A'],
  ['http://[fd00::2]:3128', 'http://[fd00::2]:3128', '', ''],
  ['HTTP://Proxy:8080', 'http://proxy:8080', '', ''],
])('the proxy %s is accepted, and shown without its user and password', (text, origin, username, password) => {
  const proxy = parseProxy({ HTTPS_PROXY: text })!;
  expect([proxy.origin, proxy.url.username, proxy.url.password]).toEqual([origin, username, password]);
});

test('the lower-case variable wins, as in curl', () => {
  const proxy = parseProxy({ HTTPS_PROXY: 'http://upper:1', https_proxy: 'http://lower:1' });
  expect([proxy?.origin, proxy?.variable]).toEqual(['http://lower:1', 'https_proxy']);
});

test.each([
  ['socks5://me:canary@10.0.0.2:1080', /socks5 proxies are not supported/],
  ['http://me:canary#1@10.0.0.2:3128', /must be a URL such as/],
  ['http://me:canary%@10.0.0.2:3128', /percent-encoded/],
  ['http://:3128', /must be a URL such as/],
  ['http:/10.0.0.2', /must be a URL such as/],
  ['"http://me:canary@10.0.0.2:3128"', /must be a URL such as/],
  ["'10.0.0.2:3128'", /must be a URL such as/],
])('the proxy %s is refused with the reason, and without its password', (text, reason) => {
  const parse = () => parseProxy({ HTTPS_PROXY: text });
  expect(parse).toThrow(ConfigError);
  expect(parse).toThrow(reason);
  expect(parse).not.toThrow(/canary/);
});

test.each(['169.254.169.254', '[fd00:ec2::254]', 'fd00:ec2::254', 'localhost', '127.0.0.1', '[::1]', '169.254.170.2'])(
  '%s never goes through a proxy, whatever NO_PROXY says',
  (host) => {
    expect(parseProxy({ HTTPS_PROXY: 'http://p:1', NO_PROXY: '' })?.bypasses(host, 80)).toBe(true);
  },
);

test.each([
  // [NO_PROXY, host, port, is excluded]
  ['*', 'ecs.us-east-1.amazonaws.com', 443, true],
  ['amazonaws.com', 'ecs.us-east-1.amazonaws.com', 443, true],
  ['.amazonaws.com', 'ecs.us-east-1.amazonaws.com', 443, true],
  ['*.amazonaws.com', 'ecs.us-east-1.amazonaws.com', 443, true],
  ['.AmazonAWS.com', 'ECS.us-east-1.amazonaws.com.', 443, true],
  ['amazonaws.com', 'notamazonaws.com', 443, false],
  ['amazonaws.com.evil', 'amazonaws.com', 443, false],
  ['ecs.us-east-1.amazonaws.com', 'ec2.us-east-1.amazonaws.com', 443, false],
  ['ecs.us-east-1.amazonaws.com:443', 'ecs.us-east-1.amazonaws.com', 443, true],
  ['ecs.us-east-1.amazonaws.com:8443', 'ecs.us-east-1.amazonaws.com', 443, false],
  ['*:443', 'anything.example', 443, false],
  ['a.example, b.example c.example', 'b.example', 443, true],
  ['a.example, b.example c.example', 'c.example', 443, true],
  ['10.0.0.0/8', '10.1.2.3', 443, true],
  ['10.0.0.0/8', '11.1.2.3', 443, false],
  ['10.0.0.0/8', '10.example', 443, false],
  ['10.0.0.0/33', '10.1.2.3', 443, false],
  ['10.0.0.0/', '10.0.0.0', 443, false],
  ['10.1.2.3', '10.1.2.3', 443, true],
  ['10.1.2.3:443', '10.1.2.3', 443, true],
  ['10.1.2.3:80', '10.1.2.3', 443, false],
  ['fd00::/8', '[fd12::1]', 443, true],
  ['fd00::/8', '10.1.2.3', 443, false],
  ['fd12:0::1', 'fd12::1', 443, true],
  ['[fd12::1]:443', 'fd12::1', 443, true],
  ['[fd12::1]:80', 'fd12::1', 443, false],
  ['/var/run/docker.sock', 'ecs.us-east-1.amazonaws.com', 443, false],
  [',, ,', 'ecs.us-east-1.amazonaws.com', 443, false],
])('NO_PROXY=%s and %s:%d: %s', (text, host, port, isExcluded) => {
  expect(parseNoProxy(text)(host, port)).toBe(isExcluded);
});
