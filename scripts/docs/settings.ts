// Turns the schema into a list of settings, each with the facts that a reader needs.

import { toJSONSchema } from 'zod';
import { atBoot } from '../../config/config-changes.ts';
import type { Config } from '../../config/config.ts';
import { schema } from '../../config/schema.ts';

/** The part of JSON Schema that the configuration uses. */
interface Node {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly string[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  properties?: Readonly<Record<string, Node>>;
  items?: Node;
  anyOf?: readonly Node[];
}

export interface Setting {
  /** The dotted path, as in messages and on the command line. */
  path: string;
  meaning: string;
  /** `text`, `whole number`, `true or false`, `list of texts` … */
  type: string;
  /**
   * Undefined if there is no default: the setting is absent, or its meaning explains the behaviour.
   */
  standard: string | undefined;
  limits: string | undefined;
  /** True if a change takes effect at the next boot; otherwise a running agent applies it. */
  atBoot: boolean;
}

export interface Section {
  name: string;
  meaning: string;
  settings: Setting[];
}

/** The purpose of each top-level section. The compiler requires an entry for a new section. */
const meanings: Record<keyof Config, string> = {
  cluster: 'The cluster that the node joins.',
  name: "The instance's name in the EC2 console.",
  hostname: "The node's hostname in OpsWorks, and in its Name tag.",
  registrar: 'The service with which the node registers, so that its team can log in.',
  tags: 'The settings that tags of the instance may set.',
  ecs: 'Settings for the ECS agent.',
  registration: 'The consequence for the node if its registration fails.',
  opsworks: 'The stack and layer of OpsWorks to which the node belongs, only with `registrar: opsworks`.',
  terminationProtection: 'Whether the node clears its own termination protection.',
  bootstrap: 'The time limits of the first minutes, and the consequence of a failure.',
  stormGuard: 'When nodes of a group fail one after another, they wait instead of terminating.',
  join: 'The conditions under which the node completes its launch hook.',
  autoScaling: 'The lifecycle hooks of the group that the node completes.',
  disk: 'File systems that fill up.',
  spot: 'Spot interruption notices.',
  rebalance: 'Rebalance recommendations for spot instances.',
  maintenance: 'Events that EC2 schedules for the instance.',
  ecsAgent: 'An ECS agent that is dead or disconnected.',
  docker: 'A Docker that does not answer.',
  leave: 'How a node leaves: load balancers, tasks, deadlines.',
  metrics: 'The metrics that the node publishes.',
  events: 'Events for the team, sent to EventBridge. docs/events/ describes each.',
  containerEnvironment: 'Identity and tags for containers, as files.',
  refresh: 'Configuration pulled from Systems Manager or S3.',
  daemonTasks: 'One task of each definition on every node.',
  ports: 'Host ports that containers can read from a file.',
};

export function listSections(): Section[] {
  const root = toJSONSchema(schema, { io: 'input' }) as Node;
  return Object.entries(root.properties ?? {}).map(([name, node]) => ({
    name,
    meaning: meanings[name as keyof Config],
    settings: settingsBelow(name, node),
  }));
}

function settingsBelow(path: string, node: Node): Setting[] {
  if (node.properties !== undefined)
    return Object.entries(node.properties).flatMap(([name, below]) => settingsBelow(`${path}.${name}`, below));
  return [
    {
      path,
      meaning: node.description ?? '',
      type: typeOf(node),
      standard: node.default === undefined ? undefined : textOf(node.default),
      limits: limitsOf(node),
      atBoot: atBoot.some((each) => `${path}.`.startsWith(`${each}.`)),
    },
  ];
}

function typeOf(node: Node): string {
  if (node.enum !== undefined) return node.enum.join(', ').replace(/, ([^,]*)$/, ' or $1');
  switch (node.type) {
    case 'string':
      return 'text';
    case 'integer':
      return 'whole number';
    case 'number':
      return 'number';
    case 'boolean':
      return 'true or false';
    case 'array':
      return node.items?.type === 'string' ? 'list of texts' : 'list of sections';
    case undefined:
    default:
      return 'names and values';
  }
}

function textOf(value: unknown): string {
  return value === '' ? 'empty' : Array.isArray(value) && value.length === 0 ? 'empty list' : String(value);
}

function limitsOf({ minimum, maximum, maxLength, maxItems }: Node): string | undefined {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (maxLength !== undefined) return `at most ${maxLength} characters`;
  return maxItems === undefined ? undefined : `at most ${maxItems}`;
}

/** Examples for shapes that are not obvious. A test reads each as a configuration. */
export const examples: Readonly<Record<string, string>> = {
  'ecs.settings': 'ecs:\n  settings:\n    ECS_RESERVED_MEMORY: 256\n    ECS_INSTANCE_ATTRIBUTES: { rack: a }',
  'join.checks':
    'join:\n  checks:\n    - command: [/usr/local/bin/is-ready, --quick]\n      timeoutSeconds: 10\n    - url: http://127.0.0.1:8080/healthz',
  'disk.paths': 'disk:\n  paths: [/data, /mnt/scratch]',
  'disk.keepImages': 'disk:\n  keepImages: [base:1, "registry.example.com/team/*"]',
  'metrics.textfile': 'metrics:\n  textfile: /run/ecs-node/metrics/ecs-node.prom',
  'leave.targetGroups':
    'leave:\n  targetGroups:\n    - arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0123456789abcdef',
  'refresh.source': 'refresh:\n  source: s3://team-configuration/prod',
  'refresh.also': 'refresh:\n  source: ssm:/ecs-node/prod\n  also: [join.checks]',
  'daemonTasks.definitions': 'daemonTasks:\n  definitions: [log-shipper, "metrics:12"]',
};
