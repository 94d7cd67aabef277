import { createConnection } from 'node:net';
import { expect, test } from 'vitest';
import { messageOf } from '../../../../core/errors.ts';
import { parseProxy } from '../../../../host/network/proxy.ts';
import { tellNetworkTrouble } from '../../../../host/network/trouble.ts';
import { nowhere } from '../local-server.ts';

const host = 'ecs.us-east-1.amazonaws.com';
const proxy = parseProxy({ HTTPS_PROXY: 'http://me:canary@10.0.0.2:3128' });

/** As Node throws it. */
function nodeError(code: string, message: string, more: object = {}): Error {
  return Object.assign(new Error(message), { code, ...more });
}

test('a host with several addresses that all refuse is reported with each of them', async () => {
  const { port } = new URL(nowhere);
  const lookup = (_: string, __: object, done: (error: null, addresses: object[]) => void) =>
    done(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ]);
  const error = await new Promise<Error>((resolve) => {
    createConnection({ host, port: Number(port), lookup: lookup as never }).on('error', resolve);
  });
  expect(error).toBeInstanceOf(AggregateError);
  expect(error.message).toBe('');
  expect(messageOf(error)).toBe(`connect ECONNREFUSED 127.0.0.1:${port}, connect ECONNREFUSED 127.0.0.2:${port}`);
  expect(tellNetworkTrouble(error, { host, port: 443, proxy: undefined })).toMatch(
    /^ecs\.us-east-1\.amazonaws\.com: connect ECONNREFUSED 127\.0\.0\.1:\d+, connect ECONNREFUSED .*security groups/,
  );
});

test.each([
  ['EAI_AGAIN', `getaddrinfo EAI_AGAIN ${host}`, /DNS.*HTTPS_PROXY.*interface endpoint with private DNS/],
  ['ENETUNREACH', 'connect ENETUNREACH 1.2.3.4:443', /no route: .*AWS_USE_DUALSTACK_ENDPOINT=true/],
  ['ETIMEDOUT', 'connect ETIMEDOUT 1.2.3.4:443', /route table, the security groups/],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', /unknown authority.*AWS_CA_BUNDLE/],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unable to get local issuer certificate', /unknown authority.*AWS_CA_BUNDLE/],
  ['CERT_NOT_YET_VALID', 'certificate is not yet valid', /clock right\?/],
  ['CERT_HAS_EXPIRED', 'certificate has expired', /clock right\?/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames", /something else answers/],
])('%s is reported with its code, the host and the remedy', (code, message, remedy) => {
  const text = tellNetworkTrouble(nodeError(code, message), { host, port: 443, proxy: undefined });
  expect(text).toMatch(remedy);
  expect(text).toContain(code);
  expect(text.startsWith(`${host}: `)).toBe(true);
});

test.each([
  ['ERR_PROXY_TUNNEL', { statusCode: 407 }, /answered 407; it wants a user and password/],
  ['ERR_PROXY_TUNNEL', { statusCode: 403 }, /answered 403; allow ecs\S+ on the proxy/],
  ['ERR_PROXY_TUNNEL', { statusCode: 502 }, /answered 502; see the log of the proxy/],
  ['ECONNREFUSED', {}, /failed: .*; is HTTPS_PROXY right/],
  ['ENOTFOUND', {}, /failed: .*; is HTTPS_PROXY right/],
  ['SELF_SIGNED_CERT_IN_CHAIN', {}, /through the proxy http:\/\/10\.0\.0\.2:3128: .*AWS_CA_BUNDLE/],
  ['ETIMEDOUT', {}, /through the proxy http:\/\/10\.0\.0\.2:3128: /],
])('behind a proxy, %s %j names the proxy and never its password', (code, more, told) => {
  const text = tellNetworkTrouble(nodeError(code, 'it failed', more), { host, port: 443, proxy });
  expect(text).toMatch(told);
  expect(text).not.toMatch(/canary/);
});

test('an error without a text is reported by its code', () => {
  expect(messageOf(nodeError('EPIPE', ''))).toBe('EPIPE');
  expect(messageOf(new AggregateError([]))).toBe('AggregateError');
});
