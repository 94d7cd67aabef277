import { expect, test } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import type { Reply } from '../local-server.ts';
import { json, openAws } from './aws.ts';

const patient = new AbortController().signal;
const page = { 'content-type': 'text/html; charset=utf-8' };

/** Whatever status a firewall chooses, what it says is not AWS's word. */
const strangers: [string, Reply, RegExp][] = [
  ['a login page', { status: 200, headers: page, body: '<html>log in' }, /answered 200 with a web page/],
  ['a block page', { status: 403, headers: page, body: '<html>blocked' }, /answered 403 with a web page/],
  ['a page that nobody finds', { status: 404, headers: page, body: '<html>' }, /answered 404 with a web page/],
  ['a redirect to a portal', { status: 302, headers: { location: 'http://portal/' } }, /answered 302 with a redirect/],
  [
    'a text of somebody else',
    { headers: { 'content-type': 'text/plain' }, body: 'OK' },
    /a text of the type text\/plain/,
  ],
  ['an empty page', { status: 200, headers: { 'content-length': '0' } }, /answered 200 with an empty page/],
];

test.each(strangers)('%s in place of ECS, EC2 or Auto Scaling is Unavailable, and is named', async (_, reply, told) => {
  const { cloud } = await openAws(() => reply);
  for (const call of [
    async () => cloud.readMembership(patient),
    async () => cloud.readOwnTags(patient),
    async () => cloud.readClusterHealth('demo', patient),
    async () => cloud.completeHook('nodes', 'launch', 'CONTINUE', patient),
  ]) {
    const failure: unknown = await call().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Unavailable);
    expect((failure as Error).message).toMatch(told);
  }
});

test('a redirect and an empty answer with a request id come from AWS', async () => {
  const id = { 'x-amzn-requestid': 'r' };
  const { cloud } = await openAws(() => ({ status: 307, headers: id, body: '{}' }));
  await expect(cloud.readClusterHealth('demo', patient)).rejects.not.toThrow(/not from AWS/);
});

test('an endpoint that refuses connections is named with its address', async () => {
  const { cloud, server } = await openAws(() => json({}));
  server.close();
  await expect(cloud.readClusterHealth('demo', patient)).rejects.toThrow(/127\.0\.0\.1:\d+: connect ECONNREFUSED/);
});
