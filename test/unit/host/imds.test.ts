import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { openMetadata } from '../../../host/metadata/imds.ts';
import { readEndpoints } from '../../../host/metadata/imds-reader.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { openFakeClock } from '../../fakes/clock.ts';
import { nowhere, serve, type Answer } from './local-server.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

const patient = new AbortController().signal;

const tokenPath = '/latest/api/token';

/**
 * A service that gives `token-1`, `token-2` …, accepts only the newest, and answers everything else
 * with `answer`.
 */
async function imds(answer: Answer, accepts = (token: string, newest: string) => token === newest) {
  let given = 0;
  const server = await serve((asked, response) => {
    if (asked.path === tokenPath) {
      if (asked.method !== 'PUT') return { status: 405 };
      if (asked.headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined) return { status: 400 };
      return { body: `token-${++given}`, headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '21600' } };
    }
    const token = String(asked.headers['x-aws-ec2-metadata-token']);
    return accepts(token, `token-${given}`) ? answer(asked, response) : { status: 401 };
  });
  const clock = openFakeClock();
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }, clock);
  const tokens = () => server.asked.filter(({ path }) => path === tokenPath).length;
  return { metadata, server, clock, tokens };
}

const refusedEverywhere = [
  ['a throttled answer', { status: 429 }, 'too many requests'],
  ['a failing service', { status: 503 }, '503'],
  ['a service that is switched off', { status: 403 }, 'HttpEndpoint'],
  ['a redirect', { status: 302, headers: { location: 'http://portal/' } }, '302'],
  ['a web page', { body: '<!DOCTYPE html><p>Please log in' }, 'web page'],
  ['a web page by its type', { headers: { 'content-type': 'text/html; charset=utf-8' }, body: 'hi' }, 'web page'],
  ['more than any answer can be', { body: 'x'.repeat(70_000) }, 'larger'],
] as const;

test('asks for one token for many reads, also at once', async () => {
  const { metadata, server, tokens } = await imds(() => ({ body: 'InService' }));
  await Promise.all([1, 2, 3].map(() => metadata.readTargetState(patient)));
  expect(await metadata.readTargetState(patient)).toBe('InService');
  expect(tokens()).toBe(1);
  expect(server.asked[0]?.headers['x-aws-ec2-metadata-token-ttl-seconds']).toBe('21600');
});

test('gets a new token before the old one expires, not after', async () => {
  const { metadata, clock, tokens } = await imds(() => ({ status: 404 }));
  await metadata.readSpotNotice(patient);
  await clock.run(5.9 * 3_600_000);
  await metadata.readSpotNotice(patient);
  expect(tokens()).toBe(1);
  await clock.run(0.05 * 3_600_000);
  await metadata.readSpotNotice(patient);
  expect(tokens()).toBe(2);
});

test('replaces a forgotten token once, and repeats the question', async () => {
  const { metadata, server, tokens } = await imds(
    () => ({ body: 'Terminated' }),
    (token) => token === 'token-2',
  );
  expect(await metadata.readTargetState(patient)).toBe('Terminated');
  expect(tokens()).toBe(2);
  expect(server.asked).toHaveLength(4);
});

test('gives up when the service accepts no token at all', async () => {
  const { metadata, server } = await imds(
    () => ({}),
    () => false,
  );
  await expect(metadata.readTargetState(patient)).rejects.toThrow(Unavailable);
  expect(server.asked).toHaveLength(4);
});

test.each([403, 404, 405, 500])('never falls back to version 1 when the token is refused with %i', async (status) => {
  const server = await serve(({ path }) => (path === tokenPath ? { status } : { body: 'InService' }));
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }, openFakeClock());
  await expect(metadata.readTargetState(patient)).rejects.toThrow(Unavailable);
  expect(server.asked.every(({ path }) => path === tokenPath)).toBe(true);
});

test.each([
  ['a web page', '<html>'],
  ['nothing', ''],
  ['two lines', 'a\nb'],
])('rejects %s as a token', async (_, body) => {
  const server = await serve(() => ({ body }));
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }, openFakeClock());
  await expect(metadata.readTargetState(patient)).rejects.toThrow(/no token/);
});

test.each(refusedEverywhere)('reports %s as "could not tell", and names it', async (_, reply, word) => {
  const { metadata } = await imds(() => reply);
  for (const read of [metadata.readSpotNotice, metadata.readUserData, metadata.readTags, metadata.readIdentity]) {
    const failure = await read(patient).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Unavailable);
    expect((failure as Error).message).toContain(word);
  }
});

test('explains a token that does not travel over the hop limit', async () => {
  const server = await serve(() => undefined);
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }, openFakeClock());
  const failure = metadata.readTargetState(patient).catch((error: unknown) => error);
  await waitFor('it is asked', () => server.asked.length === 1);
  vi.advanceTimersByTime(2_000);
  expect(await failure).toMatchObject({ message: expect.stringMatching(/no answer within 2 s.*HopLimit/) });
});

test('reports a closed port as "could not tell"', async () => {
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: nowhere }, openFakeClock());
  await expect(metadata.readTargetState(patient)).rejects.toThrow(Unavailable);
});

test.each([
  ['while it waits for a token', true],
  ['while it waits for an answer', false],
])('stops at once on abort, %s', async (_, waitsForToken) => {
  const server = await serve(({ path }) => (path === tokenPath && !waitsForToken ? { body: 'token' } : undefined));
  const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url }, openFakeClock());
  const controller = new AbortController();
  const reason = new Error('the node stops');
  const reading = metadata.readTargetState(controller.signal).catch((error: unknown) => error);
  await waitFor('it is asked', () => server.asked.some(({ path }) => (path === tokenPath) === waitsForToken));
  controller.abort(reason);
  expect(await reading).toBe(reason);
});

test('reports a tag as absent when its key cannot be a path', async () => {
  const { metadata, server } = await imds(() => ({ body: 'secret' }));
  for (const key of ['../../user-data', 'a b', 'a/b', '..', '.', '']) {
    expect(await metadata.readTag(key, patient)).toBeUndefined();
  }
  expect(server.asked).toHaveLength(0);
  expect(await metadata.readTag('aws:autoscaling:groupName', patient)).toBe('secret');
  expect(server.asked.at(-1)?.path).toBe('/latest/meta-data/tags/instance/aws:autoscaling:groupName');
});

test('omits a tag that goes away between the list and its value', async () => {
  const { metadata } = await imds(({ path }) =>
    path.endsWith('/instance/') ? { body: 'Name\nGone' } : path.endsWith('/Name') ? { body: 'n' } : { status: 404 },
  );
  expect(await metadata.readTags(patient)).toEqual({ Name: 'n' });
});

// Without the value, a node lost a setting, or the tag of a person who keeps it.
test('gives no list of settings that lacks the value of one of them', async () => {
  const { metadata } = await imds(({ path }) =>
    path.endsWith('/instance/')
      ? { body: 'ecs-node:cluster\necs-node:keep' }
      : path.endsWith('/ecs-node:cluster')
        ? { body: 'demo' }
        : { status: 404 },
  );
  await expect(metadata.readTags(patient, 'ecs-node:')).rejects.toThrow('no value of the tag ecs-node:keep');
});

test('asks only for the values of the wanted tags, because each is a request', async () => {
  const { metadata, server } = await imds(({ path }) =>
    path.endsWith('/instance/') ? { body: 'Name\necs-node:cluster\naws:autoscaling:groupName' } : { body: 'demo' },
  );
  expect(await metadata.readTags(patient, 'ecs-node:')).toEqual({ 'ecs-node:cluster': 'demo' });
  expect(server.asked.filter(({ path }) => path.includes('/tags/'))).toHaveLength(2);
});

test('returns binary user data byte by byte', async () => {
  const bytes = Uint8Array.from([0x1f, 0x8b, 0, 255, 254]);
  const { metadata } = await imds(() => ({ body: bytes, headers: { 'content-type': 'application/octet-stream' } }));
  expect(Buffer.from((await metadata.readUserData(patient)) ?? [])).toEqual(Buffer.from(bytes));
});

test('ignores a proxy in the environment, which would report its own machine', async () => {
  const { server } = await imds(() => ({ body: 'InService' }));
  const program = `
    import { openMetadata } from './host/metadata/imds.ts';
    import { openClock } from './host/clock.ts';
    console.log(await openMetadata(process.env, openClock()).readTargetState(new AbortController().signal));`;
  const proxy = nowhere;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', program], {
    env: {
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: proxy,
      http_proxy: proxy,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url,
    },
  });
  expect(stdout).toBe('InService\n');
});

test('finds the endpoint as every AWS program does', () => {
  const endpoint = (environment: Record<string, string>) =>
    readEndpoints(environment)
      .map(({ href }) => href)
      .join();
  // By IPv4 first, unless this machine has a way by IPv6 only.
  expect(endpoint({}).split(',').toSorted()).toEqual(['http://169.254.169.254/', 'http://[fd00:ec2::254]/']);
  expect(endpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv4' })).toBe('http://169.254.169.254/');
  expect(endpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv6' })).toBe('http://[fd00:ec2::254]/');
  const both = {
    AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv6',
    AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://[::1]:1338',
  };
  expect(endpoint(both)).toBe('http://[::1]:1338/');
  expect(() => endpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT: '169.254.169.254' })).toThrow(
    /AWS_EC2_METADATA_SERVICE_ENDPOINT.*http/,
  );
  expect(() => endpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'v7' })).toThrow(/IPv4 or IPv6/);
});
