import { expect, onTestFinished, test } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { openLog } from '../../../../core/log.ts';
import { openFleetServices } from '../../../../host/aws/fleet/fleet-services.ts';
import { openFleetSession } from '../../../../host/aws/session/fleet-session.ts';
import { serve, type Answer } from '../local-server.ts';
import { callOf, json, keys, wire } from './aws.ts';

const patient = new AbortController().signal;

async function open(answer: Answer) {
  const server = await serve(answer);
  const log = openLog(() => {}, Date.now);
  const services = openFleetServices(openFleetSession('eu-west-1', { AWS_ENDPOINT_URL: server.url, ...keys }, log));
  onTestFinished(() => services.close());
  return { services, server };
}

const service = {
  serviceName: 'web',
  status: 'ACTIVE',
  desiredCount: 3,
  runningCount: 3,
  pendingCount: 0,
  deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED' }],
};

test('every page counts, and a repeated one counts once', async () => {
  const pages = [{ containerInstanceArns: ['a', 'b'], nextToken: 'more' }, { containerInstanceArns: ['b', 'c'] }];
  const { services, server } = await open((asked) => {
    if (callOf(asked) === 'DescribeClusters') {
      return json({ clusters: [{ clusterName: 'prod', status: 'ACTIVE', registeredContainerInstancesCount: 3 }] });
    }
    const { nextToken } = JSON.parse(asked.body) as { nextToken?: string };
    return json(pages[nextToken === undefined ? 0 : 1]!);
  });
  expect(await services.countInstances('prod', patient)).toMatchObject({ active: 3, connected: 3, draining: 3 });
  expect(server.asked[0]?.headers.authorization).toMatch(/\/eu-west-1\/ecs\/aws4_request/);
});

test('a list whose next page is the same again ends', async () => {
  const { services } = await open((asked) =>
    json({
      clusters: [{ clusterName: 'prod', status: 'ACTIVE', registeredContainerInstancesCount: 3 }],
      containerInstanceArns: [],
      ScalableTargets: [],
      ...(callOf(asked) !== 'DescribeClusters' && { nextToken: 'again', NextToken: 'again' }),
    }),
  );
  await expect(services.countInstances('prod', patient)).rejects.toThrow('in a circle');
  await expect(services.readScalingTarget('prod', 'web', patient)).rejects.toThrow('in a circle');
});

test.each([
  ['a cluster without its count', 'countInstances', { clusters: [{ clusterName: 'prod', status: 'ACTIVE' }] }],
  ['another cluster', 'countInstances', { clusters: [{ clusterName: 'other', registeredContainerInstancesCount: 3 }] }],
  ['no cluster, and no reason', 'countInstances', { clusters: [] }],
  [
    'a cluster that could not be read',
    'countInstances',
    { clusters: [], failures: [{ arn: 'x', reason: 'INTERNAL' }] },
  ],
  ['nothing at all', 'countInstances', {}],
  ['no service, and no reason', 'readService', { services: [] }],
  ['a service without its desired count', 'readService', { services: [{ ...service, desiredCount: undefined }] }],
  ['a service without its deployments', 'readService', { services: [{ ...service, deployments: undefined }] }],
  ['nothing about scalable targets', 'readScalingTarget', {}],
  ['a change that names no service', 'setDesiredCount', {}],
] as const)('%s is half an answer: Unavailable, with no conclusion from it', async (_title, verb, body) => {
  const { services } = await open(() => json(body));
  const asked: Record<string, () => Promise<unknown>> = {
    countInstances: () => services.countInstances('prod', patient),
    readService: () => services.readService('prod', 'web', patient),
    readScalingTarget: () => services.readScalingTarget('prod', 'web', patient),
    setDesiredCount: () => services.setDesiredCount('prod', 'web', 2, patient),
  };
  await expect(asked[verb]!()).rejects.toThrow(Unavailable);
});

test('a missing list of container instances does not mean an empty cluster', async () => {
  const { services } = await open((asked) =>
    json(
      callOf(asked) === 'DescribeClusters'
        ? { clusters: [{ clusterName: 'prod', status: 'ACTIVE', registeredContainerInstancesCount: 3 }] }
        : {},
    ),
  );
  await expect(services.countInstances('prod', patient)).rejects.toThrow(Unavailable);
});

test('a service that ECS does not know differs from one that ECS could not read', async () => {
  const { services } = await open(() => json({ services: [], failures: [{ arn: 'web', reason: 'MISSING' }] }));
  expect(await services.readService('prod', 'web', patient)).toBeUndefined();
});

test.each([
  ['by its launch type', { launchType: 'FARGATE' }, true],
  ['by its capacity providers', { capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }] }, true],
  ['not', { launchType: 'EC2' }, false],
  ['not, but by a group', { capacityProviderStrategy: [{ capacityProvider: 'nodes', weight: 1 }] }, false],
])('reads whether a service runs on Fargate: %s', async (_title, more, fargate) => {
  const { services } = await open(() => json({ services: [{ ...service, ...more }] }));
  expect(await services.readService('prod', 'web', patient)).toMatchObject({ fargate });
});

test('only the desired count changes', async () => {
  const { services, server } = await open(() => json({ service: { ...service, desiredCount: 2 } }));
  expect(await services.setDesiredCount('prod', 'web', 2, patient)).toBe(2);
  expect(JSON.parse(server.asked.at(-1)!.body)).toEqual({ cluster: 'prod', service: 'web', desiredCount: 2 });
});

test('the scalable target of another service never counts, whatever the answer holds', async () => {
  const target = { ResourceId: 'service/prod/web-2', MinCapacity: 1, MaxCapacity: 2 };
  const { services } = await open(() => json({ ScalableTargets: [target] }));
  expect(await services.readScalingTarget('prod', 'web', patient)).toBeUndefined();
});

test('a missing permission names the role and the place to look', async () => {
  const { services } = await open(() => wire.json('AccessDeniedException', 'no'));
  const refused = services.setDesiredCount('prod', 'web', 2, patient);
  await expect(refused).rejects.toThrow(Refused);
  await expect(refused).rejects.toThrow(
    /ecs:UpdateService on prod\/web is not allowed: add it to the role of the person or function that runs this/,
  );
});

test('a throttled service is asked again later', async () => {
  const { services } = await open(() => wire.json('ThrottlingException', 'Rate exceeded'));
  await expect(services.readScalingTarget('prod', 'web', patient)).rejects.toThrow(Unavailable);
});
