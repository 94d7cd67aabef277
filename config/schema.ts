/**
 * Every setting with its limits, its default and its meaning. Validation, the JSON Schema and
 * docs/configuration.md are derived from here.
 */

import { defaultLaunchHook, defaultTerminateHook } from '../core/hook-names.ts';
import { registrarNames, registrarTraits } from '../core/state/state.ts';
import * as z from 'zod';
import { readEcsValue } from './ecs-value.ts';
import { upkeepSections } from './upkeep-schema.ts';
import { seconds, watcherSections } from './watcher-schema.ts';

/** Placeholders that the `name` and `hostname` templates may use. */
export const placeholders = [
  'cluster',
  'hostname',
  'instanceId',
  'shortId',
  'zone',
  'region',
  'instanceType',
  'group',
  'privateIp',
] as const;
export type Placeholder = (typeof placeholders)[number];

/** `{cluster} {hostname} …`, for messages and descriptions. */
const allPlaceholders = placeholders.map((name) => `{${name}}`).join(' ');

const template = () =>
  z
    .string()
    .max(255)
    // A tag or a name in OpsWorks with a control character cannot be searched for.
    .refine((text) => !/\p{Cc}/u.test(text), 'must be one line without control characters; remove them')
    .superRefine((text, context) => {
      for (const [, word] of text.matchAll(/\{([^}]*)\}/g)) {
        if (placeholders.includes(word as Placeholder)) continue;
        context.addIssue({
          code: 'custom',
          message: `unknown placeholder {${word}}; allowed are ${allPlaceholders}`,
        });
      }
    });

/** A server on another machine could report that this node's agent is gone. */
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const hookName = () =>
  z.string().regex(/^[A-Za-z0-9\-_/]{0,255}$/, 'must be 1 to 255 letters, digits, - _ or /, or empty');

/** Lists and sections become JSON where the ECS agent expects JSON. */
const ecsSettings = () =>
  z
    .record(
      z
        .string()
        .regex(/^[A-Z][A-Z0-9_]*$/, 'is not the name of an environment variable such as ECS_RESERVED_MEMORY')
        .refine((key) => key !== 'ECS_CLUSTER', 'is set by the setting "cluster"; remove it here'),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.unknown()), z.record(z.string(), z.unknown())]),
    )
    .transform((values, context) => {
      const texts: Record<string, string> = {};
      for (const [name, value] of Object.entries(values)) {
        const read = readEcsValue(name, value);
        if ('text' in read) texts[name] = read.text;
        else context.addIssue({ code: 'custom', message: read.problem, path: [name] });
      }
      return texts;
    });

/** A check that a node must pass before it counts as healthy. */
const joinCheck = z.union([
  z.strictObject({
    command: z
      .array(z.string().min(1))
      .min(1)
      .describe('Program (absolute path) and its arguments, run as root without a shell. Exit code 0 passes.'),
    timeoutSeconds: seconds(1, 600)
      .default(30)
      .describe('Seconds after which one run of the program counts as failed.'),
  }),
  z.strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .describe('URL that the node reads with GET. A status from 200 to 399 passes.'),
    timeoutSeconds: seconds(1, 600).default(5).describe('Seconds after which one request counts as failed.'),
  }),
]);

export const schema = z.strictObject({
  cluster: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,255}$/, 'must be a cluster name: 1 to 255 letters, digits, - or _')
    .describe('Name of the ECS cluster that this node joins. Required.'),

  name: template()
    .default('{cluster} ECS - {hostname}')
    .describe(
      `Template of the instance's Name tag. An empty text leaves the tag alone. Placeholders: ${allPlaceholders}.`,
    ),

  hostname: template()
    .default('')
    .describe(
      `Template of the name that OpsWorks knows the node by, and of {hostname} in the Name tag. The machine keeps its own host name. Empty: the name that OpsWorks suggests, or the one that EC2 gave. Placeholders: ${allPlaceholders}.`,
    ),

  registrar: z
    .enum(registrarNames)
    .default('none')
    .describe(
      `Where the node registers, so that the team can log in. ${registrarNames.map((name) => `${name}: ${registrarTraits[name].title}.`).join(' ')}`,
    ),

  tags: z
    .enum(['names', 'all', 'ignore'])
    .default('names')
    .describe(
      "Which settings may come from the instance's tags ecs-node:SETTING. names: cluster, name, hostname and the names of the lifecycle hooks. all: also registrar and opsworks, which run an installer as root. ignore: none. A tag cannot change this setting. If the instance's metadata shows no tags any more, those from earlier in the same boot still count.",
    ),

  ecs: z
    .strictObject({
      settings: ecsSettings()
        .default({})
        .describe(
          'Settings of the ECS agent, by name, for /etc/ecs/ecs.config. Numbers are kept as written. Where the agent expects JSON (such as ECS_INSTANCE_ATTRIBUTES), a section or a list may be written instead.',
        ),
      introspectionEndpoint: z
        .url({ protocol: /^http$/, hostname: loopback, error: 'must be an http URL on loopback' })
        .default('http://127.0.0.1:51678')
        .describe("URL of the ECS agent's introspection API, on loopback."),
    })
    .prefault({}),

  registration: z
    .strictObject({
      required: z
        .boolean()
        .optional()
        .describe(
          'true: a node that its registrar does not see in time has failed. false: it joins ECS all the same, and says so. Without it: only being registered in OpsWorks is required, not Systems Manager, and not opsworks.waitForOnline.',
        ),
    })
    .prefault({}),

  opsworks: z
    .strictObject({
      stack: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .describe('Id, or unique name, of the OpsWorks stack. Required where registrar is opsworks.'),
      layer: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .describe('Id, or short name, of the layer in that stack. Required where registrar is opsworks.'),
      region: z
        .string()
        .regex(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'must be a region such as us-east-1')
        .optional()
        .describe("Region of the OpsWorks endpoint. Without it: the instance's own region."),
      waitForOnline: z
        .boolean()
        .default(false)
        .describe(
          "Wait until the layer's recipes have run before the ECS agent starts. A node whose recipes fail goes on unless registration.required is true.",
        ),
    })
    .prefault({}),

  terminationProtection: z
    .enum(['clear', 'keep'])
    .optional()
    .describe(
      'clear: turn EC2 termination protection off, which OpsWorks turns on. keep: leave it as it is. Without it: clear where registrar is opsworks, else keep, for then a person has turned it on.',
    ),

  bootstrap: z
    .strictObject({
      timeoutSeconds: seconds(30, 7200)
        .default(600)
        .describe('Seconds after which a bootstrap that is not complete has failed.'),
      onFailure: z
        .enum(['terminate', 'keep'])
        .default('terminate')
        .describe(
          'What happens to a node whose bootstrap has failed for good. terminate: the group replaces it. keep: it stays, without joining the cluster.',
        ),
    })
    .prefault({}),

  stormGuard: z
    .strictObject({
      maxFailures: z
        .int()
        .min(1)
        .max(1000)
        .default(3)
        .describe(
          'Number of early failures in the group within windowSeconds after which nodes wait instead of terminating.',
        ),
      windowSeconds: seconds(60, 86_400)
        .default(3600)
        .describe('Seconds for which an early failure of another node counts.'),
      firstWaitSeconds: seconds(10, 86_400)
        .default(300)
        .describe('Seconds of the first wait. Each further failure doubles the wait.'),
      maxWaitSeconds: seconds(10, 86_400)
        .default(3600)
        .describe('Longest wait in seconds. Must not be below firstWaitSeconds.'),
    })
    .prefault({}),

  join: z
    .strictObject({
      timeoutSeconds: seconds(30, 7200)
        .default(900)
        .describe(
          'Seconds within which the node must be ACTIVE in ECS and pass all checks. After them it has failed, if ECS answers.',
        ),
      checks: z
        .array(joinCheck)
        .max(20)
        .default([])
        .describe(
          'Commands and URLs that must succeed before the node counts as in service. A program that another user than root can change is not run: the node waits until its owner and mode are mended.',
        ),
    })
    .prefault({}),

  autoScaling: z
    .strictObject({
      launchHook: hookName()
        .default(defaultLaunchHook)
        .describe(
          'Name of the launch lifecycle hook that this node completes, where its group has it. Empty: the node completes none.',
        ),
      launchHookSeconds: seconds(30, 7200)
        .optional()
        .describe(
          "The launch hook's HeartbeatTimeout in seconds, never more than it. It spares calls to Auto Scaling and early heartbeats.",
        ),
      terminateHook: hookName()
        .default(defaultTerminateHook)
        .describe(
          'Name of the terminate lifecycle hook that this node completes, where its group has it. Empty: the node completes none.',
        ),
      pollSeconds: seconds(1, 60)
        .default(2)
        .describe("Seconds between two reads of the instance's target state in the metadata service."),
    })
    .prefault({}),

  ...watcherSections,

  leave: z
    .strictObject({
      drainSeconds: seconds(10, 172_800)
        .default(900)
        .describe(
          'Seconds that tasks have to stop while the node drains. An earlier deadline, such as a spot interruption, wins.',
        ),
      atDeadline: z
        .enum(['stop-tasks', 'leave-tasks'])
        .default('stop-tasks')
        .describe(
          'What happens to tasks that still run then. stop-tasks: ECS StopTask. leave-tasks: they run until the instance ends.',
        ),
      targetGroups: z
        .array(
          z
            .string()
            .regex(
              /^(?!arn:[\w-]+:elasticloadbalancing:[^:]*:[^:]*:loadbalancer\/)/,
              'is the ARN of a load balancer; write those of its target groups ("aws elbv2 describe-target-groups --load-balancer-arn ARN"), or the name of a Classic Load Balancer into leave.loadBalancers',
            )
            .regex(
              /^arn:[\w-]+:elasticloadbalancing:[\w-]+:\d{12}:(targetgroup\/[\w-]+\/[\w-]+$|loadbalancer\/)/,
              'must be the ARN of a target group, such as arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef',
            ),
        )
        .max(50)
        .default([])
        .describe(
          'ARNs of instance-type target groups from which a leaving node deregisters itself first. ECS itself manages the targets of its tasks.',
        ),
      loadBalancers: z
        .array(
          z
            .string()
            .regex(
              /^[A-Za-z0-9-]{1,32}$/,
              'must be the name of a Classic Load Balancer: 1 to 32 letters, digits and hyphens; the target groups of other load balancers belong into leave.targetGroups',
            ),
        )
        .max(50)
        .default([])
        .describe('Names of Classic Load Balancers from which a leaving node deregisters itself first.'),
      deregistrationSeconds: seconds(0, 3600)
        .default(300)
        .describe('Longest wait in seconds until target groups and load balancers have drained their connections.'),
      steadyClusterSeconds: seconds(0, 7200)
        .default(0)
        .describe(
          'Longest time in seconds for which a scale-in is held back until all services have their desired number of tasks. 0: never held back.',
        ),
      hookSeconds: seconds(1, 600)
        .default(30)
        .describe('Seconds that each executable in /etc/ecs-node/hooks.d may take.'),
    })
    .prefault({}),

  metrics: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe('Publish disk and memory use of this node to CloudWatch. Each metric has a price.'),
      perInstance: z
        .boolean()
        .default(true)
        .describe(
          'Publish each metric also for this node by itself. false: only for the cluster and for the group, which costs the same however many nodes there are.',
        ),
      textfile: z
        .string()
        .regex(/^\/[^\0]*\.prom$/, 'must be an absolute path that ends in .prom')
        .optional()
        .describe(
          "File that the node writes the same metrics to, for the textfile collector of Prometheus' node_exporter, also where enabled is false. The unit lets the agent write below /run/ecs-node and /var/lib/ecs-node. Only root may be able to change the folder. Without it: none.",
        ),
      everySeconds: seconds(10, 3600).default(300).describe('Seconds between two publications.'),
      namespace: z
        .string()
        .regex(/^(?!AWS\/)[\w.\-/#: ]{1,255}$/, 'must be 1 to 255 characters and not begin with AWS/')
        .default('System/Linux')
        .describe('CloudWatch namespace of the metrics. Names that begin with AWS/ belong to AWS.'),
    })
    .prefault({}),

  events: z
    .strictObject({
      bus: z
        .string()
        .regex(
          /^(arn:[\w-]+:events:[a-z0-9-]+:\d{12}:event-bus\/)?[A-Za-z0-9._\-/]{1,256}$/,
          'must be the name of an event bus, such as default, or its ARN',
        )
        .optional()
        .describe(
          "EventBridge bus in the node's region, by name or ARN, that the node tells when it joins, drains, leaves or is in trouble. Without it: none.",
        ),
    })
    .prefault({}),

  ...upkeepSections,
});

/**
 * Settings from tags that decide which program runs as root: they need `tags: all` in the node's
 * own configuration.
 */
export const powerfulTagSettings = ['registrar', 'opsworks.stack', 'opsworks.layer', 'opsworks.region'] as const;

/** Settings that an instance tag may carry: names and choices, never a program, a URL or a list. */
export const tagSettings = [
  'cluster',
  'name',
  'hostname',
  'autoScaling.launchHook',
  'autoScaling.terminateHook',
  ...powerfulTagSettings,
] as const;
