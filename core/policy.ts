/** The least-privilege IAM policy of a node. Pure. */

import type { Config } from './config.ts';
import { parseSource } from './configuration-source.ts';
import { parseOpsWorksId } from './opsworks-id.ts';
import { permissionsFor, type Permission, type Reach } from './permissions.ts';
import { shortDefinition } from './task-definition.ts';

/** Where the node is, as far as one knows; `*` where one does not. */
export interface Place {
  partition: string;
  region: string;
  account: string;
  /** Of the Auto Scaling group. */
  group: string;
}

export interface Statement {
  Sid: string;
  Effect: 'Allow';
  Action: string[];
  Resource: string | string[];
  Condition?: Record<string, Record<string, string | string[]>>;
}

export interface Policy {
  Version: '2012-10-17';
  Statement: Statement[];
}

/** The ARN of the resource is compared with that of the instance which the credentials were given to. */
const onlySelf = { 'aws:ARN': '${ec2:SourceInstanceARN}' };

type Limit = Pick<Statement, 'Resource' | 'Condition'>;

const limits: Record<Reach, (config: Config, place: Place) => Limit> = {
  self: (_, place) => ({ Resource: instances(place), Condition: { StringEquals: onlySelf } }),
  'self-protection': (_, place) => ({
    Resource: instances(place),
    Condition: {
      StringEquals: onlySelf,
      // It may be cleared, not set; and no other attribute.
      StringEqualsIgnoreCase: { 'ec2:Attribute/DisableApiTermination': 'false' },
    },
  }),
  group: (_, { partition, region, account, group }) => ({
    Resource: `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${group}`,
  }),
  cluster: ({ cluster }, place) => ({ Resource: ecs(place, `cluster/${cluster}`) }),
  'container-instances': ({ cluster }, place) => ({ Resource: ecs(place, `container-instance/${cluster}/*`) }),
  tasks: ({ cluster }, place) => ({ Resource: ecs(place, `task/${cluster}/*`) }),
  'task-definitions': ({ cluster, daemonTasks: { definitions = [] } }, place) => ({
    Resource: definitions.map((name) => ecs(place, `task-definition/${withRevision(name)}`)),
    Condition: { ArnLike: { 'ecs:cluster': ecs(place, `cluster/${cluster}`) } },
  }),
  services: ({ cluster }, place) => ({ Resource: ecs(place, `service/${cluster}/*`) }),
  'any-of-cluster': ({ cluster }, place) => ({
    Resource: '*',
    Condition: { ArnLike: { 'ecs:cluster': ecs(place, `cluster/${cluster}`) } },
  }),
  'target-groups': ({ leave }) => ({ Resource: [...leave.targetGroups] }),
  'load-balancers': ({ leave }, { partition, region, account }) => ({
    Resource: leave.loadBalancers.map(
      (name) => `arn:${partition}:elasticloadbalancing:${region}:${account}:loadbalancer/${name}`,
    ),
  }),
  namespace: ({ metrics }) => ({
    Resource: '*',
    Condition: { StringEquals: { 'cloudwatch:namespace': metrics.namespace } },
  }),
  'parameter-path': (config, place) => ({ Resource: parameterArn(config, place) }),
  parameters: (config, place) => ({ Resource: `${parameterArn(config, place)}/*` }),
  bucket: ({ refresh }, { partition }) => {
    const { bucket, prefix } = parseBucket(refresh.source);
    return { Resource: `arn:${partition}:s3:::${bucket}`, Condition: { StringEquals: { 's3:prefix': prefix } } };
  },
  objects: ({ refresh }, { partition }) => {
    const { bucket, prefix } = parseBucket(refresh.source);
    return { Resource: `arn:${partition}:s3:::${bucket}/${prefix}*` };
  },
  stack: (config, place) => ({ Resource: stackArn(config, place) }),
  stacks: (config, place) => ({ Resource: isById(config) ? stackArn(config, place) : '*' }),
  everything: () => ({ Resource: '*' }),
};

/** Statements by reach: their Sid says how far they go. */
const sids: Record<Reach, string> = {
  self: 'OnThisInstanceOnly',
  'self-protection': 'TerminationProtectionOfThisInstanceOnly',
  group: 'OnTheGroupSinceIamKnowsNoInstanceThere',
  cluster: 'OnTheCluster',
  'container-instances': 'OnContainerInstancesOfTheCluster',
  tasks: 'OnTasksOfTheCluster',
  'task-definitions': 'StartingTheConfiguredTasksInTheCluster',
  services: 'OnServicesOfTheCluster',
  'any-of-cluster': 'ListsOfTheCluster',
  'target-groups': 'OnTheConfiguredTargetGroups',
  'load-balancers': 'OnTheConfiguredLoadBalancers',
  namespace: 'MetricsInOneNamespace',
  'parameter-path': 'ReadingTheConfiguredParameterPath',
  parameters: 'ReadingTheConfiguredParameters',
  bucket: 'ListingTheConfiguredPrefix',
  objects: 'ReadingTheConfiguredObjects',
  stack: 'OnTheOpsWorksStack',
  stacks: 'FindingTheOpsWorksStack',
  everything: 'ReadOnlySinceIamKnowsNoResourceThere',
};

export function policyFor(config: Config, place: Place): Policy {
  const needed = permissionsFor(config);
  const reaches = [...new Set(needed.map(({ reach }) => reach))];
  return {
    Version: '2012-10-17',
    Statement: reaches.map((reach) => ({
      Sid: sids[reach],
      Effect: 'Allow',
      Action: needed.filter((permission) => permission.reach === reach).map(({ action }) => action),
      ...limits[reach](config, place),
    })),
  };
}

/** One line for each action: what for, and how far it reaches. */
export function explainPolicy(config: Config): string[] {
  const needed = permissionsFor(config);
  const width = Math.max(...needed.map(({ action }) => action.length));
  return needed.map(
    (permission) => `${permission.action.padEnd(width)}  ${permission.feature}; ${extent(permission, config)}`,
  );
}

function extent({ reach, by }: Permission, config: Config): string {
  const { cluster, metrics } = config;
  const words: Record<Reach, string> = {
    self: 'this instance only',
    'self-protection': 'this instance only, and only to clear it',
    group: "any instance of the group: IAM's narrowest resource there is the group",
    cluster: `cluster ${cluster}`,
    'container-instances': `container instances of ${cluster}: their ARNs are not known beforehand`,
    tasks: `tasks of ${cluster}`,
    'task-definitions': `those in daemonTasks.definitions, in ${cluster}; where they have roles, iam:PassRole on these beside it`,
    services: `services of ${cluster}`,
    'any-of-cluster': `cluster ${cluster}`,
    'target-groups': 'the target groups in leave.targetGroups',
    'load-balancers': 'the load balancers in leave.loadBalancers',
    namespace: `namespace ${metrics.namespace}`,
    'parameter-path': 'the path in refresh.source',
    parameters:
      "what is below the path in refresh.source; a key of KMS that is not AWS's own needs kms:Decrypt beside it",
    bucket: 'the bucket in refresh.source, and there the prefix',
    objects: 'what is below the prefix in refresh.source',
    stack: isById(config) ? 'the stack' : 'any stack: opsworks.stack is a name, and only an id makes an ARN',
    stacks: isById(config) ? 'the stack' : 'everything, read only: a stack is found by name by listing all',
    everything: 'everything, read only: IAM knows no resource for it',
  };
  return words[reach] + (by === 'installer' ? " (called by OpsWorks' installer)" : '');
}

function instances({ partition, region, account }: Place): string {
  return `arn:${partition}:ec2:${region}:${account}:instance/*`;
}

function ecs({ partition, region, account }: Place, what: string): string {
  return `arn:${partition}:ecs:${region}:${account}:${what}`;
}

/** A family stands for its newest revision, whichever that is. */
function withRevision(name: string): string {
  const short = shortDefinition(name);
  return short.includes(':') ? short : `${short}:*`;
}

function parameterArn({ refresh }: Config, { partition, region, account }: Place): string {
  const source = parseSource(refresh.source ?? '');
  return `arn:${partition}:ssm:${region}:${account}:parameter${source?.kind === 'ssm' ? source.path : '/*'}`;
}

function parseBucket(text = ''): { bucket: string; prefix: string } {
  const source = parseSource(text);
  return source?.kind === 's3' ? source : { bucket: '*', prefix: '' };
}

function isById({ opsworks }: Config): boolean {
  return parseOpsWorksId(opsworks.stack) !== undefined;
}

function stackArn({ opsworks }: Config, { partition, region, account }: Place): string {
  const id = parseOpsWorksId(opsworks.stack) ?? '*';
  return `arn:${partition}:opsworks:${opsworks.region ?? region}:${account}:stack/${id}/`;
}
