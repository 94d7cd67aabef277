/**
 * The shipped binary in networks as VPCs have them: a proxy, interface endpoints or IPv6, and
 * nothing else that can be reached.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { openFront, openProxy, type Front, type Proxy } from './network/aws.ts';
import { openNamespace, pipeTo, type Namespace } from './network/namespace.ts';
import { openStage, opsworks, settings, type Node, type Stage, type StageOptions } from './stage.ts';

interface Place {
  namespace: Namespace;
  front: Front;
  proxy: Proxy;
  stage: Stage;
  node: Node;
}

interface PlaceOptions extends StageOptions {
  /** /etc/ecs-node/environment, where AUTHORITY stands for the file of the authority. */
  variables?: string;
  /** Adds hosts that the node can reach. */
  build?: (around: { namespace: Namespace; front: Front; proxy: Proxy }) => Promise<void>;
  metadata?: string;
  /** The proxy's answer to each CONNECT. */
  proxyStatus?: number;
  proxySpeaksTls?: boolean;
}

const proxyAddress = '10.0.0.2';
const region = 'us-east-1';

/** One node in a namespace of its own. It is configured, and not yet booted. */
async function openPlace({
  variables = '',
  build,
  metadata = '169.254.169.254',
  proxyStatus,
  proxySpeaksTls,
  ...options
}: PlaceOptions): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'en-'));
  const namespace = await openNamespace(folder);
  const known: { simulator?: Simulator } = {};
  const front = await openFront(folder, () => known.simulator!.endpoint);
  const proxy = await openProxy(front, { status: proxyStatus, speaksTls: proxySpeaksTls });
  onTestFinished(async () => {
    front.close();
    proxy.close();
    await namespace.close();
    await rm(folder, { recursive: true, force: true });
  });
  await namespace.lead(proxyAddress, 3128, proxy.answer);
  await build?.({ namespace, front, proxy });
  const stage = await openStage({
    ...options,
    boots: false,
    binary: async () => namespace.wrap(inject('binary')),
    async environment(simulator, id) {
      known.simulator = simulator;
      await leadTo(namespace, simulator.imdsEndpoint(id), metadata, 80);
      const introspection = new URL(simulator.introspectionEndpoint(id));
      await leadTo(namespace, introspection.href, introspection.hostname, Number(introspection.port));
      // Only the content of the machine's own file.
      return { AWS_ENDPOINT_URL: '', AWS_EC2_METADATA_SERVICE_ENDPOINT: '' };
    },
    prepare: (node) =>
      node.write('etc/ecs-node/environment', variables.replaceAll('AUTHORITY', front.authority), 0o600),
  });
  onTestFinished(async () => stage.close());
  const node = await stage.launch();
  return { namespace, front, proxy, stage, node };
}

async function leadTo(namespace: Namespace, url: string, address: string, port: number): Promise<void> {
  const { hostname, port: farPort } = new URL(url);
  await namespace.lead(address, port, pipeTo(hostname, Number(farPort)));
}

async function joins({ stage, node }: Place): Promise<void> {
  expect(await node.boot(), node.log.map((line) => JSON.stringify(line)).join('\n')).toBe(0);
  await waitFor('in service', () => node.state() === 'InService', 60_000);
  await waitFor('metrics', () => stage.simulator.calls.find({ operation: 'PutMetricData' }).length > 0, 60_000);
}

/** Waits until the bootstrap says so, while it goes on trying; the state of its instance. */
async function stateWhenTold(scope: Place, what: RegExp): Promise<string | undefined> {
  const booting = scope.node.boot();
  await waitFor(String(what), () => what.test(said(scope)), 40_000);
  scope.node.kill();
  await booting;
  return scope.stage.simulator.world.instances.get(scope.node.id)?.state;
}

const said = ({ node }: Place) => node.log.map((line) => JSON.stringify(line)).join('\n');
const viaProxy = `HTTPS_PROXY=http://${proxyAddress}:3128\nAWS_CA_BUNDLE=AUTHORITY\n`;
const host = (service: string) => `${service}.${region}.amazonaws.com`;

describe('a node behind a proxy', () => {
  test('joins through it, set once in /etc/ecs-node/environment, and shows its password nowhere', async () => {
    const scope = await openPlace({
      variables: `HTTPS_PROXY="http://node:canary%40proxy@${proxyAddress}:3128"\nNO_PROXY=169.254.169.254\nAWS_CA_BUNDLE=AUTHORITY\n`,
    });
    await joins(scope);
    const { proxy, node } = scope;
    expect(new Set(proxy.tunnels)).toEqual(
      new Set(['ec2', 'ecs', 'autoscaling', 'monitoring'].map((service) => `${host(service)}:443`)),
    );
    expect(new Set(proxy.keys)).toEqual(new Set([`Basic ${Buffer.from('node:canary@proxy').toString('base64')}`]));
    expect(proxy.others).toEqual([]);
    const doctor = await node.run(['--verbose', 'doctor']);
    expect(`${said(scope)}${doctor.stdout}${doctor.stderr}`).not.toMatch(/canary/);
  });

  test('reaches interface endpoints in NO_PROXY directly, and the rest through the proxy', async () => {
    const scope = await openPlace({
      variables: `https_proxy=${proxyAddress}:3128\nno_proxy=.internal,ecs.${region}.amazonaws.com:443 10.0.0.0/8\nAWS_CA_BUNDLE=AUTHORITY\n`,
      async build({ namespace, front }) {
        await namespace.lead('10.0.1.1', 443, front.answer);
        await namespace.nameHosts({ [host('ecs')]: '10.0.1.1' });
      },
    });
    await joins(scope);
    expect(scope.front.hosts()).toContain(host('ecs'));
    expect(new Set(scope.proxy.tunnels)).toEqual(
      new Set(['ec2', 'autoscaling', 'monitoring'].map((service) => `${host(service)}:443`)),
    );
  });

  test('trusts a proxy that speaks TLS itself by the same authority', async () => {
    const place = await openPlace({
      variables: `HTTPS_PROXY=https://node:secret@${proxyAddress}:3128\nAWS_CA_BUNDLE=AUTHORITY\n`,
      proxySpeaksTls: true,
    });
    await joins(place);
    expect(place.proxy.tunnels).toContain(`${host('ecs')}:443`);
  });

  test('gets the installer of OpsWorks and the documents in S3 through it as well', async () => {
    const scope = await openPlace({
      variables: `${viaProxy}AWS_ENDPOINT_URL_OPSWORKS=https://${host('opsworks')}\n`,
      flags: [...opsworks, ...settings({ 'refresh.source': 's3://our.bucket/nodes/', 'refresh.everySeconds': 30 })],
    });
    const { node, stage, front, namespace, proxy } = scope;
    const { simulator } = stage;
    simulator.verbs.putObject('our.bucket', 'nodes/name.yaml', 'metrics: {namespace: FromBucket}\n');
    // The simulator tells its own address. The installer itself, a shell script, is led there; the
    // download is not.
    const { host: far, hostname, port } = new URL(simulator.endpoint);
    front.rewrite = (text) => text.replaceAll(`http://${far}/`, `https://${host('installer')}/`);
    await leadTo(namespace, simulator.endpoint, hostname, Number(port));
    const own = new URL(simulator.imdsEndpoint(node.id));
    await leadTo(namespace, own.href, own.hostname, Number(own.port));
    await joins(scope);
    expect(proxy.tunnels).toContain(`${host('installer')}:443`);
    expect(proxy.tunnels).toContain(`${host('opsworks')}:443`);
    await waitFor('the bucket is read', () => node.log.some(({ message }) => /refresh|pulled/.test(message)), 60_000);
    expect(proxy.tunnels).toContain(`${host('s3')}:443`);
  });

  test.each([
    [407, /the proxy http:\/\/10\.0\.0\.2:3128 \(HTTPS_PROXY\) answered 407; it wants a user and password/],
    [403, /answered 403; allow \S+\.us-east-1\.amazonaws\.com on the proxy, or exclude it by NO_PROXY/],
  ])('names the remedy when the proxy answers %d, and does not end', async (proxyStatus, remedy) => {
    expect(await stateWhenTold(await openPlace({ variables: viaProxy, proxyStatus }), remedy)).toBe('running');
  });

  test('reports a proxy that inspects TLS with an unknown authority', async () => {
    const scope = await openPlace({ variables: `HTTPS_PROXY=http://${proxyAddress}:3128\n` });
    expect(await stateWhenTold(scope, /certificate is from an unknown authority: .*AWS_CA_BUNDLE/)).toBe('running');
  });

  test('reports a proxy that does not listen', async () => {
    const scope = await openPlace({ variables: `HTTPS_PROXY=http://${proxyAddress}:3129\nAWS_CA_BUNDLE=AUTHORITY\n` });
    expect(
      await stateWhenTold(
        scope,
        /the proxy http:\/\/10\.0\.0\.2:3129 \(HTTPS_PROXY\) failed: connect ECONNREFUSED 10\.0\.0\.2:3129/,
      ),
    ).toBe('running');
  });

  test('reports a login page in place of AWS, and does not end', async () => {
    const scope = await openPlace({ variables: viaProxy });
    scope.front.instead = (_, respond) => {
      respond(403, { 'content-type': 'text/html; charset=utf-8' }, '<!DOCTYPE html><h1>Please log in</h1>');
      return true;
    };
    expect(await stateWhenTold(scope, /answered 403 with a web page, which is not from AWS/)).toBe('running');
  });
});

test('logs the host, and the ways out that it has, when nothing leads to AWS', async () => {
  expect(
    await stateWhenTold(
      await openPlace({}),
      /amazonaws\.com: getaddrinfo E\w+ .*Set HTTPS_PROXY in \/etc\/ecs-node\/environment, or create an interface endpoint/,
    ),
  ).toBe('running');
});

describe('a node in an IPv6-only subnet', () => {
  const routed = async ({ namespace }: { namespace: Namespace }) => {
    // As DHCPv6 and the router's advertisement leave it: a way by IPv6, none by IPv4.
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far0');
    namespace.ip('link', 'set', 'eth0', 'up');
    namespace.ip('link', 'set', 'far0', 'up');
    namespace.ip('-6', 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0');
  };

  test('finds metadata and the dual-stack endpoints by itself, and joins', async () => {
    const scope = await openPlace({
      metadata: 'fd00:ec2::254',
      variables: 'AWS_CA_BUNDLE=AUTHORITY\n',
      async build({ namespace, front }) {
        await routed({ namespace });
        await namespace.lead('2001:db8::1', 443, front.answer);
        const hosts = ['ec2', 'ecs', 'autoscaling', 'monitoring'].map((service) => `${service}.${region}.api.aws`);
        await namespace.nameHosts(Object.fromEntries(hosts.map((name) => [name, '2001:db8::1'])));
      },
    });
    await joins(scope);
    expect(scope.front.hosts()).toContain(`ecs.${region}.api.aws`);
  });

  test('reaches an interface endpoint that has IPv6 by its ordinary name', async () => {
    const scope = await openPlace({
      metadata: 'fd00:ec2::254',
      variables: 'AWS_CA_BUNDLE=AUTHORITY\n',
      async build({ namespace, front }) {
        await routed({ namespace });
        await namespace.lead('2001:db8::1', 443, front.answer);
        const hosts = ['ec2', 'ecs', 'autoscaling', 'monitoring'].map(host);
        await namespace.nameHosts(Object.fromEntries(hosts.map((name) => [name, '2001:db8::1'])));
      },
    });
    await joins(scope);
    expect(scope.front.hosts()).toContain(host('ecs'));
  });
});

describe('a node with interface endpoints only', () => {
  const reachable = ['ec2', 'ecs', 'autoscaling'];
  const withEndpoints = (services: readonly string[]) => ({
    variables: 'AWS_CA_BUNDLE=AUTHORITY\n',
    async build({ namespace, front }: { namespace: Namespace; front: Front }) {
      await namespace.lead('10.0.1.1', 443, front.answer);
      const hosts = Object.fromEntries(services.map((service) => [host(service), '10.0.1.1']));
      // DNS knows the last one, but its security group lets nobody in.
      await namespace.nameHosts({ ...hosts, [host('ecs-t-1')]: '10.0.1.2' });
      namespace.ip('address', 'add', '10.0.1.2/32', 'dev', 'lo');
    },
  });

  /** As AWS names the agent's hosts. */
  const nameAgentHosts = ({ front, stage }: Place) => {
    const own = `${stage.simulator.endpoint}/`;
    front.rewrite = (text) =>
      text
        .replace(`"endpoint":"${own}"`, `"endpoint":"https://${host('ecs-a-1')}/"`)
        .replace(`"telemetryEndpoint":"${own}"`, `"telemetryEndpoint":"https://${host('ecs-t-1')}/"`);
  };

  test('lists each missing endpoint in doctor, those of the ECS agent too, within seconds', async () => {
    const scope = await openPlace({
      ...withEndpoints([...reachable, 'ssm', 'ec2messages', 'ecs-a-1']),
      flags: settings({ registrar: 'ssm' }),
    });
    nameAgentHosts(scope);
    const { node } = scope;
    expect(await node.run(['configure', '--cluster', 'demo', '--registrar', 'ssm'])).toMatchObject({ code: 0 });
    const began = performance.now();
    const { code, stdout } = await node.run(['doctor']);
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ok +network: reached: ecs, ec2, autoscaling, ssm, ec2messages, ecs-agent$/m);
    for (const [service, name] of [
      ['monitoring', 'monitoring'],
      ['ssmmessages', 'ssmmessages'],
      ['ecs-telemetry', 'ecs-t-1'],
    ] as const) {
      expect(stdout).toMatch(
        new RegExp(
          `^WRONG +network: ${service} is not reached: ${name}\\.us-east-1\\.amazonaws\\.com: .*interface endpoint com\\.amazonaws\\.us-east-1\\.${service} with private DNS`,
          'm',
        ),
      );
    }
    expect(stdout).toMatch(
      /^unsure +permission: 1 of monitoring were not tried: the node does not reach that service$/m,
    );
  });

  test('reports in check, doctor and bootstrap that OpsWorks has retired', async () => {
    const scope = await openPlace({ ...withEndpoints(reachable), flags: [...opsworks] });
    const { node, stage } = scope;
    const retired = /OpsWorks Stacks retired on 26 May 2024: set AWS_ENDPOINT_URL_OPSWORKS .* or choose registrar ssm/;
    expect(await stateWhenTold(scope, retired)).toBe('running');
    expect(stage.simulator.calls.find({ service: 'opsworks' })).toEqual([]);
    const doctor = await node.run(['doctor']);
    expect(doctor.stdout.split('\n').find((line) => line.includes('opsworks is not reached'))).toMatch(retired);
    const check = await node.run(['check']);
    expect([check.code, check.stderr]).toEqual([0, expect.stringMatching(retired)]);
  });

  test('names the trust policy of a role that EC2 may not assume, in bootstrap and doctor, and does not end', async () => {
    const scope = await openPlace(withEndpoints(reachable));
    const { node, stage } = scope;
    await stage.simulator.verbs.setMetadata(node.id, { unassumable: true });
    expect(await stateWhenTold(scope, /its trust policy does not let ec2\.amazonaws\.com/)).toBe('running');
    const { code, stdout } = await node.run(['doctor']);
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^WRONG +instance profile: .*AssumeRoleUnauthorizedAccess.*sts:AssumeRole/m),
    ]);
  });
});
