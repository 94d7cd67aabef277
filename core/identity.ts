/** Who this node is, as the instance metadata service tells it. */

export type Architecture = 'x86_64' | 'arm64';

/** The facts about an instance that never change while it lives. */
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
  /** Of the instance profile; absent where the instance has none. */
  role?: string;
  /** `spot`, `on-demand` …; absent where the metadata service does not say. */
  purchase?: string;
}

/** The ARN of an instance, as IAM policies and ECS name it. */
export function instanceArn(identity: Identity): string {
  return `arn:${identity.partition}:ec2:${identity.region}:${identity.accountId}:instance/${identity.instanceId}`;
}

/** The partition of a region, for callers that cannot ask the metadata service or that get no answer from it. */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
