/** The least-privilege IAM policy of a node. Pure. */

import type { Config } from '../config/config.ts';
import { parseSource } from '../config/remote/document-location.ts';
import { parseOpsWorksId } from '../core/opsworks/opsworks-id.ts';
import { eventSource } from '../core/events/event-source.ts';
import { permissionsFor, type Permission, type Reach } from './permissions.ts';
import { shortDefinition } from '../core/task-definition.ts';

/** The node's place in AWS, for ARNs. A part that is not known is `*`. */
export interface PolicyScope {
  partition: string;
  region: string;
  account: string;
  /** Auto Scaling group. */
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

type Limit = Pick<Statement, 'Resource' | 'Condition'>;

/**
 * The instance that is acted on must be the instance that the credentials were issued to. IAM
 * documents `ec2:SourceInstanceARN` as a global key and `ec2:InstanceID` for actions on instances.
 */
const onlySelf = ({ partition }: PolicyScope) => ({
  ArnEquals: { 'ec2:SourceInstanceARN': `arn:${partition}:ec2:*:*:instance/\${ec2:InstanceID}` },
});

const limits: Record<Reach, (config: Config, scope: PolicyScope) => Limit> = {
  self: (_, scope) => ({ Resource: instances(scope), Condition: onlySelf(scope) }),
  'self-protection': (_, scope) => ({
    Resource: instances(scope),
    Condition: {
      ...onlySelf(scope),
      // The node may clear the protection but not set it, and may change no other attribute.
      StringEqualsIgnoreCase: { 'ec2:Attribute/DisableApiTermination': 'false' },
    },
  }),
  group: (_, { partition, region, account, group }) => ({
    Resource: `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${group}`,
  }),
  cluster: ({ cluster }, scope) => ({ Resource: ecs(scope, `cluster/${cluster}`) }),
  'capacity-providers': (_, scope) => ({ Resource: ecs(scope, 'capacity-provider/*') }),
  'container-instances': ({ cluster }, scope) => ({ Resource: ecs(scope, `container-instance/${cluster}/*`) }),
  tasks: ({ cluster }, scope) => ({ Resource: ecs(scope, `task/${cluster}/*`) }),
  'task-definitions': ({ cluster, daemonTasks: { definitions = [] } }, scope) => ({
    Resource: definitions.map((name) => ecs(scope, `task-definition/${withRevision(name)}`)),
    Condition: { ArnLike: { 'ecs:cluster': ecs(scope, `cluster/${cluster}`) } },
  }),
  services: ({ cluster }, scope) => ({ Resource: ecs(scope, `service/${cluster}/*`) }),
  'any-of-cluster': ({ cluster }, scope) => ({
    Resource: '*',
    Condition: { ArnLike: { 'ecs:cluster': ecs(scope, `cluster/${cluster}`) } },
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
  bus: ({ events }, scope) => ({
    Resource: busArn(events.bus ?? '*', scope),
    Condition: { StringEquals: { 'events:source': eventSource } },
  }),
  'parameter-path': (config, scope) => ({ Resource: parameterArn(config, scope) }),
  parameters: (config, scope) => ({ Resource: `${parameterArn(config, scope)}/*` }),
  bucket: ({ refresh }, { partition }) => {
    const { bucket, prefix } = parseBucket(refresh.source);
    return { Resource: `arn:${partition}:s3:::${bucket}`, Condition: { StringEquals: { 's3:prefix': prefix } } };
  },
  objects: ({ refresh }, { partition }) => {
    const { bucket, prefix } = parseBucket(refresh.source);
    return { Resource: `arn:${partition}:s3:::${bucket}/${prefix}*` };
  },
  stack: (config, scope) => ({ Resource: stackArn(config, scope) }),
  stacks: (config, scope) => ({ Resource: isById(config) ? stackArn(config, scope) : '*' }),
  everything: () => ({ Resource: '*' }),
};

/** One statement for each reach. The Sid says how far it goes. */
const sids: Record<Reach, string> = {
  self: 'OnThisInstanceOnly',
  'self-protection': 'TerminationProtectionOfThisInstanceOnly',
  group: 'OnTheGroupSinceIamKnowsNoInstanceThere',
  cluster: 'OnTheCluster',
  'capacity-providers': 'ReadingCapacityProviders',
  'container-instances': 'OnContainerInstancesOfTheCluster',
  tasks: 'OnTasksOfTheCluster',
  'task-definitions': 'StartingTheConfiguredTasksInTheCluster',
  services: 'OnServicesOfTheCluster',
  'any-of-cluster': 'ListsOfTheCluster',
  'target-groups': 'OnTheConfiguredTargetGroups',
  'load-balancers': 'OnTheConfiguredLoadBalancers',
  namespace: 'MetricsInOneNamespace',
  bus: 'EventsOfNodes',
  'parameter-path': 'ReadingTheConfiguredParameterPath',
  parameters: 'ReadingTheConfiguredParameters',
  bucket: 'ListingTheConfiguredPrefix',
  objects: 'ReadingTheConfiguredObjects',
  stack: 'OnTheOpsWorksStack',
  stacks: 'FindingTheOpsWorksStack',
  everything: 'ReadOnlySinceIamKnowsNoResourceThere',
};

export function policyFor(config: Config, scope: PolicyScope): Policy {
  const needed = permissionsFor(config);
  const reaches = [...new Set(needed.map(({ reach }) => reach))];
  return {
    Version: '2012-10-17',
    Statement: reaches.map((reach) => ({
      Sid: sids[reach],
      Effect: 'Allow',
      Action: needed.filter((permission) => permission.reach === reach).map(({ action }) => action),
      ...limits[reach](config, scope),
    })),
  };
}

/** One line for each action: the feature that needs it, and the resources that it covers. */
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
    group: "any instance of the group, because IAM's narrowest resource there is the group",
    cluster: `cluster ${cluster}`,
    'capacity-providers': 'any capacity provider, read only: their names are not known in advance',
    'container-instances': `container instances of ${cluster}, because their ARNs are not known in advance`,
    tasks: `tasks of ${cluster}`,
    'task-definitions': `the task definitions in daemonTasks.definitions, in ${cluster}; if they have roles, add iam:PassRole on those roles`,
    services: `services of ${cluster}`,
    'any-of-cluster': `cluster ${cluster}`,
    'target-groups': 'the target groups in leave.targetGroups',
    'load-balancers': 'the load balancers in leave.loadBalancers',
    namespace: `namespace ${metrics.namespace}`,
    bus: `the event bus in events.bus, only with the source ${eventSource}`,
    'parameter-path': 'the path in refresh.source',
    parameters:
      'everything below the path in refresh.source; if your own KMS key encrypts it, add kms:Decrypt on that key',
    bucket: 'the bucket in refresh.source, and only the prefix there',
    objects: 'everything below the prefix in refresh.source',
    stack: isById(config) ? 'the stack' : 'any stack: opsworks.stack is a name, and an ARN needs the id',
    stacks: isById(config) ? 'the stack' : 'everything, read only: finding a stack by name lists all stacks',
    everything: 'everything, read only: IAM has no resource for it',
  };
  return words[reach] + (by === 'installer' ? " (called by OpsWorks' installer)" : '');
}

function instances({ partition, region, account }: PolicyScope): string {
  return `arn:${partition}:ec2:${region}:${account}:instance/*`;
}

function ecs({ partition, region, account }: PolicyScope, resource: string): string {
  return `arn:${partition}:ecs:${region}:${account}:${resource}`;
}

function busArn(bus: string, { partition, region, account }: PolicyScope): string {
  return bus.startsWith('arn:') ? bus : `arn:${partition}:events:${region}:${account}:event-bus/${bus}`;
}

/** A family without a revision stands for its newest revision, so any revision must be allowed. */
function withRevision(name: string): string {
  const short = shortDefinition(name);
  return short.includes(':') ? short : `${short}:*`;
}

function parameterArn({ refresh }: Config, { partition, region, account }: PolicyScope): string {
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

function stackArn({ opsworks }: Config, { partition, region, account }: PolicyScope): string {
  const id = parseOpsWorksId(opsworks.stack) ?? '*';
  return `arn:${partition}:opsworks:${opsworks.region ?? region}:${account}:stack/${id}/`;
}
