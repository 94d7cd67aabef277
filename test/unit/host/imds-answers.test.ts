import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import {
  parseIdentity,
  parseMaintenance,
  parseRebalanceNotice,
  parseInstant,
  parseSpotNotice,
  parseTargetState,
} from '../../../host/metadata/imds-answers.ts';

const document = {
  accountId: '123456789012',
  architecture: 'arm64',
  availabilityZone: 'us-east-1a',
  billingProducts: null,
  imageId: 'ami-0abcdef1234567890',
  instanceId: 'i-0abcdef1234567890',
  instanceType: 'm7g.large',
  pendingTime: '2024-01-01T00:00:00Z',
  privateIp: '10.0.0.7',
  region: 'us-east-1',
  version: '2017-09-30',
};
const nothing = { partition: undefined, hostname: undefined, role: undefined, purchase: undefined };

test('reads an instance from its identity document and the keys beside it', () => {
  const beside = {
    partition: 'aws',
    hostname: 'ip-10-0-0-7.ec2.internal corp.example',
    role: 'ecs-node-role',
    purchase: 'spot',
  };
  expect(parseIdentity(JSON.stringify(document), beside)).toEqual({
    instanceId: 'i-0abcdef1234567890',
    accountId: '123456789012',
    region: 'us-east-1',
    partition: 'aws',
    zone: 'us-east-1a',
    instanceType: 'm7g.large',
    imageId: 'ami-0abcdef1234567890',
    architecture: 'arm64',
    privateIp: '10.0.0.7',
    hostname: 'ip-10-0-0-7',
    role: 'ecs-node-role',
    purchase: 'spot',
  });
});

test('completes a sparse service from certain facts', () => {
  const china = parseIdentity(JSON.stringify({ ...document, region: 'cn-north-1' }), nothing);
  expect(china).toMatchObject({ partition: 'aws-cn', hostname: 'ip-10-0-0-7' });
  expect(china).not.toHaveProperty('role');
  const government = parseIdentity(JSON.stringify({ ...document, region: 'us-gov-west-1' }), nothing);
  expect(government.partition).toBe('aws-us-gov');
});

test('names every missing or malformed field of an identity document', () => {
  const { region: _, ...rest } = document;
  const strange = JSON.stringify({ ...rest, instanceId: 'web-1', architecture: 'i386' });
  expect(() => parseIdentity(strange, nothing)).toThrow(
    'identity document: region is missing, instanceId is "web-1", architecture is "i386"',
  );
});

test('fields that are only reported do not hide the identity', () => {
  const odd = { ...document, availabilityZone: null, instanceType: 'U7i_Metal.48XL', imageId: 'web\nami' };
  const expected = { instanceId: document.instanceId, zone: '', instanceType: 'U7i_Metal.48XL', imageId: '' };
  expect(parseIdentity(JSON.stringify(odd), nothing)).toMatchObject(expected);
  const ipv6 = '2600:1f18::5\n2600:1f18::6\n';
  expect(parseIdentity(JSON.stringify({ ...document, privateIp: null }), { ...nothing, ipv6 }).privateIp).toBe(
    '2600:1f18::5',
  );
});

test.each(['terminate', 'stop', 'hibernate'] as const)('reads a spot notice to %s', (action) => {
  const text = JSON.stringify({ action, time: '2030-01-01T00:02:00Z' });
  expect(parseSpotNotice(text)).toEqual({ action, at: Date.UTC(2030, 0, 1, 0, 2) });
});

test.each([
  '{}',
  '[]',
  'null',
  '{"action":"explode","time":"2030-01-01T00:02:00Z"}',
  '{"action":["stop"],"time":"2030-01-01T00:02:00Z"}',
])('rejects the spot notice %s', (text) => {
  expect(() => parseSpotNotice(text)).toThrow(Unavailable);
});

test.each(['{"action":"terminate"}', '{"action":"Terminate","time":"2030-01-01T00:02Z"}', '{"action":"TERMINATE "}'])(
  'obeys the spot notice %s, whose spelling or time is odd',
  (text) => {
    expect(parseSpotNotice(text)).toEqual({ action: 'terminate' });
  },
);

test('keeps a rebalance notice as AWS wrote it, because it is the key of the event', () => {
  expect(parseRebalanceNotice('{"noticeTime":"2030-01-01T00:02:00Z"}')).toBe('2030-01-01T00:02:00Z');
  expect(() => parseRebalanceNotice('{"noticeTime":""}')).toThrow(Unavailable);
});

test('reads maintenance with the dates that AWS writes', () => {
  const event = {
    Code: 'system-reboot',
    Description: 'scheduled reboot',
    EventId: 'instance-event-0d59937288b749b32',
    NotAfter: '21 Jan 2019 09:17:23 GMT',
    NotBefore: '21 Jan 2019 09:00:43 GMT',
    State: 'active',
  };
  expect(parseMaintenance(JSON.stringify([event]))).toEqual([
    {
      id: 'instance-event-0d59937288b749b32',
      code: 'system-reboot',
      state: 'active',
      notBefore: Date.UTC(2019, 0, 21, 9, 0, 43),
      notAfter: Date.UTC(2019, 0, 21, 9, 17, 23),
      description: 'scheduled reboot',
    },
  ]);
});

test.each([undefined, '[]', ''])('%j means no maintenance', (text) => {
  expect(parseMaintenance(text)).toEqual([]);
});

test('an event without a date counts, and one in an unknown state is only reported', () => {
  const event = { EventId: 'e', Code: 'instance-retirement', Description: 'x', NotBefore: '' };
  expect(parseMaintenance(JSON.stringify([{ ...event, State: 'active' }]))).toEqual([
    { id: 'e', code: 'instance-retirement', state: 'active', description: 'x' },
  ]);
  for (const state of [{ State: 'postponed' }, {}]) {
    expect(parseMaintenance(JSON.stringify([{ ...event, ...state }]))).toMatchObject([{ id: 'e', state: 'unknown' }]);
  }
  const odd = { ...event, State: 'active', NotAfter: 'later' };
  expect(parseMaintenance(JSON.stringify([odd]))).toMatchObject([{ id: 'e', state: 'active' }]);
});

test('an event with an invalid date does not count as one without', () => {
  const event = { EventId: 'e', Code: 'instance-stop', State: 'active', NotBefore: 'later' };
  expect(() => parseMaintenance(JSON.stringify([event]))).toThrow(/NotBefore is "later"/);
});

test.each(['InService', 'Terminated', 'Warmed:Stopped', 'Something:New'])('passes on the target state %s', (state) => {
  expect(parseTargetState(`${state}\n`)).toBe(state);
});

test('any broken answer means "could not tell" at worst', () => {
  const readers = [
    (text: string) => parseIdentity(text, { partition: text, hostname: text, role: text, purchase: text }),
    parseSpotNotice,
    parseRebalanceNotice,
    parseMaintenance,
    parseTargetState,
  ];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((value) => JSON.stringify([value])),
      ),
      (text) => {
        const thrown = readers.flatMap((read) => failureOf(() => read(text)));
        expect(thrown.filter((error) => !(error instanceof Unavailable))).toEqual([]);
      },
    ),
    { seed: 1 },
  );
});

function failureOf(work: () => unknown): unknown[] {
  try {
    work();
    return [];
  } catch (error) {
    return [error];
  }
}

test.each([
  ['', 'ip-10-0-0-7'],
  ['  \n', 'ip-10-0-0-7'],
  ['ip-10-0-1-5.corp_internal.example', 'ip-10-0-1-5'],
  ['ip-10-0-1-5.a.example ip-10-0-1-5.b.example', 'ip-10-0-1-5'],
  ['my_host.example', 'ip-10-0-0-7'],
  ['-x.example', 'ip-10-0-0-7'],
  ['<html>', 'ip-10-0-0-7'],
  [`${'a'.repeat(64)}.example`, 'ip-10-0-0-7'],
])('local-hostname %j: the host name is %s, without a second call', (hostname, expected) => {
  expect(parseIdentity(JSON.stringify(document), { ...nothing, hostname }).hostname).toBe(expected);
});

test('values of a new format beside the document delay no node', () => {
  const beside = { ...nothing, purchase: 'Capacity_Block/v2', partition: 'AWS?', role: 'no role, but\na page' };
  const identity = parseIdentity(JSON.stringify({ ...document, region: 'us-iso-east-1' }), beside);
  expect(identity).toMatchObject({ purchase: 'Capacity_Block/v2', partition: 'aws-iso' });
  expect(identity).not.toHaveProperty('role');
});

test('a malformed maintenance event does not hide the retirement beside it', () => {
  const retirement = {
    EventId: 'e',
    Code: 'instance-retirement',
    State: 'active',
    NotBefore: '21 Jan 2030 09:00:43 GMT',
  };
  const others = [
    { Code: 'system-reboot' },
    'text',
    null,
    { EventId: 'f', State: 'active' },
    { ...retirement, NotBefore: 'soon 1' },
  ];
  const events = parseMaintenance(JSON.stringify([...others, retirement]));
  const active = events.filter(({ state }) => state === 'active');
  expect(active.map(({ id, code }) => [id, code])).toEqual([['e', 'instance-retirement']]);
  expect(events.map(({ description }) => description).join()).toContain('NotBefore is "soon 1"');
  expect(() => parseMaintenance(JSON.stringify([{ EventId: 'f', State: 'active' }]))).toThrow(Unavailable);
});

test('a maintenance event without an id counts, identified by its code and date', () => {
  const event = { Code: 'instance-stop', State: 'Active', NotBefore: '2030-01-21T09:00:43Z' };
  expect(parseMaintenance(JSON.stringify([event]))).toMatchObject([
    { id: 'instance-stop 2030-01-21T09:00:43Z', state: 'active', notBefore: Date.UTC(2030, 0, 21, 9, 0, 43) },
  ]);
});

test.each([
  'soon 1',
  '1',
  '2030',
  '2030-01-01',
  '2030-02-31T00:00:00Z',
  '31 Feb 2030 00:00:00 GMT',
  '2030-01-01T25:00:00Z',
  '2030-01-01T00:02:00',
  '1 Foo 2030 00:00:00 GMT',
  'Tomorrow 12:00:00 GMT',
])('the date %j, which EC2 never writes, counts as no date', (date) => {
  expect(parseSpotNotice(JSON.stringify({ action: 'terminate', time: date }))).toEqual({ action: 'terminate' });
  const event = { EventId: 'e', Code: 'instance-reboot', State: 'active', NotBefore: date };
  expect(() => parseMaintenance(JSON.stringify([event]))).toThrow(/NotBefore is/);
  expect(() => parseRebalanceNotice(JSON.stringify({ noticeTime: date }))).toThrow(Unavailable);
});

test.each([
  ['Tue, 01 Dec 2026 05:30:00 GMT', Date.UTC(2026, 11, 1, 5, 30)],
  ['soon 1', undefined],
  ['2026', undefined],
  ['', undefined],
])('the header "Date: %s" tells the time %s', (header, at) => {
  expect(parseInstant(header)).toBe(at);
});
