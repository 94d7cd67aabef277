/** What the instance metadata service says, turned into our words. Everything that makes no sense is `Unavailable`, naming the field. */

import { Unavailable } from '../core/errors.ts';
import type { MaintenanceEvent, SpotNotice } from '../core/host.ts';
import { partitionOf, type Identity } from '../core/identity.ts';
import { isObject } from '../core/shape.ts';

/** What the identity document leaves out; undefined where the service has nothing. */
export interface Beside {
  /** Read only where the document names no address by IPv4. */
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

/** Every field that is missing or strange is named at once. */
export function parseIdentity(document: string, beside: Beside): Identity {
  const fields = parseObject(document, 'identity document');
  if (beside.ipv6 !== undefined) fields['privateIp'] = beside.ipv6.trim();
  const faults: string[] = [];
  const take = (key: string, pattern: RegExp): string => {
    const value = fields[key];
    if (typeof value === 'string' && pattern.test(value)) return value;
    faults.push(value === undefined || value === null ? `${key} is missing` : `${key} is ${show(value)}`);
    return '';
  };
  const region = take('region', /^[a-z]{2,}(-[a-z]+)+-\d+$/);
  const privateIp = take('privateIp', /^[0-9a-f.:]{3,45}$/i);
  // Several names, separated by spaces, where the VPC's DHCP options list several domains.
  const hostname = word(beside.hostname?.trim().split(/\s/)[0], 'local-hostname', /^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$/);
  const role = word(beside.role?.split('\n')[0], 'iam/security-credentials', /^[\w+=,.@-]{1,128}$/);
  const purchase = word(beside.purchase, 'instance-life-cycle', /^[a-z-]{1,32}$/);
  const identity: Identity = {
    instanceId: take('instanceId', /^i-([0-9a-f]{8}|[0-9a-f]{17})$/),
    accountId: take('accountId', /^\d{12}$/),
    region,
    partition: word(beside.partition, 'services/partition', /^aws[a-z-]{0,20}$/) ?? partitionOf(region),
    zone: take('availabilityZone', /^[a-z0-9-]{3,64}$/),
    instanceType: take('instanceType', /^[a-z0-9.-]{3,64}$/),
    imageId: take('imageId', /^ami-[0-9a-f]{8,17}$/),
    architecture: take('architecture', /^(x86_64|arm64)$/) === 'arm64' ? 'arm64' : 'x86_64',
    privateIp,
    hostname: hostname?.split('.')[0] ?? `ip-${privateIp.replaceAll(/[.:]/g, '-')}`,
    ...(role !== undefined && { role }),
    ...(purchase !== undefined && { purchase }),
  };
  if (faults.length > 0) throw nonsense(`identity document: ${faults.join(', ')}`);
  return identity;
}

export function parseSpotNotice(text: string | undefined): SpotNotice | undefined {
  if (text === undefined) return undefined;
  const { action, time } = parseObject(text, 'spot/instance-action');
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (action !== 'terminate' && action !== 'stop' && action !== 'hibernate') {
    throw nonsense(`spot/instance-action: action is ${show(action)}`);
  }
  if (Number.isNaN(at)) throw nonsense(`spot/instance-action: time is ${show(time)}`);
  return { action, at };
}

export function parseRebalanceNotice(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const { noticeTime } = parseObject(text, 'events/recommendations/rebalance');
  if (typeof noticeTime === 'string' && !Number.isNaN(Date.parse(noticeTime))) return noticeTime;
  throw nonsense(`events/recommendations/rebalance: noticeTime is ${show(noticeTime)}`);
}

/** Events in a state that is not known yet are left out: nobody can say what they ask for. */
export function parseMaintenance(text: string | undefined): MaintenanceEvent[] {
  const what = 'events/maintenance/scheduled';
  const list = text === undefined || text.trim() === '' ? [] : parseJson(text, what);
  if (!Array.isArray(list)) throw nonsense(`${what}: not a list`);
  return list.flatMap((entry: unknown) => {
    const event = isObject(entry) ? entry : {};
    const { EventId: id, Code: code, State: state, Description: description, NotBefore: start } = event;
    if (typeof id !== 'string' || typeof code !== 'string') throw nonsense(`${what}: an event without EventId or Code`);
    if (state !== 'active' && state !== 'completed' && state !== 'canceled') return [];
    const notBefore = parseDate(start, `${what}: NotBefore`);
    return [
      {
        id,
        code,
        state,
        description: typeof description === 'string' ? description : '',
        ...(notBefore !== undefined && { notBefore }),
      },
    ];
  });
}

export function parseTargetState(text: string | undefined): string | undefined {
  return word(text, 'autoscaling/target-lifecycle-state', /^[A-Za-z]{1,40}(:[A-Za-z]{1,40})*$/);
}

/** An instance has 50 at most, and those of AWS itself beside them. Each costs a request. */
const maxTags = 100;

/** One key a line, as they are. */
export function parseTagKeys(text: string): string[] {
  const keys = text.split('\n').filter((line) => line !== '');
  if (keys.length > maxTags) throw nonsense(`tags/instance: ${keys.length} of them`);
  return keys;
}

/** `21 Jan 2019 09:00:43 GMT`; absent or empty is fine. */
function parseDate(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw nonsense(`${what} is ${show(value)}`);
  return at;
}

/** A plain one-word answer; undefined where there is none. */
function word(text: string | undefined, what: string, pattern: RegExp): string | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  if (!pattern.test(trimmed)) throw nonsense(`${what} is ${show(trimmed)}`);
  return trimmed;
}

function parseObject(text: string, what: string): Record<string, unknown> {
  const value = parseJson(text, what);
  if (!isObject(value)) throw nonsense(`${what}: not an object`);
  return value;
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw nonsense(`${what}: not JSON: ${show(text)}`, cause);
  }
}

/** Enough of a value to recognise it; a list or an object may be of any size and depth. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return typeof value === 'object' && value !== null ? 'a list or an object' : String(value);
}

function nonsense(what: string, cause?: unknown): Unavailable {
  return new Unavailable(`instance metadata: ${what}`, { cause });
}
