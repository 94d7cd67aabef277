/**
 * Least-privilege IAM policies for fleet commands, the ECS agent and Systems Manager's agent. Pure.
 */

import { noteTagPrefix } from '../core/fleet/fleet-notes.ts';
import type { PolicyScope, Policy, Statement } from './policy.ts';

/** The resources that an action covers, from narrow to wide. */
export type FleetReach =
  | 'cluster'
  /** Every cluster of the account and region. */
  | 'clusters'
  | 'service'
  /** Container instances of the cluster: their ARNs are not known in advance. */
  | 'container-instances'
  /** Tags that the ECS agent gives to its container instance when it registers. */
  | 'registration-tags'
  /** The Auto Scaling groups: IAM has no narrower resource. */
  | 'groups'
  /** Instances of the groups. */
  | 'group-instances'
  /** Any instance, but only the tags that a sweep removes. */
  | 'own-tags'
  /** The Auto Scaling groups, but only the tags that a sweep sets and removes. */
  | 'note-tags'
  /** Instances of the groups, and only to clear termination protection. */
  | 'protection'
  | 'stacks'
  /** Image repositories of the region. Another account must also allow the pull. */
  | 'repositories'
  | 'log-groups'
  /** The log group in which the stack keeps the events of the cluster's nodes. */
  | 'event-log'
  /** Instances, documents and associations of Systems Manager. */
  | 'systems-manager'
  /** Actions that IAM has no resource for, in this region. */
  | 'region'
  /** Read-only actions that IAM has no resource for. */
  | 'everything';

export interface FleetPermission {
  action: string;
  feature: string;
  reach: FleetReach;
  /** Needed only with `--apply`. */
  acts?: true;
}

/** A name that is not known is `*`. */
export interface FleetSubject {
  cluster: string;
  /** One service or several. */
  service: string | readonly string[];
  /** Auto Scaling group; absent: any. */
  group?: string | undefined;
  /** True: the command may change something. */
  apply: boolean;
}

type FleetScope = Pick<PolicyScope, 'partition' | 'region' | 'account'>;

type Limit = Pick<Statement, 'Resource' | 'Condition'>;

const limits: Record<FleetReach, (subject: FleetSubject, scope: FleetScope) => Limit> = {
  cluster: ({ cluster }, scope) => ({ Resource: arn(scope, 'ecs', `cluster/${cluster}`) }),
  clusters: (_, scope) => ({ Resource: arn(scope, 'ecs', 'cluster/*') }),
  service: ({ cluster, service }, scope) => {
    const [first = '', ...more] = [service].flat().map((name) => arn(scope, 'ecs', `service/${cluster}/${name}`));
    return { Resource: more.length === 0 ? first : [first, ...more] };
  },
  'container-instances': (subject, scope) => ({ Resource: containerInstances(subject, scope) }),
  'registration-tags': (subject, scope) => ({
    Resource: containerInstances(subject, scope),
    Condition: { StringEquals: { 'ecs:CreateAction': 'RegisterContainerInstance' } },
  }),
  groups: ({ group = '*' }, scope) => ({
    Resource: arn(scope, 'autoscaling', `autoScalingGroup:*:autoScalingGroupName/${group}`),
  }),
  'group-instances': ({ group = '*' }, scope) => ({
    Resource: arn(scope, 'ec2', 'instance/*'),
    // Only Auto Scaling sets this tag. With `*` it must still be there.
    Condition: { StringLike: { 'aws:ResourceTag/aws:autoscaling:groupName': group } },
  }),
  'own-tags': (_, scope) => ({
    Resource: arn(scope, 'ec2', 'instance/*'),
    // ForAllValues is true without tags, and DeleteTags without tags deletes every tag.
    Condition: {
      'ForAllValues:StringEquals': { 'aws:TagKeys': ['Name', 'ecs-node:missing-since'] },
      Null: { 'aws:TagKeys': 'false' },
    },
  }),
  'note-tags': ({ group = '*' }, scope) => ({
    Resource: arn(scope, 'autoscaling', `autoScalingGroup:*:autoScalingGroupName/${group}`),
    Condition: {
      'ForAllValues:StringLike': { 'aws:TagKeys': [`${noteTagPrefix}*`] },
      Null: { 'aws:TagKeys': 'false' },
    },
  }),
  protection: ({ group = '*' }, scope) => ({
    Resource: arn(scope, 'ec2', 'instance/*'),
    Condition: {
      StringEqualsIgnoreCase: { 'ec2:Attribute/DisableApiTermination': 'false' },
      StringLike: { 'aws:ResourceTag/aws:autoscaling:groupName': group },
    },
  }),
  // The endpoint of a stack may be in another region than its instances.
  stacks: (_, scope) => ({ Resource: arn({ ...scope, region: '*' }, 'opsworks', 'stack/*/') }),
  repositories: (_, scope) => ({ Resource: arn({ ...scope, account: '*' }, 'ecr', 'repository/*') }),
  'log-groups': (_, scope) => ({ Resource: arn(scope, 'logs', 'log-group:*') }),
  'event-log': ({ cluster }, scope) => ({ Resource: arn(scope, 'logs', `log-group:/ecs-node/${cluster}/events:*`) }),
  'systems-manager': (_, scope) => ({
    Resource: [
      arn(scope, 'ec2', 'instance/*'),
      // Documents of AWS itself have no account in their ARN.
      arn({ ...scope, account: '*' }, 'ssm', 'document/*'),
      arn(scope, 'ssm', 'association/*'),
    ],
  }),
  region: (_, { region }) => ({
    Resource: '*',
    Condition: { StringLike: { 'aws:RequestedRegion': region } },
  }),
  everything: () => ({ Resource: '*' }),
};

const sids: Record<FleetReach, string> = {
  cluster: 'OnTheCluster',
  clusters: 'ReadOnlyOnClusters',
  service: 'OnTheService',
  'container-instances': 'OnContainerInstancesOfTheCluster',
  'registration-tags': 'TagsAtRegistration',
  groups: 'OnGroupsSinceIamKnowsNoInstanceThere',
  'group-instances': 'OnInstancesOfGroups',
  'own-tags': 'OnNoOtherTags',
  'note-tags': 'OnlyNotesInTagsOfGroups',
  protection: 'OnlyToClearTerminationProtection',
  stacks: 'OnOpsWorksStacks',
  repositories: 'PullingImagesInTheRegion',
  'log-groups': 'WritingLogsInTheRegion',
  'event-log': 'ReadingTheEventsOfTheCluster',
  'systems-manager': 'OnInstancesDocumentsAndAssociations',
  region: 'InTheRegion',
  everything: 'ReadOnlySinceIamKnowsNoResourceThere',
};

const words: Record<FleetReach, string> = {
  cluster: 'the cluster',
  clusters: 'every cluster of the account and region',
  service: 'the service',
  'container-instances': 'container instances of the cluster, because their ARNs are not known in advance',
  'registration-tags': 'container instances of the cluster, only while they register',
  groups: "any instance of a group, because IAM's narrowest resource there is the group",
  'group-instances': 'any instance of a group',
  'own-tags': 'any instance, only the tags Name and ecs-node:missing-since',
  'note-tags': `any group, only tags that begin with ${noteTagPrefix}`,
  protection: 'any instance of a group, and only to clear it',
  stacks: 'OpsWorks stacks',
  repositories: 'any repository of the region whose account allows it',
  'log-groups': 'any log group of the account and region',
  'event-log': 'the log group /ecs-node/CLUSTER/events',
  'systems-manager': 'instances and associations of the account, and documents',
  region: 'the region; IAM has no resource for it',
  everything: 'everything, read only: IAM has no resource for it',
};

export function fleetPolicy(permissions: readonly FleetPermission[], subject: FleetSubject, scope: FleetScope): Policy {
  const needed = permissions.filter(({ acts }) => acts !== true || subject.apply);
  const reaches = [...new Set(needed.map(({ reach }) => reach))];
  const statementOf = (reach: FleetReach): Statement => ({
    Sid: sids[reach],
    Effect: 'Allow',
    Action: needed.filter((permission) => permission.reach === reach).map(({ action }) => action),
    ...limits[reach](subject, scope),
  });
  return { Version: '2012-10-17', Statement: reaches.map(statementOf) };
}

/** One line for each action: its feature, its resources, and whether only `--apply` needs it. */
export function explainFleetPolicy(permissions: readonly FleetPermission[]): string[] {
  const width = Math.max(...permissions.map(({ action }) => action.length));
  return permissions.map(
    ({ action, feature, reach, acts }) =>
      `${action.padEnd(width)}  ${feature}; ${words[reach]}${acts === true ? '; only with --apply' : ''}`,
  );
}

function containerInstances({ cluster }: FleetSubject, scope: FleetScope): string {
  return arn(scope, 'ecs', `container-instance/${cluster}/*`);
}

function arn({ partition, region, account }: FleetScope, service: string, resource: string): string {
  return `arn:${partition}:${service}:${region}:${account}:${resource}`;
}
