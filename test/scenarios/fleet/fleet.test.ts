import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { operatorCredentials, type Simulator } from '../../../simulator/simulator.ts';
import { findingsOf, openFleet, stackId } from './fleet-stage.ts';
import { scenario } from '../scenario.ts';
import { waitFor } from '../../../simulator/wait-for.ts';

/** Like the nodes, each once; some are fuller than others. */
async function reportDisks({ endpoint, region }: Simulator, ids: readonly string[]): Promise<void> {
  const client = new CloudWatchClient({ endpoint, region, credentials: operatorCredentials });
  onTestFinished(() => client.destroy());
  const metrics = ids.map((id, index) => ({
    MetricName: 'DiskSpaceUtilization',
    Value: index === 0 ? 96 : 40,
    Dimensions: [
      { Name: 'InstanceId', Value: id },
      { Name: 'Filesystem', Value: '/dev/nvme0n1p1' },
      { Name: 'MountPath', Value: '/' },
    ],
  }));
  for (let from = 0; from < metrics.length; from += 500) {
    const MetricData = metrics.slice(from, from + 500);
    await client.send(new PutMetricDataCommand({ Namespace: 'System/Linux', MetricData }));
  }
}

test('the table and the sweep read a thousand nodes in pages', async () => {
  const stage = await openFleet(1000);
  const { simulator, nodes } = stage;
  await reportDisks(simulator, nodes);
  for (const id of nodes) stage.register(id);
  simulator.verbs.disconnectEcsAgent(nodes[7]!);
  simulator.calls.clear();
  const pages = {
    'ecs:ListContainerInstances': 10,
    'ecs:DescribeContainerInstances': 10,
    // By id two hundred at a time.
    'ec2:DescribeInstances': 5,
    'autoscaling:DescribeAutoScalingGroups': 1,
    'cloudwatch:ListMetrics': 2,
    // Five hundred at a time, which the simulator answers in pages of four hundred.
    'cloudwatch:GetMetricData': 4,
  };

  const table = await stage.ask('fleet', '--cluster', 'demo', '--json');
  expect(table.code).toBe(0);
  const { rows, summary } = JSON.parse(table.stdout) as { rows: Record<string, unknown>[]; summary: object };
  expect(summary).toMatchObject({ nodes: 1000, well: 998, disconnected: 1 });
  expect(rows.slice(0, 2)).toMatchObject([
    { instanceId: nodes[7], troubles: ['disconnected'] },
    { instanceId: nodes[0], troubles: ['disk full'], diskPercent: 96 },
  ]);
  console.log('fleet of 1000:', stage.counts());
  expect(stage.counts()).toEqual(pages);

  simulator.calls.clear();
  const named = await stage.ask('fleet', '--cluster', 'demo', '--group', 'nodes');
  expect(named.stdout.split('\n')).toHaveLength(1000 + 4);
  // By group a thousand at a time.
  expect(stage.counts()).toEqual({ ...pages, 'ec2:DescribeInstances': 1 });

  simulator.calls.clear();
  const sweep = ['sweep', '--cluster', 'demo', '--group', 'nodes', '--opsworks-stack', stackId, '--json'];
  const swept = await stage.ask(...sweep);
  expect(findingsOf(swept)).toEqual({ [nodes[7]!]: 'disconnected: would' });
  console.log('sweep of 1000:', stage.counts());
  expect(stage.counts()).toEqual({
    ...pages,
    // One more for the Names.
    'ec2:DescribeInstances': 2,
    'ec2:DescribeInstanceAttribute': 20,
    'ecs:DescribeClusters': 1,
    'opsworks:DescribeStacks': 1,
    'opsworks:DescribeInstances': 1,
  });
});

describe('a person with read access', () => {
  test('sees the fleet from a laptop, with a shared profile', async () => {
    const stage = await openFleet(1);
    const folder = mkdtempSync(join(tmpdir(), 'ecs-node-profile-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'credentials');
    const { accessKeyId, secretAccessKey } = operatorCredentials;
    writeFileSync(file, `[ops]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`);
    const environment = {
      AWS_ENDPOINT_URL: stage.simulator.endpoint,
      AWS_REGION: stage.simulator.region,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_SHARED_CREDENTIALS_FILE: file,
      AWS_CONFIG_FILE: join(folder, 'none'),
      HOME: folder,
    };
    const table = await stage.run({ ...environment, AWS_PROFILE: 'ops' }, 'fleet', '--cluster', 'demo');
    expect(table).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of 1 nodes well') });
    const other = await stage.run({ ...environment, AWS_PROFILE: 'none' }, 'fleet', '--cluster', 'demo');
    expect(other).toMatchObject({ code: 77, stderr: expect.stringContaining('no credentials: set AWS_PROFILE') });
  });

  test('sees the fleet in a container, with the credentials that are served to it', async () => {
    const stage = await openFleet(1);
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } = operatorCredentials;
    const body = {
      AccessKeyId,
      SecretAccessKey,
      Token: '',
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const server = createServer((_, response) => void response.end(JSON.stringify(body))).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const environment = {
      AWS_ENDPOINT_URL: stage.simulator.endpoint,
      AWS_REGION: stage.simulator.region,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    };
    const table = await stage.run(environment, 'fleet', '--cluster', 'demo');
    expect(table).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of 1 nodes well') });
  });

  test('sees the fleet on an instance, with its role and in its region', async () => {
    const stage = await openFleet(2);
    const [id = ''] = stage.nodes;
    const table = await stage.run(stage.simulator.environmentFor(id), 'fleet', '--cluster', 'demo');
    expect(table).toMatchObject({ code: 0, stdout: expect.stringContaining('2 of 2 nodes well') });
  });

  test('learns which cluster or group does not exist', async () => {
    const stage = await openFleet(1);
    const none = await stage.ask('fleet', '--cluster', 'none');
    expect(none).toMatchObject({ code: 77, stderr: expect.stringMatching(/cluster/i) });
    const group = await stage.ask('fleet', '--cluster', 'demo', '--group', 'none');
    expect(group).toMatchObject({ code: 77, stderr: expect.stringContaining('there is no Auto Scaling group none') });
  });

  test('watches until Ctrl-C, which is a success, and through a time without answers', async () => {
    const stage = await openFleet(3);
    const { simulator } = stage;
    const line = ['fleet', '--cluster', 'demo', '--json', '--watch', '1'];
    const env = { PATH: process.env['PATH'], ...simulator.operatorEnvironment() };
    const watching = spawn(inject('binary'), line, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void watching.kill('SIGKILL'));
    const ended = new Promise<number | null>((resolve) => void watching.on('exit', resolve));
    let printed = '';
    watching.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
    const looks = () => printed.split('\n').length - 1;
    await waitFor('the first look', () => looks() >= 1);
    const remove = simulator.faults.add({ service: 'ecs', effect: { kind: 'throttle' } });
    await waitFor('throttled', () => simulator.calls.find({ outcome: 'ThrottlingException' }).length >= 3);
    remove();
    const before = looks();
    await waitFor('another look', () => looks() > before);
    watching.kill('SIGINT');
    expect(await ended).toBe(0);
    for (const view of printed.trim().split('\n')) expect(JSON.parse(view)).toMatchObject({ summary: { nodes: 3 } });
  });
});

scenario('a node that has bootstrapped is in the table with its Name and its version', {}, async (scene) => {
  const { simulator, expect: expectHere } = scene;
  const node = await scene.launch();
  await scene.inService(node);
  const binary = inject('binary');
  const [, version] = execFileSync(binary, ['--version'], { encoding: 'utf8' }).split(' ');
  const env = { PATH: process.env['PATH'], ...simulator.operatorEnvironment() };
  const { stdout } = await promisify(execFile)(binary, ['fleet', '--cluster', 'demo', '--json'], { env });
  const { rows } = JSON.parse(stdout) as { rows: object[] };
  const row = {
    instanceId: node.id,
    name: expectHere.stringMatching(/^demo ECS - /),
    version: version!.trim(),
    troubles: [],
  };
  expectHere(rows).toMatchObject([row]);
  // In the one call that names it.
  expectHere(node.calls().filter((call) => call === 'ec2:CreateTags')).toHaveLength(1);
});
