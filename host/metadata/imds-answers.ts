/**
 * Parses the answers of the instance metadata service. If a necessary answer is malformed, the
 * parser throws `Unavailable` with the field. A field that is only reported is omitted, or kept as
 * it is spelled.
 */

import { Unavailable } from '../../core/errors.ts';
import type { MaintenanceEvent, SpotNotice } from '../../core/host.ts';
import { partitionOf, type Identity } from '../../core/identity.ts';
import { isObject } from '../../core/shape.ts';

/** Facts that the identity document lacks. Undefined when the service has none. */
export interface IdentityDetails {
  /** Read only when the document has no IPv4 address. */
  ipv6?: string | undefined;
  partition: string | undefined;
  hostname: string | undefined;
  role: string | undefined;
  purchase: string | undefined;
}

/** False for an instance in an IPv6-only subnet. */
export function hasPrivateIp(document: string): boolean {
  const { privateIp } = parseObject(document, 'identity document');
  return typeof privateIp === 'string' && privateIp !== '';
}

/** Throws Unavailable that names every necessary field that is missing or malformed. */
export function parseIdentity(document: string, beside: IdentityDetails): Identity {
  const fields = parseObject(document, 'identity document');
  // One address a line. The first is the primary one.
  if (beside.ipv6 !== undefined) fields['privateIp'] = beside.ipv6.trim().split(/\s/)[0];
  const faults: string[] = [];
  const take = (key: string, pattern: RegExp): string => {
    const value = fields[key];
    if (typeof value === 'string' && pattern.test(value)) return value;
    faults.push(value === undefined || value === null ? `${key} is missing` : `${key} is ${show(value)}`);
    return '';
  };
  // Only reported: kept as it is spelled, or left empty. The pattern keeps one line of it.
  const keep = (key: string): string => {
    const value = fields[key];
    return (typeof value === 'string' ? wordOr(value, /^[\w.:-]{1,64}$/) : undefined) ?? '';
  };
  const region = take('region', /^[a-z]{2,}(-[a-z]+)+-\d+$/);
  const privateIp = take('privateIp', /^[0-9a-f.:]{3,45}$/i);
  const role = wordOr(beside.role?.split('\n')[0], /^[\w+=,.@-]{1,128}$/);
  // EC2 adds values: each is kept as it is spelled.
  const purchase = wordOr(beside.purchase, /^[\x21-\x7e]{1,64}$/);
  const identity: Identity = {
    instanceId: take('instanceId', /^i-([0-9a-f]{8}|[0-9a-f]{17})$/),
    accountId: take('accountId', /^\d{12}$/),
    region,
    partition: wordOr(beside.partition, /^aws[a-z-]{0,20}$/) ?? partitionOf(region),
    zone: keep('availabilityZone'),
    instanceType: keep('instanceType'),
    imageId: keep('imageId'),
    architecture: take('architecture', /^(x86_64|arm64)$/) === 'arm64' ? 'arm64' : 'x86_64',
    privateIp,
    hostname: firstLabel(beside.hostname) ?? `ip-${privateIp.replaceAll(/[.:]/g, '-')}`,
    ...(role !== undefined && { role }),
    ...(purchase !== undefined && { purchase }),
  };
  if (faults.length > 0) throw invalidAnswer(`identity document: ${faults.join(', ')}`);
  return identity;
}

/** EC2 takes the instance also when the time is malformed. An unknown action could be harmless. */
export function parseSpotNotice(text: string | undefined): SpotNotice | undefined {
  if (text === undefined) return undefined;
  const { action, time } = parseObject(text, 'spot/instance-action');
  const at = typeof time === 'string' ? parseInstant(time) : undefined;
  const known = typeof action === 'string' ? action.trim().toLowerCase() : undefined;
  if (known !== 'terminate' && known !== 'stop' && known !== 'hibernate') {
    throw invalidAnswer(`spot/instance-action: action is ${show(action)}`);
  }
  return { action: known, ...(at !== undefined && { at }) };
}

export function parseRebalanceNotice(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const { noticeTime } = parseObject(text, 'events/recommendations/rebalance');
  if (typeof noticeTime === 'string' && parseInstant(noticeTime) !== undefined) return noticeTime;
  throw invalidAnswer(`events/recommendations/rebalance: noticeTime is ${show(noticeTime)}`);
}

/**
 * Each event is parsed on its own: a malformed one does not hide the others, and stays in the list
 * to be reported. Throws Unavailable when all are malformed.
 */
export function parseMaintenance(text: string | undefined): MaintenanceEvent[] {
  const what = 'events/maintenance/scheduled';
  const list = text === undefined || text.trim() === '' ? [] : parseJson(text, what);
  if (!Array.isArray(list)) throw invalidAnswer(`${what}: not a list`);
  const events: MaintenanceEvent[] = [];
  const faults: Unavailable[] = [];
  for (const entry of list as unknown[]) {
    try {
      events.push(parseEvent(isObject(entry) ? entry : {}, what));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      faults.push(error);
    }
  }
  if (events.length === 0 && faults.length > 0) throw faults[0]!;
  const malformed = faults.map(({ message }) => ({ id: message, code: 'malformed event', description: message }));
  return [...events, ...malformed.map((event) => ({ ...event, state: 'unknown' as const }))];
}

const states = new Map<string, MaintenanceEvent['state']>([
  ['active', 'active'],
  ['completed', 'completed'],
  ['canceled', 'canceled'],
  ['cancelled', 'canceled'],
]);

function parseEvent(fields: Record<string, unknown>, what: string): MaintenanceEvent {
  const { EventId: id, Code: code, State: stateText, Description: description, NotBefore: start } = fields;
  const notAfter = typeof fields['NotAfter'] === 'string' ? parseInstant(fields['NotAfter']) : undefined;
  if (typeof code !== 'string' || code === '') throw invalidAnswer(`${what}: an event without Code`);
  const state = (typeof stateText === 'string' ? states.get(stateText.toLowerCase()) : undefined) ?? 'unknown';
  const notBefore = parseDate(start, `${what}: NotBefore`);
  return {
    // The id only distinguishes events. Code and date also do that.
    id: typeof id === 'string' && id !== '' ? id : `${code} ${typeof start === 'string' ? start : ''}`.trim(),
    code,
    state,
    description: typeof description === 'string' ? description : '',
    ...(notBefore !== undefined && { notBefore }),
    ...(notAfter !== undefined && { notAfter }),
  };
}

export function parseTargetState(text: string | undefined): string | undefined {
  return word(text, 'autoscaling/target-lifecycle-state', /^[A-Za-z]{1,40}(:[A-Za-z]{1,40})*$/);
}

/** An instance has at most 50, besides those of AWS itself. Each costs a request. */
const maxTags = 100;

/** One key a line, unchanged. */
export function parseTagKeys(text: string): string[] {
  const keys = text.split('\n').filter((line) => line !== '');
  if (keys.length > maxTags) throw invalidAnswer(`tags/instance: ${keys.length} of them`);
  return keys;
}

/** It may be absent or empty: AWS may not know the date yet. */
function parseDate(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const at = typeof value === 'string' ? parseInstant(value) : undefined;
  if (at === undefined) throw invalidAnswer(`${what} is ${show(value)}`);
  return at;
}

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/**
 * Milliseconds since 1970 of `2030-01-01T00:02:00Z` or `21 Jan 2019 09:00:43 GMT`, the two forms
 * that EC2 writes; a `Date` header has the second one. Undefined for everything else: `Date.parse`
 * reads "soon 1" as a day in 2001, and a node would leave at once.
 */
export function parseInstant(text: string): number | undefined {
  const iso = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:Z|\+00:?00)$/.exec(text.trim());
  if (iso !== null) return instant(iso.slice(1, 7).map(Number));
  const words = /^(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:GMT|UTC)$/.exec(
    text.trim(),
  );
  if (words === null) return undefined;
  const [, day, month = '', year, ...time] = words;
  return instant([year, months.indexOf(month) + 1, day, ...time].map(Number));
}

/** Undefined for a day that is not in the calendar, such as 31 February. */
function instant([year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0]: readonly number[]):
  | number
  | undefined {
  const at = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(at);
  const isSameDay = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return isSameDay && hour < 24 && minute < 60 && second < 60 ? at : undefined;
}

/**
 * The label of the first name: with several domains in the VPC's DHCP options there are several
 * names. Undefined when it is no valid label.
 */
function firstLabel(hostnames: string | undefined): string | undefined {
  const label = hostnames?.trim().split(/[\s.]/)[0] ?? '';
  return /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label) ? label : undefined;
}

/** Undefined also for an answer of another form: the node can do without it. */
function wordOr(text: string | undefined, pattern: RegExp): string | undefined {
  const trimmed = text?.trim() ?? '';
  return pattern.test(trimmed) ? trimmed : undefined;
}

/** A plain one-word answer. Undefined when it is absent. */
function word(text: string | undefined, what: string, pattern: RegExp): string | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!pattern.test(trimmed)) throw invalidAnswer(`${what} is ${show(trimmed)}`);
  return trimmed;
}

function parseObject(text: string, what: string): Record<string, unknown> {
  const value = parseJson(text, what);
  if (!isObject(value)) throw invalidAnswer(`${what}: not an object`);
  return value;
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw invalidAnswer(`${what}: not JSON: ${show(text)}`, cause);
  }
}

/** Enough of a value to recognise it. A list or an object may have any size and depth. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return typeof value === 'object' && value !== null ? 'a list or an object' : String(value);
}

function invalidAnswer(what: string, cause?: unknown): Unavailable {
  return new Unavailable(`instance metadata: ${what}`, { cause });
}
