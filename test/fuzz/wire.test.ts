import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Cloud } from '../../core/host.ts';
import { Refused, Unavailable } from '../../core/errors.ts';
import { openLog } from '../../core/log.ts';
import { openCalls, parseReply } from '../../host/aws/child/calls.ts';
import { readLines } from '../../host/aws/child/lines.ts';
import { openCloud } from '../../host/aws/open.ts';
import { verbs, type Verb } from '../../host/aws/child/verbs.ts';
import { openDocker } from '../../host/docker.ts';
import { openEcsAgent } from '../../host/ecs-introspection.ts';
import { openMetadata } from '../../host/metadata/imds.ts';
import { openFakeClock } from '../fakes/clock.ts';
import { someIdentity } from '../fakes/metadata.ts';
import { bottomless, bytes, json, nastyText, spoiltJson } from './hostile.ts';
import { holds, orSaysNo } from './property.ts';

const patient = new AbortController().signal;

/** One server for all inputs of this file: what it answers changes with each. */
let answer: RequestListener = () => {};
const server = createServer((request, response) => {
  request.resume();
  answer(request, response);
});
const root = join(tmpdir(), `fuzz-${process.pid}`);
const socketPath = join(root, 'var/run/docker.sock');
const socketServer = createServer((request, response) => {
  request.resume();
  answer(request, response);
});
let url = '';

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mkdirSync(dirname(socketPath), { recursive: true });
  socketServer.listen(socketPath);
  await once(socketServer, 'listening');
});
afterAll(() => {
  for (const each of [server, socketServer]) {
    each.closeAllConnections();
    each.close();
  }
  rmSync(root, { recursive: true, force: true });
});

interface Reply {
  status: number;
  type: string;
  body: Uint8Array;
  /** The connection breaks behind it; with a length that promises more. */
  breaks: boolean;
}

const say = ({ status, type, body, breaks }: Reply): RequestListener => {
  return (_, response) => {
    const headers = { 'content-type': type, ...(breaks && { 'content-length': String(body.length + 10) }) };
    response.writeHead(status, headers);
    if (breaks) response.write(body.length === 0 ? ' ' : body, () => response.destroy());
    else response.end(status === 204 || status === 304 ? undefined : body);
  };
};

const status = fc.oneof(
  { weight: 8, arbitrary: fc.constant(200) },
  { weight: 1, arbitrary: fc.constantFrom(204, 206, 301, 304, 400, 401, 403, 404, 413, 429, 500, 503, 599) },
);
const breaks = fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
const encode = (text: string) => new TextEncoder().encode(text);

function reply(type: fc.Arbitrary<string>, body: fc.Arbitrary<string>): fc.Arbitrary<Reply> {
  const content = fc.oneof(
    { weight: 8, arbitrary: body.map(encode) },
    { weight: 1, arbitrary: bytes },
    { weight: 1, arbitrary: fc.constantFrom('<html><body>log in</body></html>', '<!DOCTYPE html>', '').map(encode) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 200_000 }).map((size) => new Uint8Array(size).fill(0x20)) },
  );
  return fc.record({ status, type, body: content, breaks });
}

// ---------------------------------------------------------------- the metadata service

const identityDocument = spoiltJson({
  accountId: '123456789012',
  architecture: 'x86_64',
  availabilityZone: 'us-east-1a',
  imageId: 'ami-0123456789abcdef0',
  instanceId: 'i-0123456789abcdef0',
  instanceType: 'm7g.large',
  privateIp: '10.0.0.7',
  region: 'us-east-1',
});
const spot = spoiltJson({ action: 'terminate', time: '2030-01-01T00:00:00Z' });
const rebalance = spoiltJson({ noticeTime: '2030-01-01T00:00:00Z' });
const maintenance = spoiltJson({
  Code: 'system-reboot',
  EventId: 'e',
  State: 'active',
  NotBefore: '21 Jan 2030 09:00:43 GMT',
});
const list = maintenance.map((text) => `[${text}]`);
const names = fc
  .array(fc.oneof(nastyText, fc.constantFrom('Name', 'ecs-node:cluster')), { maxLength: 60 })
  .map((each) => each.join('\n'));
const thousands = fc.integer({ min: 100, max: 20_000 }).map((count) => 'a\n'.repeat(count));
const plain = fc.constantFrom('text/plain', 'application/json', 'text/html');

holds(
  'whatever answers at the metadata address, each question ends with an answer that makes sense, or Unavailable',
  reply(plain, fc.oneof(identityDocument, spot, rebalance, list, maintenance, names, thousands, nastyText, bottomless)),
  async (given) => {
    const answered = say(given);
    let asked = 0;
    answer = (request, response) => {
      asked += 1;
      if (request.method === 'PUT') response.end('token');
      else answered(request, response);
    };
    const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, openFakeClock());
    const identity = await orSaysNo(() => metadata.readIdentity(patient), Unavailable);
    if (identity !== undefined) expect(identity.instanceId).toMatch(/^i-[0-9a-f]+$/);
    const notice = await orSaysNo(() => metadata.readSpotNotice(patient), Unavailable);
    if (notice !== undefined) expect(notice.at).not.toBeNaN();
    await orSaysNo(() => metadata.readRebalanceNotice(patient), Unavailable);
    for (const event of (await orSaysNo(() => metadata.readMaintenance(patient), Unavailable)) ?? []) {
      expect(event.notBefore).not.toBeNaN();
    }
    const target = await orSaysNo(() => metadata.readTargetState(patient), Unavailable);
    if (target !== undefined) expect(target).toMatch(/^[A-Za-z:]+$/);
    const data = await orSaysNo(() => metadata.readUserData(patient), Unavailable);
    expect(data?.length ?? 0).toBeLessThanOrEqual(65_536);
    const before = asked;
    const tags = await orSaysNo(() => metadata.readTags(patient), Unavailable);
    if (tags !== undefined) expect(Object.values(tags).every((value) => typeof value === 'string')).toBe(true);
    // Each of them costs a request, one after the other.
    expect(asked - before).toBeLessThan(300);
  },
  { runs: 100 },
);

holds(
  'whatever stands in for a token, it is one or Unavailable',
  reply(plain, fc.oneof(nastyText, bottomless)),
  async (given) => {
    answer = (request, response) => {
      if (request.method === 'PUT') say(given)(request, response);
      else response.end('InService');
    };
    const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, openFakeClock());
    await orSaysNo(() => metadata.readTargetState(patient), Unavailable);
  },
  { runs: 60 },
);

// ---------------------------------------------------------------- the ECS agent and Docker on this
// machine

const agent = spoiltJson({ Cluster: 'demo', ContainerInstanceArn: 'arn:aws:ecs:x', Version: 'v' });
const task = spoiltJson({
  Arn: 'arn',
  Family: 'f',
  Version: '1',
  DesiredStatus: 'RUNNING',
  KnownStatus: 'RUNNING',
  Containers: [
    { Name: 'c', DockerId: 'd', Ports: [{ ContainerPort: 80, HostPort: 32768, Protocol: 'tcp' }, null] },
    null,
  ],
});
const tasks = fc.oneof(
  spoiltJson({ Tasks: [{ Arn: 'arn' }] }),
  fc.array(task, { maxLength: 3 }).map((each) => `{"Tasks":[${each.join(',')}]}`),
);

/** A task and a container hold texts and numbers, and lists of them. */
function isPlainFact(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((each: object) => Object.values(each).every(isPlainFact));
  return typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
}

holds(
  'whatever listens at the introspection port, the agent and its tasks are told in whole words, or Unavailable',
  reply(plain, fc.oneof(agent, tasks)),
  async (given) => {
    answer = say(given);
    const ecsAgent = openEcsAgent(url);
    const found = await orSaysNo(() => ecsAgent.readAgent(patient), Unavailable);
    if (found !== undefined) expect([typeof found.cluster, typeof found.version]).toEqual(['string', 'string']);
    for (const each of (await orSaysNo(() => ecsAgent.readTasks(patient), Unavailable)) ?? []) {
      expect(Object.values(each).every(isPlainFact)).toBe(true);
    }
  },
  { runs: 100 },
);

holds(
  "whatever Docker's socket answers, it is lists of images and containers, or says no",
  reply(
    plain,
    spoiltJson({ Id: 'sha256:1', RepoTags: ['a:1'], ImageID: 'sha256:1', Names: ['/a'], Created: 5 }).map(
      (text) => `[${text}]`,
    ),
  ),
  async (given) => {
    answer = say(given);
    const docker = openDocker(root);
    for (const { id, names } of (await orSaysNo(() => docker.readImages(patient), Unavailable, Refused)) ?? []) {
      expect([id, ...names].every((name) => typeof name === 'string')).toBe(true);
    }
    for (const { imageId } of (await orSaysNo(() => docker.readContainers(patient), Unavailable, Refused)) ?? []) {
      expect(imageId).toBeTypeOf('string');
    }
    expect(await orSaysNo(() => docker.removeImage('a:1', patient), Unavailable, Refused)).not.toBe('');
  },
  { runs: 60 },
);

holds(
  'whatever Docker says about itself, its root is a path, or it says no',
  reply(plain, spoiltJson({ DockerRootDir: '/x', DriverStatus: [['a', 'b']], Containerd: { Address: '/c' } })),
  async (given) => {
    answer = say(given);
    const store = await orSaysNo(() => openDocker(root).readStore(patient), Unavailable, Refused);
    if (store !== undefined) expect(store.root).toMatch(/^\//);
  },
  { runs: 60 },
);

holds(
  'an answer that never ends is left behind when it is too large',
  fc.constantFrom('/v1/tasks', '/v1/metadata', 'user-data', 'tags'),
  async (what) => {
    answer = (request, response) => {
      if (request.method === 'PUT') return void response.end('token');
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    const metadata = openMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, openFakeClock());
    const question = {
      '/v1/tasks': () => openEcsAgent(url).readTasks(patient),
      '/v1/metadata': () => openEcsAgent(url).readAgent(patient),
      'user-data': () => metadata.readUserData(patient),
      tags: () => metadata.readTags(patient),
    }[what];
    await expect(question()).rejects.toThrow(Unavailable);
  },
  { runs: 4 },
);

// ---------------------------------------------------------------- AWS

const arn = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/1';

const questions = {
  readOwnTags: (cloud) => cloud.readOwnTags(patient),
  readTerminationProtection: (cloud) => cloud.readTerminationProtection(patient),
  clearTerminationProtection: (cloud) => cloud.clearTerminationProtection(patient),
  readMembership: (cloud) => cloud.readMembership(patient),
  readHooks: (cloud) => cloud.readHooks('g', patient),
  heartbeat: (cloud) => cloud.heartbeat('g', 'h', patient),
  readActivities: (cloud) => cloud.readActivities('g', 0, patient),
  readContainerInstance: (cloud) => cloud.readContainerInstance('demo', arn, patient),
  drain: (cloud) => cloud.drain('demo', arn, patient),
  readTasks: (cloud) => cloud.readTasks('demo', arn, patient),
  readClusterHealth: (cloud) => cloud.readClusterHealth('demo', patient),
  readUnsteadyServices: (cloud) => cloud.readUnsteadyServices('demo', patient),
  readLeaveQueue: (cloud) => cloud.readLeaveQueue('demo', 'disk', patient),
  isTargetDraining: (cloud) => cloud.isTargetDraining('arn:aws:elasticloadbalancing:x', patient),
  isLoadBalancerDraining: (cloud) => cloud.isLoadBalancerDraining('lb', patient),
  readStack: (cloud) => cloud.readStack('name', patient),
  readLayer: (cloud) => cloud.readLayer('s', 'ecs', patient),
  readProvisioning: (cloud) => cloud.readProvisioning('s', patient),
  suggestHostname: (cloud) => cloud.suggestHostname('l', patient),
  findRegistration: (cloud) => cloud.findRegistration('s', patient),
  readStopReason: (cloud) => cloud.readStopReason('demo', 'arn', patient),
  readTaskDefinition: (cloud) => cloud.readTaskDefinition('web', patient),
  startTask: (cloud) => cloud.startTask('demo', arn, 'web:1', 'ecs-node', patient),
  readDocuments: (cloud) => cloud.readDocuments('ssm:/a', {}, patient),
  readPing: (cloud) => cloud.readPing(patient),
  publish: (cloud) => cloud.publish('n', [], patient),
} satisfies Partial<Record<Verb, (cloud: Cloud) => Promise<unknown>>>;

/** Names that the answers really have, so that a spoilt value is read by somebody. */
const field = fc.constantFrom(
  'Tags',
  'Key',
  'Value',
  'Activities',
  'StartTime',
  'Description',
  'LifecycleHooks',
  'LifecycleHookName',
  'HeartbeatTimeout',
  'AutoScalingInstances',
  'InstanceId',
  'LifecycleState',
  'containerInstances',
  'containerInstanceArns',
  'ec2InstanceId',
  'containerInstanceArn',
  'status',
  'failures',
  'reason',
  'taskArns',
  'tasks',
  'lastStatus',
  'clusters',
  'serviceArns',
  'services',
  'desiredCount',
  'attributes',
  'name',
  'value',
  'targetId',
  'TargetHealthDescriptions',
  'TargetHealth',
  'State',
  'Stacks',
  'Name',
  'StackId',
  'Layers',
  'LayerId',
  'Shortname',
  'Parameters',
  'AgentInstallerUrl',
  'Hostname',
  'Instances',
  'Ec2InstanceId',
  'Status',
  'InstanceInformationList',
  'PingStatus',
  'DisableApiTermination',
  'InstanceStates',
  '__type',
  'nextToken',
  'NextToken',
  'taskDefinition',
  'taskDefinitionArn',
  'stoppedReason',
  'taskArn',
  'Version',
);
const own = fc.constantFrom<unknown>(someIdentity.instanceId, 'RUNNING', '2030-01-01T00:00:00Z', arn, 'name', 'ecs');

const awsValue = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    own,
    json,
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(field, tie('any'), { maxKeys: 5, noNullPrototype: true }),
    fc.dictionary(field, tie('any'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).any;

function toXml(value: unknown): string {
  if (Array.isArray(value)) return value.map((each) => `<member>${toXml(each)}</member>`).join('');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, inner]) => (/^[A-Za-z]\w*$/.test(key) ? `<${key}>${toXml(inner)}</${key}>` : toXml(inner)))
    .join('');
}

const xmlBomb = `<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "${'&a;'.repeat(50)}"><!ENTITY c "${'&b;'.repeat(50)}"><!ENTITY d "${'&c;'.repeat(50)}">]><R>${'&d;'.repeat(50)}</R>`;
const xmlFile =
  '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response><tagSet><item><key>&x;</key></item></tagSet></Response>';

const awsBody = fc.oneof(
  { weight: 6, arbitrary: awsValue.map((value) => JSON.stringify(value) ?? 'null') },
  { weight: 6, arbitrary: awsValue.map((value) => `<Response><Result>${toXml(value)}</Result></Response>`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      xmlBomb,
      xmlFile,
      '<a>'.repeat(20_000),
      '<a',
      '{',
      '[]',
      'null',
      '"',
      '<?xml version="1.0"?>',
    ),
  },
  { weight: 1, arbitrary: bottomless },
);
const awsType = fc.constantFrom('application/x-amz-json-1.1', 'text/xml', 'application/cbor', 'text/html');

holds(
  'whatever answers in the name of AWS, a verb gives something of its own kind, Unavailable or Refused',
  fc.tuple(fc.constantFrom(...(Object.keys(questions) as (keyof typeof questions)[])), reply(awsType, awsBody)),
  async ([verb, given]) => {
    let asked = 0;
    answer = (request, response) => {
      // The same page with the same token again and again must end, too.
      if (++asked > 400) throw new Error(`${verb} never stops asking`);
      say(given)(request, response);
    };
    const environment = { AWS_ENDPOINT_URL: url, AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };
    const cloud = openCloud(
      someIdentity,
      environment,
      openLog(() => {}, Date.now),
    );
    try {
      const value = await orSaysNo<unknown>(() => questions[verb](cloud), Unavailable, Refused);
      expect(isOfItsKind(verb, value)).toBe(true);
    } finally {
      await cloud.close();
    }
  },
  { runs: 200 },
);

/** As core/host.ts promises, as far as others rely on it. */
function isOfItsKind(verb: keyof typeof questions, value: unknown): boolean {
  if (value === undefined) return true;
  const texts = (each: object, ...keys: string[]) =>
    keys.every((key) => typeof (each as Record<string, unknown>)[key] === 'string');
  const all = (check: (each: object) => boolean) => Array.isArray(value) && (value as object[]).every(check);
  switch (verb as string) {
    case 'readTerminationProtection':
    case 'heartbeat':
    case 'isTargetDraining':
    case 'isLoadBalancerDraining':
      return typeof value === 'boolean';
    case 'readOwnTags':
      return Object.values(value as object).every((each) => typeof each === 'string');
    case 'readMembership':
      return texts(value as object, 'group', 'lifecycleState');
    case 'readHooks':
      return all((each) => texts(each, 'name', 'transition'));
    case 'readActivities':
      return all((each) => texts(each, 'kind', 'instanceId') && Number.isFinite((each as { at: number }).at));
    case 'readContainerInstance':
      return texts(value as object, 'arn', 'status');
    case 'readDocuments':
      return all((each) => texts(each, 'name', 'version'));
    case 'readTasks':
      return all((each) => texts(each, 'arn', 'group', 'lastStatus', 'desiredStatus'));
    case 'readUnsteadyServices':
      return Array.isArray(value) && value.every((each) => typeof each === 'string');
    case 'readStack':
      return texts(value as object, 'id', 'name', 'region');
    case 'readLayer':
      return texts(value as object, 'id', 'stackId', 'shortName');
    case 'findRegistration':
      return (
        texts(value as object, 'id', 'hostname', 'status') && Array.isArray((value as { layerIds: unknown }).layerIds)
      );
    case 'readStopReason':
    case 'readTaskDefinition':
    case 'startTask':
    case 'suggestHostname':
    case 'readPing':
      return typeof value === 'string';
    default:
      return true;
  }
}

// ---------------------------------------------------------------- the child's lines

const line = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 3 }), json, json)
    .map(([id, value, error]) => JSON.stringify({ id, value, error })),
  json.map((value) => JSON.stringify(value) ?? ''),
  nastyText,
);

holds(
  'whatever the child says, a call is answered, goes on waiting, or fails in our own words',
  fc.array(line, { maxLength: 12 }),
  async (lines) => {
    const input = new PassThrough();
    const settled: unknown[] = [];
    const calls = openCalls({ send: () => {}, onSilence: () => {}, onCount: () => {} });
    const waiting = [calls.add(verbs[0]!, [], patient), calls.add(verbs[1]!, [], patient)].map((call) =>
      call.then(
        () => settled.push('answered'),
        (error: unknown) => settled.push(error),
      ),
    );
    const read = readLines(input, (text) => {
      const parsed = parseReply(text);
      if (parsed !== undefined) calls.deliver(parsed);
    });
    input.end(`${lines.join('\n')}\n`);
    await read;
    calls.failAll('the child is gone');
    await Promise.all(waiting);
    expect(settled).toHaveLength(2);
    for (const outcome of settled) expect(outcome === 'answered' || outcome instanceof Error).toBe(true);
  },
);

holds(
  'a line of the child that never ends is not kept for ever',
  fc.integer({ min: 70, max: 100 }),
  async (chunks) => {
    const input = new PassThrough();
    const read = readLines(input, () => {});
    for (let sent = 0; sent < chunks && !input.destroyed; sent++) {
      input.write('x'.repeat(65_536));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await read;
    expect(input.destroyed).toBe(true);
  },
  { runs: 3 },
);
