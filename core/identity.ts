/** The identity of this node, from the instance metadata service. */

export type Architecture = 'x86_64' | 'arm64';

/**
 * Facts about an instance, which a process reads at its start. A person may replace the role later,
 * and change the type while the instance is stopped.
 */
export interface Identity {
  /** `i-` and 8 or 17 hexadecimal digits. */
  instanceId: string;
  accountId: string;
  region: string;
  /** `aws`, `aws-cn`, `aws-us-gov` …: the second field of every ARN. */
  partition: string;
  zone: string;
  instanceType: string;
  imageId: string;
  architecture: Architecture;
  privateIp: string;
  /** The instance's own short host name, e.g. `ip-10-0-0-7`. */
  hostname: string;
  /** The role of the instance profile. Absent when the instance has none. */
  role?: string;
  /** `spot`, `on-demand` …. Absent when the metadata service does not say. */
  purchase?: string;
}

/** The ARN of an instance, as IAM policies and ECS write it. */
export function instanceArn(identity: Identity): string {
  return `arn:${identity.partition}:ec2:${identity.region}:${identity.accountId}:instance/${identity.instanceId}`;
}

/** Regions of other partitions, by their prefix. */
const partitions = [
  ['cn-', 'aws-cn'],
  ['us-gov-', 'aws-us-gov'],
  ['us-iso-', 'aws-iso'],
  ['us-isob-', 'aws-iso-b'],
  ['us-isof-', 'aws-iso-f'],
  ['eu-isoe-', 'aws-iso-e'],
  ['eusc-', 'aws-eusc'],
] as const;

/**
 * For metadata services without `services/partition`, and for policies that are not rendered on a
 * node.
 */
export function partitionOf(region: string): string {
  return partitions.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'aws';
}
