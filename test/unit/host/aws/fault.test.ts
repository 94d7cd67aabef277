import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Cloud } from '../../../../core/host.ts';
import { translate } from '../../../../host/aws/fault.ts';
import { readDocumentedErrors, renderRefusals } from '../../../../scripts/aws-errors.ts';
import { waitFor } from '../../../../simulator/wait-for.ts';
import { nowhere } from '../local-server.ts';
import { json, keys, openAws, self, wire } from './aws.ts';
import { someConfirmed } from '../../../fakes/confirmed.ts';

const patient = new AbortController().signal;

/** One verb of each protocol. */
const ec2 = (cloud: Cloud) => cloud.tagSelf({ Name: 'n' }, patient);
const autoScaling = (cloud: Cloud) => cloud.terminateInGroup(someConfirmed, patient);
const ecs = (cloud: Cloud) => cloud.drain('demo', 'arn', patient);
const opsworks = (cloud: Cloud) => cloud.suggestHostname('layer', patient);
const ssm = (cloud: Cloud) => cloud.readPing(patient);
const balancers = (cloud: Cloud) => cloud.isTargetDraining('arn', patient);
const metrics = (cloud: Cloud) =>
  cloud.publish('N', [{ name: 'n', value: 1, unit: 'None', dimensions: {}, at: Date.now() }], patient);

async function failureOf(verb: (cloud: Cloud) => Promise<unknown>, reply: ReturnType<typeof wire.ec2>) {
  const { cloud } = await openAws(() => reply);
  return (await verb(cloud).then(
    () => expect.fail('it was accepted'),
    (error: unknown) => error,
  )) as Refused;
}

test.each([
  ['EC2', ec2, wire.ec2('RequestLimitExceeded', 'Request limit exceeded.', 503)],
  ['EC2', ec2, wire.ec2('Client.RequestLimitExceeded', 'slow down', 400)],
  ['Auto Scaling', autoScaling, wire.query('Throttling', 'Rate exceeded')],
  ['ECS', ecs, wire.json('ThrottlingException', 'Rate exceeded')],
  ['OpsWorks', opsworks, wire.json('ThrottlingException', 'Rate exceeded')],
  ['Systems Manager', ssm, wire.json('TooManyRequestsException')],
  ['load balancing', balancers, wire.query('Throttling')],
  ['CloudWatch', metrics, wire.json('Throttling')],
])('%s is Unavailable when it throttles', async (_, verb, reply) => {
  expect(await failureOf(verb, reply)).toBeInstanceOf(Unavailable);
});

// Limits are a whole fleet's: what was asked twice at once kept others from being heard.
test('the SDK resends a call once when it got lost, and never when it was throttled', async () => {
  const busy = await openAws(() => wire.json('ThrottlingException', 'Rate exceeded'));
  await expect(ecs(busy.cloud)).rejects.toThrow('throttled');
  expect(busy.calls()).toEqual(['UpdateContainerInstancesState']);
  const broken = await openAws((_, response) => void response.destroy());
  await expect(ecs(broken.cloud)).rejects.toBeInstanceOf(Unavailable);
  expect(broken.calls()).toHaveLength(2);
  let lost = 1;
  const shaky = await openAws((_, response) => {
    if (lost-- > 0) return void response.destroy();
    return json({ failures: [], containerInstances: [{ containerInstanceArn: 'arn' }] });
  });
  await ecs(shaky.cloud);
  expect(shaky.calls()).toHaveLength(2);
});

test('a task is started at most once, whatever the answer', async () => {
  const { cloud, calls } = await openAws((_, response) => void response.destroy());
  await expect(cloud.startTask('demo', 'arn', 'web:1', 'ecs-node', patient)).rejects.toBeInstanceOf(Unavailable);
  expect(calls()).toEqual(['StartTask']);
});

test.each([
  [autoScaling, wire.query('ResourceContention', 'You have a pending update')],
  [autoScaling, wire.query('ScalingActivityInProgress', 'Activity is in progress')],
  [ecs, wire.json('UpdateInProgressException', 'already an update')],
  [ecs, wire.json('ServerException', 'server', 500)],
  [ecs, { status: 502, body: '<html>Bad gateway</html>' }],
  [ecs, { status: 200, body: '<html>Log in</html>' }],
  [ec2, { status: 500, body: '' }],
  [ec2, wire.ec2('InternalError', 'An internal error has occurred')],
  [ec2, wire.ec2('Unavailable', 'down', 503)],
  [ec2, wire.ec2('InvalidInstanceID.NotFound', "The instance ID 'i-0' does not exist")],
])('busy, broken and silent answers are Unavailable (case %#)', async (verb, reply) => {
  expect(await failureOf(verb, reply)).toBeInstanceOf(Unavailable);
});

// A firewall, a captive portal or a code that nobody had heard of ended healthy nodes: 57 of 132
// such answers did.
const html = '<html><body>Access to this site is blocked</body></html>';
test.each([
  ...[301, 302, 400, 403, 404, 407, 408, 410, 429, 451, 511].map((status) => ({ status, body: html })),
  { status: 403, body: '' },
  { status: 403, body: '{"message":"Forbidden"}' },
  { status: 302, headers: { location: 'http://portal.example/login' }, body: '' },
  wire.json('OptInRequired', 'You are not subscribed to this service'),
  wire.json('Blocked', 'This account is currently blocked'),
  wire.query('PendingVerification', 'Your request is pending verification', 403),
  wire.ec2('SomethingNew', 'No model documents this'),
])('an undocumented answer is no refusal (case %#)', async (reply) => {
  for (const verb of [ec2, autoScaling, ecs, opsworks, ssm, balancers]) {
    expect(await failureOf(verb, reply)).toBeInstanceOf(Unavailable);
  }
});

test('the list of documented refusals matches the service models (npm run aws-errors)', async () => {
  const file = new URL('../../../../host/aws/documented-refusals.ts', import.meta.url);
  expect(renderRefusals(readDocumentedErrors())).toBe(await readFile(file, 'utf8'));
});

test.each([
  [ec2, wire.ec2('RequestExpired', 'Request has expired.')],
  [ecs, wire.json('InvalidSignatureException', 'Signature expired: 20300101T000000Z is now earlier than 2031')],
  [autoScaling, wire.query('RequestTimeTooSkewed', 'too skewed', 403)],
])('a wrong clock is named, and is never a reason to terminate (case %#)', async (verb, reply) => {
  const failure = await failureOf(verb, reply);
  expect(failure).toBeInstanceOf(Unavailable);
  expect(failure.message).toContain('clock');
});

test.each([
  [ecs, wire.json('ExpiredTokenException')],
  [autoScaling, wire.query('ExpiredToken', 'expired', 403)],
  [ec2, wire.ec2('AuthFailure', 'not able to validate the provided access credentials', 401)],
  [ssm, wire.json('UnrecognizedClientException', 'The security token is invalid')],
  [balancers, wire.query('InvalidClientTokenId', 'invalid', 403)],
])('late or expired credentials are Unavailable (case %#)', async (verb, reply) => {
  expect(await failureOf(verb, reply)).toBeInstanceOf(Unavailable);
});

test.each([
  [
    ec2,
    wire.ec2('UnauthorizedOperation', `You are not authorized. ${'x'.repeat(600)}`, 403),
    'ec2:CreateTags',
    'instance/i-',
  ],
  [
    autoScaling,
    wire.query('AccessDenied', 'no', 403),
    'autoscaling:TerminateInstanceInAutoScalingGroup',
    'autoScalingGroup',
  ],
  [ecs, wire.json('AccessDeniedException'), 'ecs:UpdateContainerInstancesState', 'arn'],
  [opsworks, wire.json('AccessDeniedException'), 'opsworks:GetHostnameSuggestion', 'stack/'],
  [metrics, wire.json('AccessDenied', 'no', 403), 'cloudwatch:PutMetricData', 'namespace N'],
])('a missing permission is named with its resource and its role', async (verb, reply, permission, resource) => {
  const failure = await failureOf(verb, reply);
  expect(failure).toBeInstanceOf(Refused);
  expect(failure.message).toMatch(new RegExp(`^${permission} on .*${resource}.* is not allowed`));
  expect(failure.message).toContain('the role ecs-node');
  expect(failure.message.length).toBeLessThan(400);
});

test.each([
  [ec2, wire.ec2('OperationNotPermitted', "Modify its 'disableApiTermination'"), 'OperationNotPermitted'],
  [ec2, wire.ec2('TagLimitExceeded', 'Maximum of 50 tags'), 'TagLimitExceeded'],
  [autoScaling, wire.query('ValidationError', 'Instance Id not found'), 'ValidationError'],
  [ecs, wire.json('ClusterNotFoundException', 'Cluster not found.'), 'ClusterNotFoundException'],
  [opsworks, wire.json('ValidationException', 'bad layer'), 'ValidationException'],
  [opsworks, wire.json('ResourceNotFoundException', 'Unable to find layer'), 'ResourceNotFoundException'],
  [balancers, wire.query('TargetGroupNotFound', 'not found'), 'TargetGroupNotFound'],
  [ecs, wire.json('LimitExceededException', 'a quota, not a speed'), 'LimitExceededException'],
])("a refusal keeps AWS's own code and words (case %#)", async (verb, reply, code) => {
  const failure = await failureOf(verb, reply);
  expect(failure).toBeInstanceOf(Refused);
  expect(failure.code).toBe(code);
  const said = /<Message>(.*)<\/Message>|"message":"(.*?)"/.exec(reply.body)?.slice(1).find(Boolean);
  expect(failure.message).toContain(said);
  expect(failure.cause).toBeInstanceOf(Error);
});

test('an unreachable AWS is Unavailable', async () => {
  const { cloud } = await openAws(() => ({}), { AWS_ENDPOINT_URL: nowhere });
  await expect(ecs(cloud)).rejects.toThrow(/^ecs:UpdateContainerInstancesState: .*ECONNREFUSED/);
  const { cloud: unnamed } = await openAws(() => ({}), { AWS_ENDPOINT_URL: 'https://no-such-host.invalid' });
  await expect(ecs(unnamed)).rejects.toThrow(Unavailable);
});

test('an answer that breaks off is Unavailable', async () => {
  const { cloud } = await openAws((_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{', () => response.destroy());
    return undefined;
  });
  await expect(ecs(cloud)).rejects.toThrow(Unavailable);
});

test('an aborted caller gets its own reason at once, and the connection is closed', async () => {
  const { cloud, server } = await openAws(() => undefined);
  const controller = new AbortController();
  const reason = new Error('the node stops');
  const draining = cloud.drain('demo', 'arn', controller.signal).catch((error: unknown) => error);
  await waitFor('it is asked', () => server.asked.length > 0);
  controller.abort(reason);
  expect(await draining).toBe(reason);
  expect(server.asked).toHaveLength(1);
  await expect(cloud.drain('demo', 'arn', AbortSignal.abort(reason))).rejects.toBe(reason);
});

test('the SDK retries a failed call once and no more', async () => {
  const { cloud, server } = await openAws(() => wire.json('ServerException', 'down', 500));
  await expect(ecs(cloud)).rejects.toThrow(Unavailable);
  expect(server.asked).toHaveLength(2);
});

test('a bug stays a bug, with its stack', () => {
  const bug = new TypeError("Cannot read properties of undefined (reading 'x')");
  expect(translate(bug, 'ec2:X', '*')).toBe(bug);
});

test.each([
  wire.json('ClusterNotFoundException', 'Cluster not found.'),
  wire.json(
    'SignatureDoesNotMatch',
    `The Canonical String should have been 'POST x-amz-security-token:${keys.AWS_SESSION_TOKEN} x'`,
  ),
])('a failure can be printed with all its fields, and holds no secret (case %#)', async (reply) => {
  const failure = await failureOf(ecs, reply);
  const printed = inspect(failure, { depth: 20, showHidden: true });
  expect(printed).toContain('[cause]');
  expect(printed).not.toContain(keys.AWS_SESSION_TOKEN);
  expect(printed).not.toContain('AWS4-HMAC');
});

test('missing credentials are explained by the probable cause', () => {
  const missing = Object.assign(new Error('Could not load credentials from any providers'), {
    name: 'CredentialsProviderError',
  });
  const failure = translate(missing, 'ec2:CreateTags', '*');
  expect(failure).toBeInstanceOf(Unavailable);
  expect(failure.message).toContain('instance profile');
});

test('an answer of another kind is Unavailable, and no bug that ends the node', async () => {
  const { cloud, log } = await openAws(() => json({ InstanceInformationList: [null] }));
  await expect(cloud.readPing(patient)).rejects.toThrow(Unavailable);
  expect(log.find(({ message }) => message === 'answer makes no sense')?.fields['error']).toContain('systems-manager');
  const { cloud: other } = await openAws(() =>
    json({ InstanceInformationList: [{ InstanceId: self, PingStatus: { not: 'text' } }] }),
  );
  await expect(other.readPing(patient)).rejects.toThrow('makes no sense');
});

test('a list whose next page is the same page again ends', async () => {
  const { cloud, calls } = await openAws(() => json({ taskArns: ['a'], nextToken: 'same' }));
  await expect(cloud.readTasks('demo', 'arn', patient)).rejects.toThrow('goes round in a circle');
  expect(calls().length).toBeLessThan(6);
});

test.each(['OptInRequired', 'Blocked', 'PendingVerification'])(
  'the code %s is explained by the account, not by a proxy',
  async (code) => {
    const failure = await failureOf(ec2, wire.ec2(code, 'Your account is not ready.', 403));
    expect(failure).toBeInstanceOf(Unavailable);
    expect(failure.message).toContain(`Your account is not ready. (${code}): AWS restricts this account`);
  },
);
