import { expect, test } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { openCredentials } from '../../../../host/aws/session/credentials.ts';
import { serve, type Asked, type Reply } from '../local-server.ts';
import { stopTimers } from '../stop-timers.ts';

stopTimers();

const tokenPath = '/latest/api/token';

/** A metadata service with a role. */
async function role(answer: (asked: Asked) => Reply | undefined = () => undefined) {
  const expiration = new Date(Date.now() + 6 * 3_600_000);
  const server = await serve((asked) => {
    const special = answer(asked);
    if (special) return special;
    if (asked.path === tokenPath) return { body: 'token' };
    if (asked.headers['x-aws-ec2-metadata-token'] !== 'token') return { status: 401 };
    if (asked.path.endsWith('/security-credentials/')) return { body: 'ecs-node' };
    return {
      body: JSON.stringify({
        Code: 'Success',
        AccessKeyId: 'AKID',
        SecretAccessKey: 'secret',
        Token: 't',
        Expiration: expiration.toISOString(),
      }),
    };
  });
  return { server, expiration, environment: { AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url } };
}

test('all clients share one reading of the credentials, until shortly before they expire', async () => {
  const { server, expiration, environment } = await role();
  let now = Date.now();
  const credentials = openCredentials(environment, () => now);
  const [one] = await Promise.all([credentials(), credentials()]);
  expect(one).toMatchObject({ accessKeyId: 'AKID', sessionToken: 't' });
  await credentials();
  expect(server.asked).toHaveLength(3);
  now = expiration.getTime() - 200_000;
  await credentials();
  expect(server.asked).toHaveLength(5);
});

test('never uses version 1 of the metadata service, not even when version 2 fails', async () => {
  const { server, environment } = await role(({ path }) => (path === tokenPath ? { status: 403 } : undefined));
  await expect(openCredentials(environment, Date.now)()).rejects.toThrow(/api\/token answered 403.*HttpEndpoint/);
  expect(server.asked.every(({ path }) => path === tokenPath)).toBe(true);
});

test('one failed token does not disable the service for good', async () => {
  let isDown = true;
  const { environment } = await role(({ path }) => (isDown && path === tokenPath ? { status: 403 } : undefined));
  const credentials = openCredentials(environment, Date.now);
  await expect(credentials()).rejects.toThrow(/403/);
  isDown = false;
  expect(await credentials()).toMatchObject({ accessKeyId: 'AKID' });
});

test('a role that EC2 may not assume is reported as a trust policy, and may still be fixed', async () => {
  const { environment } = await role(({ path }) =>
    path.endsWith('/ecs-node')
      ? { body: '{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role ecs-node."}' }
      : undefined,
  );
  const trouble = openCredentials(environment, Date.now)();
  await expect(trouble).rejects.toThrow(Unavailable);
  await expect(trouble).rejects.toThrow(/role ecs-node .*trust policy does not let ec2\.amazonaws\.com/);
});

test.each([
  [
    'without an instance profile',
    '/latest/meta-data/iam/security-credentials/',
    { status: 404 },
    /no instance profile/,
  ],
  [
    'with a code nobody has heard of',
    '/ecs-node',
    { body: '{"Code":"Failed","Message":"later"}' },
    /say "Failed": later/,
  ],
  [
    'with half an answer',
    '/ecs-node',
    { body: '{"Code":"Success","AccessKeyId":"AKID"}' },
    /none for the role ecs-node/,
  ],
  ['with a web page in place of keys', '/ecs-node', { body: 'log in' }, /none for the role ecs-node/],
  ['with a role that is none', '/security-credentials/', { body: 'a/../b' }, /name a role "a\/\.\.\/b"/],
])('%s, the reason is reported as Unavailable', async (_, ending, reply, reason) => {
  const { environment } = await role(({ path }) => (path.endsWith(ending) ? reply : undefined));
  const trouble = openCredentials(environment, Date.now)();
  await expect(trouble).rejects.toThrow(Unavailable);
  await expect(trouble).rejects.toThrow(reason);
});

test('credentials in the environment take precedence, so that a person can run commands elsewhere', async () => {
  const { server } = await role();
  const environment = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_SESSION_TOKEN: 'c' };
  expect(await openCredentials(environment, Date.now)()).toEqual({
    accessKeyId: 'a',
    secretAccessKey: 'b',
    sessionToken: 'c',
  });
  expect(server.asked).toHaveLength(0);
});
