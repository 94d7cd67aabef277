/**
 * The Terraform example: formatted as `tofu fmt` does it, read by HashiCorp's parser, evaluated by
 * OpenTofu, and equal to cloudformation/cluster.yaml. Nothing here has the AWS provider, so no test
 * sees whether the provider knows each argument.
 */

import { execFile } from 'node:child_process';
import { copyFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Policy } from '../../iam/policy.ts';
import { bootWith } from '../cloudformation/rig/user-data.ts';
import { group, policyNames, printPolicy, scope } from './cli-policies.ts';
import { factsOfTemplate, texts, type GroupFacts } from './group-facts.ts';

const folder = 'examples/terraform';
const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const env = {
  PATH: [join(cache, 'ecs-node/tofu/bin'), process.env['PATH']].join(delimiter),
  HOME: process.env['HOME'],
  CHECKPOINT_DISABLE: 'true',
};

type Block = Record<string, unknown>;
interface Parsed {
  locals: Block[];
  resource: Record<string, Record<string, Block[]>>;
}

let parsed: Parsed;
/** Holds the example's variables and locals alone: OpenTofu evaluates them without a provider. */
let bench: string;

beforeAll(async () => {
  parsed = JSON.parse(await run('hcl2json', `${folder}/main.tf`)) as Parsed;
  bench = await mkdtemp(join(tmpdir(), 'tofu-'));
  await copyFile(`${folder}/variables.tf`, join(bench, 'variables.tf'));
  await writeFile(join(bench, 'locals.tf.json'), JSON.stringify({ locals: parsed.locals }));
  await cp(`${folder}/policies`, join(bench, 'policies'), { recursive: true });
});
afterAll(() => rm(bench, { recursive: true, force: true }));

async function run(program: string, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, words, { env });
  return stdout;
}

/** Evaluates an expression, which yields a text or a number, with OpenTofu. */
async function evaluate(expression: string, variables: Record<string, string> = {}): Promise<string> {
  const given = { cluster: 'prod', subnet_ids: '["subnet-1"]', security_group_ids: '["sg-1"]', ...variables };
  const flags = Object.entries(given).flatMap(([name, value]) => ['-var', `${name}=${value}`]);
  const running = promisify(execFile)('tofu', [`-chdir=${bench}`, 'console', ...flags], { env });
  running.child.stdin?.end(`jsonencode(${expression})\n`);
  const { stdout } = await running;
  return JSON.parse(JSON.parse(stdout) as string) as string;
}

function resourceOf(type: string, name: string): Block {
  const [block] = parsed.resource[type]![name]!;
  return block!;
}

const blockOf = (block: Block, name: string) => (block[name] as Block[])[0]!;

test('is formatted as tofu fmt does it', async () => {
  expect(await run('tofu', 'fmt', '-check', '-diff', '-recursive', folder)).toBe('');
});

test('each file is one that OpenTofu can parse', async () => {
  for (const file of ['main', 'variables', 'outputs', 'versions'])
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
  const found = JSON.parse(await evaluate(expression)) as Policy;
  expect(found).toEqual(await printPolicy(inject('binary'), name));
  expect(await evaluate('local.group')).toBe(group);
});

test('the group is the one of cloudformation/cluster.yaml', async () => {
  expect(await factsOfTerraform()).toEqual(factsOfTemplate());
});

test('nodes find the cluster in their user data, on a baked image and on a stock image', async () => {
  // The console reads one line, and the heredoc of main.tf has one expression after its first line.
  const { user_data: expression } = resourceOf('aws_launch_template', 'nodes');
  const [, line] = /^\$\{base64encode\(<<-EOT\n\s*#!\/bin\/sh\n\s*(\$\{.*\})\n/.exec(String(expression))!;
  const userData = (variables: Record<string, string>) => evaluate(`"#!/bin/sh\\n${line}\\n"`, variables);
  const baked = await userData({});
  const wanted = { cluster: 'prod', registrar: 'ssm', ecs: { settings: { ECS_AWSVPC_BLOCK_IMDS: 'true' } } };
  expect(await bootWith(baked, ({ config }) => config)).toMatchObject(wanted);
  const stock = await userData({ install_url: 'https://example.com/install.sh' });
  expect(stock).toBe(
    '#!/bin/sh\ncurl -fsSL https://example.com/install.sh | sh -s -- --cluster prod --registrar ssm --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true\n',
  );
});

/** `http_tokens` is CloudFormation's `HttpTokens`. */
function camel(fields: Block): Record<string, string> {
  const plain = Object.entries(fields).filter(([, value]) => typeof value !== 'object');
  return texts(
    Object.fromEntries(
      plain.map(([key, value]) => [
        key.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
        value,
      ]),
    ),
  );
}

async function factsOfTerraform(): Promise<GroupFacts> {
  const template = resourceOf('aws_launch_template', 'nodes');
  const scaling = resourceOf('aws_autoscaling_group', 'nodes');
  const provider = blockOf(resourceOf('aws_ecs_capacity_provider', 'nodes'), 'auto_scaling_group_provider');
  const { AutoScalingGroupArn: _arn, ...managed } = camel(provider);
  const { HealthCheckType, HealthCheckGracePeriod, DefaultInstanceWarmup } = camel(scaling);
  return {
    hooks: (scaling['initial_lifecycle_hook'] as Block[]).map((hook) => ({
      name: String(hook['name']),
      transition: String(hook['lifecycle_transition']),
      seconds: String(hook['heartbeat_timeout']),
      result: String(hook['default_result']),
    })),
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
