/** The least-privilege IAM policy of whoever looks after a fleet: a person or a Lambda function, not a node. Pure. */

import type { Place, Policy, Statement } from './policy.ts';

/** How far an action reaches, from narrow to wide. */
export type FleetReach =
  | 'cluster'
  | 'service'
  /** Of the cluster; their ARNs are not known beforehand. */
  | 'container-instances'
  /** The Auto Scaling groups: IAM knows no narrower resource. */
  | 'groups'
  /** Any instance, but only the tags that a sweep sets and removes. */
  | 'own-tags'
  /** Any instance of a group, but only its termination protection, which may be cleared and not set. */
  | 'protection'
  | 'stacks'
  /** IAM knows no resource for it; it reads only. */
  | 'everything';

export interface FleetPermission {
  action: string;
  feature: string;
  reach: FleetReach;
  /** Needed only where something may be changed. */
  acts?: true;
}

/** `*` where one does not know. */
export interface FleetSubject {
  cluster: string;
  service: string;
  /** Auto Scaling group; any where it is absent. */
  group?: string | undefined;
  /** Whether it may change something. */
  apply: boolean;
}

type At = Pick<Place, 'partition' | 'region' | 'account'>;

type Limit = Pick<Statement, 'Resource' | 'Condition'>;

const limits: Record<FleetReach, (subject: FleetSubject, place: At) => Limit> = {
  cluster: ({ cluster }, place) => ({ Resource: arn(place, 'ecs', `cluster/${cluster}`) }),
  service: ({ cluster, service }, place) => ({ Resource: arn(place, 'ecs', `service/${cluster}/${service}`) }),
  'container-instances': ({ cluster }, place) => ({ Resource: arn(place, 'ecs', `container-instance/${cluster}/*`) }),
  groups: ({ group = '*' }, place) => ({
    Resource: arn(place, 'autoscaling', `autoScalingGroup:*:autoScalingGroupName/${group}`),
  }),
  'own-tags': (_, place) => ({
    Resource: arn(place, 'ec2', 'instance/*'),
    // "For all of none" is true, and a request to delete tags that names none deletes every one.
    Condition: {
      'ForAllValues:StringEquals': { 'aws:TagKeys': ['Name', 'ecs-node:missing-since'] },
      Null: { 'aws:TagKeys': 'false' },
    },
  }),
  protection: ({ group = '*' }, place) => ({
    Resource: arn(place, 'ec2', 'instance/*'),
    Condition: {
      StringEqualsIgnoreCase: { 'ec2:Attribute/DisableApiTermination': 'false' },
      // Also with a star: the tag must be there, and only a group sets it.
      StringLike: { 'aws:ResourceTag/aws:autoscaling:groupName': group },
    },
  }),
  // The endpoint of a stack may be in another region than its instances.
  stacks: (_, place) => ({ Resource: arn({ ...place, region: '*' }, 'opsworks', 'stack/*/') }),
  everything: () => ({ Resource: '*' }),
};

const sids: Record<FleetReach, string> = {
  cluster: 'OnTheCluster',
  service: 'OnTheService',
  'container-instances': 'OnContainerInstancesOfTheCluster',
  groups: 'OnGroupsSinceIamKnowsNoInstanceThere',
  'own-tags': 'OnNoOtherTags',
  protection: 'OnlyToClearTerminationProtection',
  stacks: 'OnOpsWorksStacks',
  everything: 'ReadOnlySinceIamKnowsNoResourceThere',
};

const words: Record<FleetReach, string> = {
  cluster: 'the cluster',
  service: 'the service',
  'container-instances': 'container instances of the cluster: their ARNs are not known beforehand',
  groups: "any instance of a group: IAM's narrowest resource there is the group",
  'own-tags': 'any instance, and no other tags than Name and ecs-node:missing-since',
  protection: 'any instance of a group, and only to clear it',
  stacks: 'OpsWorks stacks',
  everything: 'everything, read only: IAM knows no resource for it',
};

export function fleetPolicy(permissions: readonly FleetPermission[], subject: FleetSubject, place: At): Policy {
  const needed = permissions.filter(({ acts }) => acts !== true || subject.apply);
  const reaches = [...new Set(needed.map(({ reach }) => reach))];
  const statementOf = (reach: FleetReach): Statement => ({
    Sid: sids[reach],
    Effect: 'Allow',
    Action: needed.filter((permission) => permission.reach === reach).map(({ action }) => action),
    ...limits[reach](subject, place),
  });
  return { Version: '2012-10-17', Statement: reaches.map(statementOf) };
}

/** One line for each action: what for, how far it reaches, and whether only `--apply` needs it. */
export function explainFleetPolicy(permissions: readonly FleetPermission[]): string[] {
  const width = Math.max(...permissions.map(({ action }) => action.length));
  return permissions.map(
    ({ action, feature, reach, acts }) =>
      `${action.padEnd(width)}  ${feature}; ${words[reach]}${acts === true ? '; only with --apply' : ''}`,
  );
}

function arn({ partition, region, account }: At, service: string, resource: string): string {
  return `arn:${partition}:${service}:${region}:${account}:${resource}`;
}
