/** EC2's API for describing instances and tags: filters, pages, and the form of the answers. */

import { Refusal } from '../refusal.ts';
import { findInstance } from '../world/instances.ts';
import type { Instance, World } from '../world/state.ts';
import { takePage } from './pages.ts';
import type { CallContext } from './service.ts';

interface Filter {
  Name: string;
  Value: string[] | undefined;
}

interface Paged {
  Filter: Filter[] | undefined;
  MaxResults: number | undefined;
  NextToken: string | undefined;
}

/** EC2 accepts this many values per filter. */
const valuesPerFilter = 200;

const codes = { pending: 0, running: 16, 'shutting-down': 32, terminated: 48, stopping: 64, stopped: 80 };

export const stateOf = (name: Instance['state']) => ({ code: codes[name], name });

const badToken = () => new Refusal('InvalidNextToken', 'The token is invalid.');

export function describeInstances(
  { InstanceId, Filter = [], MaxResults, NextToken }: Paged & { InstanceId: string[] | undefined },
  { world }: CallContext,
): object {
  if (InstanceId && MaxResults !== undefined) {
    const message = 'The parameter instancesSet cannot be used with the parameter maxResults';
    throw new Refusal('InvalidParameterCombination', message);
  }
  for (const { Name, Value = [] } of Filter) {
    if (Value.length <= valuesPerFilter) continue;
    throw new Refusal(
      'FilterLimitExceeded',
      `The maximum number of filter values specified on a single call is ${valuesPerFilter} (${Name})`,
    );
  }
  const chosen = InstanceId ? InstanceId.map((id) => findInstance(world, id)) : candidates(world, Filter);
  const found = chosen.filter((instance) => Filter.every((filter) => matches(instance, filter)));
  const { page, next } = takePage(found, MaxResults ?? 1000, NextToken, badToken);
  return { reservationSet: page.map((instance) => reservation(world, instance)), nextToken: next };
}

/** Narrows by id first, so that a filter by id does not read every instance. */
function candidates(world: World, filters: readonly Filter[]): Instance[] {
  const byId = filters.find(({ Name }) => Name === 'instance-id')?.Value;
  if (!byId || byId.some((id) => /[*?]/.test(id))) return [...world.instances.values()];
  return byId.flatMap((id) => world.instances.get(id) ?? []);
}

function matches(instance: Instance, { Name, Value = [] }: Filter): boolean {
  const values = valuesOf(instance, Name);
  return values.some((value) => Value.some((pattern) => like(value, pattern)));
}

function valuesOf(instance: Instance, name: string): string[] {
  if (name.startsWith('tag:')) {
    const value = instance.tags.get(name.slice(4));
    return value === undefined ? [] : [value];
  }
  switch (name) {
    case 'instance-id':
      return [instance.id];
    case 'tag-key':
      return [...instance.tags.keys()];
    case 'instance-state-name':
      return [instance.state];
    case 'instance-lifecycle':
      return instance.purchase === 'spot' ? ['spot'] : [];
    case 'availability-zone':
      return [instance.zone];
    case 'private-ip-address':
      return [instance.privateIp];
    default:
      throw new Refusal('InvalidParameterValue', `The filter '${name}' is invalid`);
  }
}

/** Matches `*` and `?` as EC2's filters do. */
function like(value: string, pattern: string): boolean {
  if (!/[*?]/.test(pattern)) return value === pattern;
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(value);
}

function reservation(world: World, instance: Instance): object {
  const id = `r-${instance.id.slice(2)}`;
  return { reservationId: id, ownerId: world.accountId, groupSet: [], instancesSet: [describe(world, instance)] };
}

function describe(world: World, instance: Instance): object {
  const { id, imageId, type, privateIp, zone, purchase, role, reason } = instance;
  const profile = role && {
    arn: `arn:aws:iam::${world.accountId}:instance-profile/${role}`,
    id: 'AIPASIMULATOR00000000',
  };
  return {
    instanceId: id,
    imageId,
    instanceState: stateOf(instance.state),
    privateDnsName: dnsName(instance, world.region),
    dnsName: '',
    reason,
    amiLaunchIndex: 0,
    instanceType: type,
    launchTime: new Date(instance.launchedAt),
    placement: { availabilityZone: zone, tenancy: 'default' },
    monitoring: { state: 'disabled' },
    subnetId: 'subnet-0123456789abcdef0',
    vpcId: 'vpc-0123456789abcdef0',
    privateIpAddress: instance.state === 'terminated' ? undefined : privateIp,
    stateReason: reason === '' ? undefined : { code: reason.split(':')[0], message: reason },
    architecture: instance.architecture,
    rootDeviceType: 'ebs',
    rootDeviceName: '/dev/xvda',
    instanceLifecycle: purchase === 'spot' ? 'spot' : undefined,
    iamInstanceProfile: profile,
    tagSet: [...instance.tags].map(([key, value]) => ({ key, value })),
    metadataOptions: {
      state: 'applied',
      httpTokens: 'required',
      httpPutResponseHopLimit: 1,
      httpEndpoint: 'enabled',
      instanceMetadataTags: instance.metadata.tags ? 'enabled' : 'disabled',
    },
  };
}

export const dnsName = ({ privateIp }: Instance, region: string) =>
  `ip-${privateIp.replaceAll('.', '-')}.${region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`}`;

export function describeTags({ Filter = [], MaxResults, NextToken }: Paged, { world }: CallContext): object {
  const ids = Filter.find(({ Name }) => Name === 'resource-id')?.Value;
  const instances = ids ? ids.flatMap((id) => world.instances.get(id) ?? []) : [...world.instances.values()];
  const all = instances.flatMap(({ id, tags }) =>
    [...tags].map(([key, value]) => ({ resourceId: id, resourceType: 'instance', key, value })),
  );
  const found = all.filter((tag) =>
    Filter.every(({ Name, Value = [] }) => Value.some((v) => like(tagField(tag, Name), v))),
  );
  const { page, next } = takePage(found, MaxResults ?? 1000, NextToken, badToken);
  return { tagSet: page, nextToken: next };
}

function tagField(tag: { resourceId: string; resourceType: string; key: string; value: string }, name: string): string {
  switch (name) {
    case 'resource-id':
      return tag.resourceId;
    case 'resource-type':
      return tag.resourceType;
    case 'key':
      return tag.key;
    case 'value':
      return tag.value;
    default:
      throw new Refusal('InvalidParameterValue', `The filter '${name}' is invalid`);
  }
}
