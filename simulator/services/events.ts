/**
 * EventBridge's PutEvents with its limits, and CloudWatch Logs' FilterLogEvents. A rule of every
 * cluster keeps the events of its nodes in a log group, as the stack of cloudformation/ does.
 */

import { randomUUID } from 'node:crypto';
import { Refusal } from '../refusal.ts';
import { list, need, record, text, time, whole } from '../wire/shapes.ts';
import type { BusEvent, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { takePage } from './pages.ts';
import { operation, type Service } from './service.ts';

const entry = record({
  Time: time(),
  Source: text(),
  Resources: list(text()),
  DetailType: text(),
  Detail: text(),
  EventBusName: text({ min: 1, max: 1600 }),
  TraceHeader: text({ min: 1, max: 500 }),
});

type Entry = NonNullable<(typeof entry)['type']>;

/** The whole request, and each entry. */
const maxBytes = 256 * 1024;

/** Enough for the checks after a long run. */
const keep = 10_000;

const PutEvents = operation(
  { Entries: need(list(entry, { min: 1, max: 10 })), EndpointId: text() },
  ({ Entries }, { world, caller }) => {
    const total = Entries.reduce((sum, { Detail = '' }) => sum + Buffer.byteLength(Detail), 0);
    if (total > maxBytes)
      throw new Refusal('ValidationException', 'Total size of the entries in the request is over the limit.');
    const answers = Entries.map((each) => putOne(world, each, caller?.id));
    const FailedEntryCount = answers.filter(({ ErrorCode }) => ErrorCode !== undefined).length;
    return { FailedEntryCount, Entries: answers };
  },
  ({ Entries }, { world }) =>
    Entries.map(({ EventBusName = 'default', Source = '', DetailType = '' }) => ({
      resource: busArn(world, EventBusName),
      context: { 'events:source': Source, 'events:detail-type': DetailType },
    })),
);

function busArn({ region, accountId }: World, name: string): string {
  return name.startsWith('arn:') ? name : `arn:aws:events:${region}:${accountId}:event-bus/${name}`;
}

/** EventBridge answers 200 also for an entry that it does not take. */
function putOne(world: World, given: Entry, instanceId: string | undefined): { EventId?: string; ErrorCode?: string } {
  const { Source = '', DetailType = '', Detail = '', EventBusName = 'default', Time, Resources = [] } = given;
  const refuse = (ErrorCode: string, ErrorMessage: string) => ({ ErrorCode, ErrorMessage });
  for (const [name, value] of Object.entries({ Source, DetailType, Detail })) {
    if (value === '')
      return refuse('InvalidArgument', `Parameter ${name} is not valid. Reason: ${name} is a required argument.`);
  }
  if (Source.startsWith('aws.')) return refuse('NotAuthorizedForSourceException', `Not authorized for the source.`);
  const detail = parseDetail(Detail);
  if (detail === undefined) return refuse('MalformedDetail', 'Detail is malformed.');
  const id = randomUUID();
  if (world.events.length > keep) world.events.splice(0, keep / 2);
  world.events.push({
    id,
    at: world.clock.now(),
    bus: busArn(world, EventBusName),
    source: Source,
    type: DetailType,
    time: Time ?? world.clock.now(),
    resources: Resources,
    detail,
    instanceId,
  });
  return { EventId: id };
}

function parseDetail(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

export const eventbridge: Service = {
  id: 'events',
  signingName: 'events',
  iam: 'events',
  protocol: 'json',
  version: 'AWSEvents',
  complain: validationComplaints('ValidationException'),
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations: { PutEvents },
};

const FilterLogEvents = operation(
  {
    logGroupName: need(text({ min: 1, max: 512 })),
    startTime: whole({ min: 0 }),
    endTime: whole({ min: 0 }),
    filterPattern: text({ max: 1024 }),
    nextToken: text({ min: 1 }),
    limit: whole({ min: 1, max: 10_000 }),
  },
  ({ logGroupName, startTime = 0, endTime = Infinity, filterPattern, nextToken, limit = 100 }, { world }) => {
    const [, cluster = ''] = /^\/ecs-node\/(.+)\/events$/.exec(logGroupName) ?? [];
    if (!world.clusters.has(cluster))
      throw new Refusal('ResourceNotFoundException', 'The specified log group does not exist.');
    const matches = parsePattern(filterPattern);
    const found = world.events
      .filter(({ source, detail }) => source === 'ecs-node' && detail['cluster'] === cluster)
      .map((event) => ({ at: event.at, message: renderEnvelope(world, event) }))
      .filter(({ at, message }) => at >= startTime && at <= endTime && matches(JSON.parse(message)));
    const badToken = () => new Refusal('InvalidParameterException', 'The specified nextToken is invalid.');
    const { page, next } = takePage(found, limit, nextToken, badToken);
    const events = page.map(({ at: timestamp, message }) => ({ timestamp, ingestionTime: timestamp, message }));
    return { events, nextToken: next };
  },
);

/** An event as EventBridge hands it to its targets. */
function renderEnvelope({ accountId, region }: World, event: BusEvent): string {
  const { id, source, type, time: at, resources, detail } = event;
  const envelope = { version: '0', id, 'detail-type': type, source, account: accountId };
  return JSON.stringify({ ...envelope, time: new Date(at).toISOString(), region, resources, detail });
}

/** Understands `{ ($.a.b = "x") && … }`, and refuses every other pattern. */
function parsePattern(pattern = ''): (event: unknown) => boolean {
  if (pattern === '') return () => true;
  const inner = /^\{ (.*) \}$/.exec(pattern)?.[1];
  const conditions = inner?.split(' && ').map((each) => /^\(\$\.([\w.-]+) = "([^"]*)"\)$/.exec(each));
  if (conditions === undefined || conditions.some((each) => each === null))
    throw new Refusal('InvalidParameterException', 'Invalid filter pattern');
  return (event) => conditions.every((each) => valueAt(event, each![1]!) === each![2]);
}

function valueAt(event: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], event);
}

export const logs: Service = {
  id: 'logs',
  signingName: 'logs',
  iam: 'logs',
  protocol: 'json',
  version: 'Logs_20140328',
  complain: validationComplaints('InvalidParameterException'),
  throttle: throttled('ThrottlingException', 400),
  deny: denied('AccessDeniedException', 400),
  operations: { FilterLogEvents },
};
