import { expect, onTestFinished, test, vi } from 'vitest';
import { openCredentials } from '../../../../host/aws/credentials.ts';
import { serve, type Asked, type Reply } from '../local-server.ts';

const tokenPath = '/latest/api/token';

/** A metadata service with a role; the SDK's provider finds it through the process's own environment. */
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
  vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', server.url);
  onTestFinished(() => void vi.unstubAllEnvs());
  return { server, expiration };
}

test('all clients share one reading of the credentials, until shortly before they end', async () => {
  const { server, expiration } = await role();
  let now = Date.now();
  const credentials = openCredentials({}, () => now);
  const [one] = await Promise.all([credentials(), credentials()]);
  expect(one).toMatchObject({ accessKeyId: 'AKID', sessionToken: 't' });
  await credentials();
  expect(server.asked).toHaveLength(3);
  now = expiration.getTime() - 200_000;
  await credentials();
  expect(server.asked).toHaveLength(6);
});

test('never uses version 1 of the metadata service, not even when version 2 fails', async () => {
  const { server } = await role(({ path }) => (path === tokenPath ? { status: 403 } : undefined));
  await expect(openCredentials({}, Date.now)()).rejects.toThrow(/v1 fallback has been blocked/);
  expect(server.asked.every(({ path }) => path === tokenPath)).toBe(true);
});

test('one failed token is not held against the service for ever', async () => {
  let isDown = true;
  await role(({ path }) => (isDown && path === tokenPath ? { status: 403 } : undefined));
  const credentials = openCredentials({}, Date.now);
  await expect(credentials()).rejects.toThrow(/v1 fallback has been blocked/);
  isDown = false;
  expect(await credentials()).toMatchObject({ accessKeyId: 'AKID' });
});

test('credentials in the environment come first, so that a person can run commands elsewhere', async () => {
  const { server } = await role();
  const environment = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_SESSION_TOKEN: 'c' };
  expect(await openCredentials(environment, Date.now)()).toEqual({
    accessKeyId: 'a',
    secretAccessKey: 'b',
    sessionToken: 'c',
  });
  expect(server.asked).toHaveLength(0);
});
