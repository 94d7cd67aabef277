/** The Service Authorization Reference knows every policy that `ecs-node policy` prints. */

import { expect, test } from 'vitest';
import { ecsAgentPermissions, systemsManagerPermissions } from '../../iam/agent-permissions.ts';
import { parseConfig } from '../../config/config.ts';
import { fleetPermissions, sweepPermissions } from '../../iam/fleet-permissions.ts';
import { fleetPolicy } from '../../iam/fleet-policy.ts';
import { permissions } from '../../iam/permissions.ts';
import { policyFor } from '../../iam/policy.ts';
import { serviceSizePermissions } from '../../iam/service-size-permissions.ts';
import { lintPolicies } from '../cloudformation/rig/parliament.ts';

const targetGroup = 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef';
const stack = 'abababab-1111-4111-8111-111111111111';

/** Each configuration enables or changes a feature that a policy depends on. */
const configurations: Readonly<Record<string, Record<string, unknown>>> = {
  defaults: {},
  'no protection': { terminationProtection: 'clear' },
  hooks: { autoScaling: { launchHook: 'launch', terminateHook: 'terminate' } },
  'systems manager': { registrar: 'ssm' },
  'OpsWorks by id': { registrar: 'opsworks', opsworks: { stack, layer: 'ecs', region: 'us-east-1' } },
  'OpsWorks by name': { registrar: 'opsworks', opsworks: { stack: 'web', layer: 'ecs' } },
  'load balancers': { leave: { targetGroups: [targetGroup], loadBalancers: ['old'], steadyClusterSeconds: 60 } },
  'daemon tasks': { daemonTasks: { definitions: ['logspout', 'datadog:3'] } },
  'no daemon tasks': { daemonTasks: { definitions: [] }, leave: { atDeadline: 'leave-tasks' } },
  environment: { containerEnvironment: { enabled: true } },
  'refresh from parameters': { refresh: { source: 'ssm:/ecs/web/' } },
  'refresh from a bucket': { refresh: { source: 's3://ours/ecs/web' } },
  events: { events: { bus: 'default' } },
  'events on the bus of another account': {
    events: { bus: 'arn:aws:events:eu-west-1:210987654321:event-bus/team' },
  },
  least: {
    terminationProtection: 'keep',
    disk: { leave: false },
    ecsAgent: { action: 'log' },
    leave: { atDeadline: 'leave-tasks' },
    metrics: { enabled: false },
  },
};

const places = {
  known: { partition: 'aws', region: 'eu-west-1', account: '123456789012', group: 'nodes' },
  unknown: { partition: 'aws', region: '*', account: '*', group: '*' },
  China: { partition: 'aws-cn', region: 'cn-north-1', account: '123456789012', group: 'nodes' },
};

const fleetTables = {
  'ecs-agent': ecsAgentPermissions,
  'systems-manager': systemsManagerPermissions,
  fleet: fleetPermissions,
  sweep: sweepPermissions,
  'service-size': serviceSizePermissions,
};

const configs = Object.entries(configurations).map(
  ([name, settings]) => [name, parseConfig({ cluster: 'prod', ...settings })] as const,
);

test('parliament finds no fault in the policy of a node, for every configuration and partition', async () => {
  const policies = configs.flatMap(([name, config]) =>
    Object.entries(places).map(([where, place]) => [`${name}, ${where}`, policyFor(config, place)] as const),
  );
  expect(await lintPolicies(Object.fromEntries(policies))).toEqual([]);
});

test('these configurations together need every known permission', () => {
  const unused = permissions.filter(({ when }) => !configs.some(([, config]) => when(config)));
  expect(unused.map(({ action }) => action)).toEqual([]);
});

test('parliament finds no fault in the policies for agents and for fleet commands', async () => {
  const policies = Object.entries(fleetTables).flatMap(([name, table]) =>
    Object.entries(places).flatMap(([where, place]) =>
      [false, true].map((apply) => {
        const subject = { cluster: 'prod', service: 'web', apply };
        return [`${name}, ${where}, ${String(apply)}`, fleetPolicy(table, subject, place)] as const;
      }),
    ),
  );
  expect(await lintPolicies(Object.fromEntries(policies))).toEqual([]);
});

test('parliament finds an undocumented key, an unknown action and a star where a resource would do', async () => {
  const statement = (more: object) => ({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['ec2:CreateTags'], Resource: 'arn:aws:ec2:*:*:instance/*', ...more }],
  });
  const found = await lintPolicies({
    key: statement({ Condition: { StringEquals: { 'aws:ARN': '${ec2:SourceInstanceARN}' } } }),
    action: statement({ Action: ['ec2:CreateTag'] }),
    star: statement({ Action: ['ec2:DescribeInstanceAttribute'], Resource: '*' }),
  });
  expect(found.map((line) => line.split(' ').slice(0, 2).join(' ')).toSorted()).toEqual([
    'action: UNKNOWN_ACTION',
    'key: UNKNOWN_CONDITION_FOR_ACTION',
    'star: RESOURCE_STAR',
  ]);
});
