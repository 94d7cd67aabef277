/**
 * The Terraform example: formatted as `tofu fmt` does it, read by HashiCorp's parser, evaluated by
 * OpenTofu, and equal to cloudformation/cluster.yaml. Nothing here has the AWS provider, so no test
 * sees whether the provider knows each argument.
 */

import { execFile } from 'node:child_process';
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { blocksOf } from '../pages/fences.ts';
import type { Policy } from '../../iam/policy.ts';
import { bootWith } from '../cloudformation/rig/user-data.ts';
import { sorted, watchedByTemplate, type WatchedMetric } from './alarm-facts.ts';
import { group, policyNames, printPolicy, scope } from './cli-policies.ts';
import { factsOfTemplate, texts, type GroupFacts } from './group-facts.ts';
import { blockOf, camel, hookOf, type Block } from './hcl-blocks.ts';

const folder = 'examples/terraform';
const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const env = {
  PATH: [join(cache, 'ecs-node/tofu/bin'), process.env['PATH']].join(delimiter),
  HOME: process.env['HOME'],
  CHECKPOINT_DISABLE: 'true',
};

interface Parsed {
  locals: Block[];
  resource: Record<string, Record<string, Block[]>>;
}

let parsed: Parsed;
let events: Parsed;
/** Holds the example's variables and locals alone: OpenTofu evaluates them without a provider. */
let bench: string;

beforeAll(async () => {
  parsed = JSON.parse(await run('hcl2json', `${folder}/main.tf`)) as Parsed;
  events = JSON.parse(await run('hcl2json', `${folder}/events.tf`)) as Parsed;
  bench = await mkdtemp(join(tmpdir(), 'tofu-'));
  await copyFile(`${folder}/variables.tf`, join(bench, 'variables.tf'));
  await writeFile(join(bench, 'locals.tf.json'), JSON.stringify({ locals: [...parsed.locals, ...events.locals] }));
  await cp(`${folder}/policies`, join(bench, 'policies'), { recursive: true });
});
afterAll(() => rm(bench, { recursive: true, force: true }));

async function run(program: string, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, words, { env });
  return stdout;
}

/** Evaluates an expression with OpenTofu. */
async function evaluate(expression: string, variables: Record<string, string> = {}): Promise<unknown> {
  const given = { cluster: 'prod', subnet_ids: '["subnet-1"]', security_group_ids: '["sg-1"]', ...variables };
  const flags = Object.entries(given).flatMap(([name, value]) => ['-var', `${name}=${value}`]);
  const running = promisify(execFile)('tofu', [`-chdir=${bench}`, 'console', ...flags], { env });
  running.child.stdin?.end(`jsonencode(${expression})\n`);
  const { stdout } = await running;
  return JSON.parse(JSON.parse(stdout) as string) as unknown;
}

function resourceOf(type: string, name: string): Block {
  const [block] = parsed.resource[type]![name]!;
  return block!;
}

test('is formatted as tofu fmt does it', async () => {
  expect(await run('tofu', 'fmt', '-check', '-diff', '-recursive', folder)).toBe('');
});

test('each file is one that OpenTofu can parse', async () => {
  for (const file of ['main', 'events', 'variables', 'outputs', 'versions'])
    expect(Object.keys(JSON.parse(await run('hcl2json', `${folder}/${file}.tf`)) as object)).not.toEqual([]);
});

test.each(policyNames)('the role allows exactly what "ecs-node policy" prints: %s', async (name) => {
  const policy = resourceOf('aws_iam_role_policy', 'nodes');
  expect(policy['for_each']).toBe(`\${toset(${JSON.stringify(policyNames).replaceAll(',', ', ')})}`);
  const rendered = String(policy['policy']).slice(2, -1);
  const expression = rendered
    .replaceAll('${each.key}', name)
    .replaceAll('data.aws_partition.current.partition', JSON.stringify(scope.partition))
    .replaceAll('data.aws_region.current.region', JSON.stringify(scope.region))
    .replaceAll('data.aws_caller_identity.current.account_id', JSON.stringify(scope.account));
  const found = JSON.parse(String(await evaluate(expression))) as Policy;
  expect(found).toEqual(await printPolicy(inject('binary'), name));
  expect(await evaluate('local.group')).toBe(group);
});

test('the group is the one of cloudformation/cluster.yaml', async () => {
  expect(await factsOfTerraform()).toEqual(factsOfTemplate());
});

test('a cluster that exists is neither created, nor deleted, nor given other capacity providers', async () => {
  expect(await evaluate('var.create_cluster')).toBe(false);
  const types = Object.keys(parsed.resource).filter((type) => type.startsWith('aws_ecs_'));
  expect(types.toSorted()).toEqual([
    'aws_ecs_capacity_provider',
    'aws_ecs_cluster',
    'aws_ecs_cluster_capacity_providers',
  ]);
  for (const type of types)
    for (const [block] of Object.values(parsed.resource[type]!)) {
      const count = String(block!['count']).slice(2, -1);
      expect(await evaluate(count)).toBe(0);
      expect(await evaluate(count, { create_cluster: 'true' })).toBe(1);
    }
});

test('the alarms watch the metrics of cloudformation/cluster.yaml', async () => {
  const alarms = (await evaluate('local.alarms')) as Record<string, WatchedMetric>;
  expect(sorted(Object.values(alarms))).toEqual(watchedByTemplate('prod', group));
  const [alarm] = events.resource['aws_cloudwatch_metric_alarm']!['nodes']!;
  expect(alarm).toMatchObject({
    for_each: '${local.alarms}',
    comparison_operator: 'GreaterThanThreshold',
    period: 300,
  });
});

test('nodes find the cluster in their user data, on a baked image and on a stock image', async () => {
  // The console reads one line, and the heredoc of main.tf has one expression after its first line.
  const { user_data: expression } = resourceOf('aws_launch_template', 'nodes');
  const [, line] = /^\$\{base64encode\(<<-EOT\n\s*#!\/bin\/sh\n\s*(\$\{.*\})\n/.exec(String(expression))!;
  const userData = async (variables: Record<string, string>) =>
    String(await evaluate(`"#!/bin/sh\\n${line}\\n"`, variables));
  const baked = await userData({});
  const ecs = { settings: { ECS_AWSVPC_BLOCK_IMDS: 'true' } };
  const wanted = { cluster: 'prod', registrar: 'ssm', ecs, events: { bus: 'default' } };
  expect(await bootWith(baked, ({ config }) => config)).toMatchObject(wanted);
  const stock = await userData({ install_url: 'https://example.com/install.sh' });
  expect(stock).toBe(
    '#!/bin/sh\ncurl -fsSL https://example.com/install.sh | sh -s -- --cluster prod --registrar ssm --set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true\n',
  );
});

test("the page's fragments are formatted, parse, and say of the group what the example says", async () => {
  const fragments = blocksOf('docs/your-own-group.md', 'hcl');
  expect(fragments.length).toBeGreaterThan(4);
  const other = await mkdtemp(join(bench, 'fragments-'));
  const file = join(other, 'main.tf');
  await writeFile(file, fragments.join('\n'));
  await run('tofu', 'fmt', file);
  expect(await readFile(file, 'utf8')).toBe(fragments.join('\n'));
  const { resource } = JSON.parse(await run('hcl2json', file)) as Parsed;
  const [template] = resource['aws_launch_template']!['nodes']!;
  const [scaling] = resource['aws_autoscaling_group']!['nodes']!;
  const { hooks, metadata, maintenance, refresh, shutdown } = factsOfTemplate();
  expect({ HttpEndpoint: 'enabled', ...camel(blockOf(template!, 'metadata_options')) }).toEqual(metadata);
  expect(template!['instance_initiated_shutdown_behavior']).toBe(shutdown);
  expect(camel(blockOf(scaling!, 'instance_maintenance_policy'))).toEqual(maintenance);
  const refreshes = resource['aws_autoscaling_group']!['nodes']!.filter((block) => 'instance_refresh' in block);
  expect(refreshes.map((block) => camel(blockOf(blockOf(block, 'instance_refresh'), 'preferences')))).toEqual([
    refresh,
  ]);
  // The first apply must not start it: no launch hook exists then.
  expect(scaling).not.toHaveProperty('instance_refresh');
  expect(Object.values(resource['aws_autoscaling_lifecycle_hook']!).map(([hook]) => hookOf(hook!))).toEqual(hooks);
});

async function factsOfTerraform(): Promise<GroupFacts> {
  const template = resourceOf('aws_launch_template', 'nodes');
  const scaling = resourceOf('aws_autoscaling_group', 'nodes');
  const provider = blockOf(resourceOf('aws_ecs_capacity_provider', 'nodes'), 'auto_scaling_group_provider');
  const { AutoScalingGroupArn: _arn, ...managed } = camel(provider);
  const { HealthCheckType, HealthCheckGracePeriod, DefaultInstanceWarmup } = camel(scaling);
  return {
    hooks: (scaling['initial_lifecycle_hook'] as Block[]).map(hookOf),
    metadata: camel(blockOf(template, 'metadata_options')),
    volume: {
      ...camel(blockOf(blockOf(template, 'block_device_mappings'), 'ebs')),
      VolumeSize: String(await evaluate('var.volume_size')),
    },
    shutdown: String(template['instance_initiated_shutdown_behavior']),
    health: texts({ HealthCheckType, HealthCheckGracePeriod, DefaultInstanceWarmup }),
    maintenance: camel(blockOf(scaling, 'instance_maintenance_policy')),
    refresh: camel(blockOf(blockOf(scaling, 'instance_refresh'), 'preferences')),
    terminationPolicies: scaling['termination_policies'] as string[],
    tags: Object.fromEntries(
      (scaling['tag'] as { key: string; value: string }[]).map(({ key, value }) => [
        key,
        value.replaceAll('${var.cluster}', 'prod'),
      ]),
    ),
    provider: { ...managed, ManagedScaling: String(blockOf(provider, 'managed_scaling')['status']) },
  };
}
