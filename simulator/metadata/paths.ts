/** Renders the metadata service's answer for each path. */

import type { Keyring } from '../iam/keyring.ts';
import { dnsName } from '../services/ec2-describe.ts';
import type { IdentityKeys } from '../services/service.ts';
import type { Instance, MaintenanceEvent, World } from '../world/state.ts';
import { renderDocument } from './identity.ts';

export interface MetadataContext {
  world: World;
  instance: Instance;
  keyring: Keyring;
  keys: IdentityKeys;
}

/** Returns the body for a path below `latest/`; undefined means a 404. */
export function readPath(path: string, context: MetadataContext): string | undefined {
  const { world, instance, keys } = context;
  if (path === 'user-data') return instance.userData;
  if (path === 'dynamic/instance-identity/document') return renderDocument(world, instance);
  if (path === 'dynamic/instance-identity/signature') return keys.sign(renderDocument(world, instance));
  const dynamic = /^dynamic\/?(.*)$/.exec(path)?.[1];
  if (dynamic !== undefined) {
    return listFolder(dynamic, ['instance-identity/document', 'instance-identity/signature']);
  }
  const key = /^meta-data\/?(.*)$/.exec(path)?.[1];
  if (key === undefined) return undefined;
  return (
    readPlain(key, world, instance) ??
    readTag(key, instance) ??
    readRole(key, context) ??
    readNotice(key, instance) ??
    listFolder(key, leavesOf(context))
  );
}

/**
 * Lists a folder for cloud-init, which walks through all of them: the name of a folder ends with a
 * slash.
 */
function listFolder(folder: string, leaves: readonly string[]): string | undefined {
  const prefix = folder === '' ? '' : `${folder.replace(/\/$/, '')}/`;
  const names = leaves
    .filter((leaf) => leaf.startsWith(prefix))
    .map((leaf) => leaf.slice(prefix.length).replace(/\/.*/, '/'));
  return names.length > 0 ? [...new Set(names)].toSorted().join('\n') : undefined;
}

/** Lists the leaves of the meta-data, without the tags, which have a list of their own. */
function leavesOf(context: MetadataContext): string[] {
  const { world, instance } = context;
  const { role } = instance;
  return [
    ...Object.keys(plainValues(world, instance)),
    ...(role === undefined ? [] : ['iam/info', `iam/security-credentials/${role}`]),
    ...notices.filter((key) => readNotice(key, instance) !== undefined),
  ];
}

const mac = ({ index }: Instance) =>
  `0e:00:00:${(index & 0xffffff)
    .toString(16)
    .padStart(6, '0')
    .replace(/(..)(..)(..)/, '$1:$2:$3')}`;

function readPlain(key: string, world: World, instance: Instance): string | undefined {
  return plainValues(world, instance)[key];
}

function plainValues(world: World, instance: Instance): Record<string, string> {
  return {
    'ami-id': instance.imageId,
    'ami-launch-index': '0',
    hostname: dnsName(instance, world.region),
    'instance-action': 'none',
    'instance-id': instance.id,
    'instance-life-cycle': instance.purchase,
    'instance-type': instance.type,
    'local-hostname': dnsName(instance, world.region),
    'local-ipv4': instance.privateIp,
    mac: mac(instance),
    [`network/interfaces/macs/${mac(instance)}/mac`]: mac(instance),
    [`network/interfaces/macs/${mac(instance)}/device-number`]: '0',
    [`network/interfaces/macs/${mac(instance)}/local-ipv4s`]: instance.privateIp,
    // A real ECS agent does not start without these two values.
    [`network/interfaces/macs/${mac(instance)}/subnet-id`]: 'subnet-0123456789abcdef0',
    [`network/interfaces/macs/${mac(instance)}/vpc-id`]: 'vpc-0123456789abcdef0',
    'placement/availability-zone': instance.zone,
    'placement/region': world.region,
    'reservation-id': `r-${instance.id.slice(2)}`,
    'security-groups': 'ecs-nodes',
    'services/domain': 'amazonaws.com',
    'services/partition': 'aws',
  };
}

/** IMDS hides tags whose keys have other characters. */
const allowedKey = /^[0-9A-Za-z\-_+=,.@:]{1,128}$/;

function readTag(key: string, { metadata, tags }: Instance): string | undefined {
  const found = /^tags\/instance(?:\/(.*))?$/.exec(key);
  if (!found || !metadata.tags) return undefined;
  const keys = [...tags.keys()].filter((each) => allowedKey.test(each));
  const [, name = ''] = found;
  if (name === '') return keys.length > 0 ? keys.join('\n') : undefined;
  return keys.includes(name) ? tags.get(name) : undefined;
}

function readRole(key: string, { world, instance, keyring }: MetadataContext): string | undefined {
  const { role } = instance;
  if (role === undefined || !key.startsWith('iam/')) return undefined;
  if (key === 'iam/security-credentials' || key === 'iam/security-credentials/') return role;
  const iso = (at: number) => new Date(at).toISOString().replace(/\.\d+/, '');
  if (key === 'iam/info') {
    return JSON.stringify({
      Code: 'Success',
      LastUpdated: iso(instance.launchedAt),
      InstanceProfileArn: `arn:aws:iam::${world.accountId}:instance-profile/${role}`,
      InstanceProfileId: 'AIPASIMULATOR00000000',
    });
  }
  if (instance.metadata.unassumable && key === `iam/security-credentials/${role}`) {
    return JSON.stringify({
      Code: 'AssumeRoleUnauthorizedAccess',
      Message: `EC2 cannot assume the role ${role}. Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc.`,
      LastUpdated: iso(instance.launchedAt),
    });
  }
  const keys = key === `iam/security-credentials/${role}` ? keyring.keysFor(instance) : undefined;
  if (!keys) return undefined;
  return JSON.stringify({
    Code: 'Success',
    LastUpdated: iso(keys.issuedAt),
    Type: 'AWS-HMAC',
    AccessKeyId: keys.accessKeyId,
    SecretAccessKey: keys.secretAccessKey,
    Token: keys.token,
    Expiration: iso(keys.expiresAt),
  });
}

const notices = [
  'spot/instance-action',
  'spot/termination-time',
  'events/recommendations/rebalance',
  'events/maintenance/scheduled',
  'events/maintenance/history',
  'autoscaling/target-lifecycle-state',
];

function readNotice(key: string, { notices }: Instance): string | undefined {
  const iso = (at: number) => new Date(at).toISOString().replace(/\.\d+/, '');
  const { spot, rebalance, maintenance, targetState } = notices;
  switch (key) {
    case 'spot/instance-action':
      return spot && JSON.stringify({ action: spot.action, time: iso(spot.at) });
    case 'spot/termination-time':
      return spot?.action === 'terminate' ? iso(spot.at) : undefined;
    case 'events/recommendations/rebalance':
      return rebalance === undefined ? undefined : JSON.stringify({ noticeTime: iso(rebalance) });
    case 'events/maintenance/scheduled':
      return JSON.stringify(maintenance.filter(({ state }) => state === 'active').map(renderEvent));
    case 'events/maintenance/history':
      return JSON.stringify(maintenance.filter(({ state }) => state !== 'active').map(renderEvent));
    case 'autoscaling/target-lifecycle-state':
      return targetState;
    default:
      return undefined;
  }
}

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

function renderEvent({ id, code, state, description, notBefore, notAfter }: MaintenanceEvent): object {
  const date = (at: number) => {
    const iso = new Date(at).toISOString();
    return `${Number(iso.slice(8, 10))} ${months[Number(iso.slice(5, 7)) - 1]} ${iso.slice(0, 4)} ${iso.slice(11, 19)} GMT`;
  };
  return {
    NotBefore: date(notBefore),
    Code: code,
    Description: description,
    EventId: id,
    ...(notAfter !== undefined && { NotAfter: date(notAfter) }),
    State: state,
  };
}
