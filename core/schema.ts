/** Every setting there is, with its limits, its default and its meaning: the one source of the check, the schema and the docs. */

import { registrarNames } from './state.ts';
import * as z from 'zod';
import { faultOfValue } from './ecs-value.ts';
import { upkeepSections } from './upkeep-schema.ts';

const seconds = (min: number, max: number) => z.int().min(min).max(max);
const percent = () => z.number().min(1).max(100);

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

const template = () =>
  z
    .string()
    .max(255)
    .superRefine((text, context) => {
      for (const [, word] of text.matchAll(/\{([^}]*)\}/g)) {
        if (!placeholders.includes(word as Placeholder)) {
          context.addIssue({
            code: 'custom',
            message: `unknown placeholder {${word}}; allowed are ${placeholders.map((p) => `{${p}}`).join(' ')}`,
          });
        }
      }
    });

/** Whoever answers elsewhere could tell this node that its agent is gone. */
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const absolutePath = () => z.string().regex(/^\/[^\0]*$/, 'must be an absolute path');
const ecsValue = () =>
  z
    .union([z.string(), z.number(), z.boolean()])
    .transform(String)
    .superRefine((value, context) => {
      const problem = faultOfValue(value);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    });
const hookName = () => z.string().regex(/^[A-Za-z0-9\-_/]{1,255}$/, 'must be 1 to 255 letters, digits, - _ or /');

/** A check that a node must pass before it counts as healthy: a command's exit code 0, or an HTTP answer of 200 to 399. */
const joinCheck = z.union([
  z.strictObject({
    command: z.array(z.string().min(1)).min(1).describe('Program (absolute path) and arguments; run without a shell'),
    timeoutSeconds: seconds(1, 600).default(30),
  }),
  z.strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .describe('Asked with GET; healthy is 200 to 399'),
    timeoutSeconds: seconds(1, 600).default(5),
  }),
]);

export const schema = z.strictObject({
  cluster: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,255}$/, 'must be a cluster name: 1 to 255 letters, digits, - or _')
    .describe('Name of the ECS cluster that this node joins'),

  name: template()
    .default('{cluster} ECS - {hostname}')
    .describe('Template of the Name tag; an empty string leaves the Name tag alone'),

  hostname: template()
    .default('')
    .describe("Template of the host name; empty: OpsWorks' suggestion, or the name that EC2 gave"),

  registrar: z
    .enum(registrarNames)
    .default('none')
    .describe('Where the node registers for team access: Systems Manager, OpsWorks Stacks (legacy) or nowhere'),

  ecs: z
    .strictObject({
      settings: z
        .record(
          z
            .string()
            .regex(/^[A-Z][A-Z0-9_]*$/, 'is not the name of an environment variable such as ECS_RESERVED_MEMORY')
            .refine((key) => key !== 'ECS_CLUSTER', 'is set by the setting "cluster"'),
          ecsValue(),
        )
        .default({})
        .describe('Further lines of /etc/ecs/ecs.config'),
      introspectionEndpoint: z
        .url({ protocol: /^http$/, hostname: loopback, error: 'must be an http URL on loopback' })
        .default('http://127.0.0.1:51678')
        .describe("Where the ECS agent's introspection API listens"),
    })
    .prefault({}),

  opsworks: z
    .strictObject({
      stack: z.string().min(1).max(255).optional().describe('Id, or unique name, of the stack'),
      layer: z.string().min(1).max(255).optional().describe('Id, or short name, of the layer in that stack'),
      region: z
        .string()
        .regex(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'must be a region such as us-east-1')
        .optional()
        .describe("Region of the OpsWorks endpoint; default: the instance's own"),
      waitForOnline: z.boolean().default(false).describe("Wait until the layer's recipes have run"),
    })
    .prefault({}),

  terminationProtection: z
    .enum(['clear', 'keep'])
    .default('clear')
    .describe('Clear EC2 termination protection, which OpsWorks turns on and which blocks Auto Scaling'),

  bootstrap: z
    .strictObject({
      timeoutSeconds: seconds(30, 7200).default(600).describe('A bootstrap that is not done by then has failed'),
      onFailure: z
        .enum(['terminate', 'keep'])
        .default('terminate')
        .describe('What to do with a node that failed for good: end it so that it is replaced, or keep it'),
    })
    .prefault({}),

  stormGuard: z
    .strictObject({
      maxFailures: z
        .int()
        .min(1)
        .max(1000)
        .default(3)
        .describe('As many young deaths in the group within the window, and nodes wait instead of dying'),
      windowSeconds: seconds(60, 86_400).default(3600),
      firstWaitSeconds: seconds(10, 86_400).default(300).describe('Doubles with every further failure'),
      maxWaitSeconds: seconds(10, 86_400).default(3600),
    })
    .prefault({}),

  join: z
    .strictObject({
      timeoutSeconds: seconds(30, 7200)
        .default(900)
        .describe('A node that is not ACTIVE in ECS by then, though ECS answers, has failed'),
      checks: z.array(joinCheck).max(20).default([]).describe('What else must hold before the node is in service'),
    })
    .prefault({}),

  autoScaling: z
    .strictObject({
      launchHook: hookName().optional().describe('Name of the launch hook that this node completes'),
      launchHookSeconds: seconds(30, 7200)
        .optional()
        .describe(
          "The launch hook's HeartbeatTimeout, never more: spares the calls that ask for it, and early heartbeats",
        ),
      terminateHook: hookName().optional().describe('Name of the terminate hook that this node completes'),
      pollSeconds: seconds(1, 60).default(2).describe('How often the metadata service is asked for the target state'),
    })
    .prefault({}),

  disk: z
    .strictObject({
      paths: z
        .array(absolutePath())
        .max(20)
        .default([])
        .describe("File systems to watch beside / and Docker's data root"),
      checkSeconds: seconds(1, 3600).default(60),
      fullPercent: percent().default(90).describe('Used bytes or inodes at which a file system counts as full'),
      clearPercent: percent().default(80).describe('Used bytes and inodes below which it counts as freed'),
      checks: z.int().min(1).max(60).default(3).describe('As many checks in a row before anything is done'),
      prune: z.boolean().default(true).describe('Remove unused images before giving the node up'),
      leave: z.boolean().default(true).describe('Leave and terminate when pruning did not help'),
      maxLeavingPercent: percent()
        .default(10)
        .describe('Share of the cluster that may drain for a full disk at the same time; always at least one node'),
    })
    .prefault({}),

  spot: z
    .strictObject({
      action: z.enum(['leave', 'log']).default('leave'),
      pollSeconds: seconds(1, 60).default(2),
      marginSeconds: seconds(0, 110).default(20).describe('So long before the interruption everything must be done'),
    })
    .prefault({}),

  rebalance: z
    .strictObject({
      action: z.enum(['log', 'drain']).default('log'),
      pollSeconds: seconds(1, 300)
        .default(30)
        .describe('A recommendation sets no deadline; the interruption that may follow is asked about on its own'),
      undoSeconds: seconds(60, 86_400)
        .default(1800)
        .describe('A drain is undone after this long when no interruption followed'),
    })
    .prefault({}),

  maintenance: z
    .strictObject({
      action: z.enum(['leave', 'log']).default('leave'),
      pollSeconds: seconds(10, 3600).default(60),
      leadSeconds: seconds(60, 1_209_600)
        .default(7200)
        .describe('So long before a reboot or maintenance window the node leaves; retirement and stop: at once'),
    })
    .prefault({}),

  ecsAgent: z
    .strictObject({
      action: z.enum(['replace', 'restart', 'log']).default('replace'),
      pollSeconds: seconds(5, 600).default(30),
      patienceSeconds: seconds(60, 7200)
        .default(300)
        .describe('Disconnected or gone for so long before each restart, and before the node is replaced'),
      restarts: z.int().min(0).max(5).default(2),
      maxDisconnectedPercent: percent()
        .default(30)
        .describe('When more of the cluster is disconnected the fault is not this node: nothing is done'),
    })
    .prefault({}),

  leave: z
    .strictObject({
      drainSeconds: seconds(10, 172_800)
        .default(900)
        .describe('Tasks may take so long to stop; an earlier deadline (spot) goes first'),
      atDeadline: z
        .enum(['stop-tasks', 'leave-tasks'])
        .default('stop-tasks')
        .describe('What happens to tasks that are still there: StopTask, or leave them to the end of the instance'),
      targetGroups: z
        .array(z.string().regex(/^arn:[\w-]+:elasticloadbalancing:/))
        .max(50)
        .default([])
        .describe('ARNs of instance-type target groups to deregister from first; ECS itself owns task targets'),
      loadBalancers: z.array(z.string().min(1).max(32)).max(50).default([]).describe('Classic load balancers'),
      deregistrationSeconds: seconds(0, 3600).default(300).describe('Longest wait for connection draining'),
      steadyClusterSeconds: seconds(0, 7200)
        .default(0)
        .describe('Hold a scale-in back for so long until all services are at their desired count; 0: never'),
      hookSeconds: seconds(1, 600).default(30).describe('Deadline of each executable in hooks.d'),
    })
    .prefault({}),

  metrics: z
    .strictObject({
      enabled: z.boolean().default(true),
      everySeconds: seconds(10, 3600).default(300),
      namespace: z
        .string()
        .regex(/^(?!AWS\/)[\w.\-/#: ]{1,255}$/, 'must be 1 to 255 characters and not begin with AWS/')
        .default('System/Linux'),
    })
    .prefault({}),

  ...upkeepSections,
});

/** Settings that instance tags may carry: names and choices only, nothing that runs or is contacted. */
export const tagSettings = [
  'cluster',
  'name',
  'hostname',
  'registrar',
  'opsworks.stack',
  'opsworks.layer',
  'opsworks.region',
  'autoScaling.launchHook',
  'autoScaling.terminateHook',
] as const;
