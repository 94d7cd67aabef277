/**
 * Runs amazon-ec2-metadata-mock as the metadata service of one instance of the simulator. It is
 * AWS's own model of a notice.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { ownAddress } from '../own-address.ts';

export interface MetadataMock {
  /** The standard variables of a process on the instance. */
  environment: Record<string, string>;
  /**
   * Restarts the mock with these arguments. It forgets its tokens, as the service does after
   * hibernation.
   */
  says(...args: string[]): Promise<void>;
  close(): Promise<void>;
}

/** No notice of any kind for a day. */
const quiet = ['--mock-delay-sec', '86400', '--rebalance-delay-sec', '86400', '--asg-termination-delay-sec', '86400'];

export async function openMetadataMock(simulator: Simulator, id: string): Promise<MetadataMock> {
  const folder = await mkdtemp(join(tmpdir(), 'aemm-'));
  const config = join(folder, 'config.json');
  const { host, port } = ownAddress();
  await writeFile(config, JSON.stringify(configFor(simulator, id)));
  const endpoint = `http://${host}:${port}`;
  let child: ChildProcess | undefined;

  async function stop(): Promise<void> {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  async function says(...args: string[]): Promise<void> {
    await stop();
    const server = ['--imdsv2', '--hostname', host, '--port', String(port), '--config-file', config];
    child = spawn('amazon-ec2-metadata-mock', [...args, ...server], { stdio: 'ignore' });
    await once(child, 'spawn');
    const listens = () => fetch(endpoint).then(Boolean, () => false);
    await waitFor('the mock listens', listens);
  }

  await says(...quiet);
  return {
    environment: {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint,
      ...(await readCredentials(simulator.imdsEndpoint(id))),
    },
    says,
    async close() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configFor({ region, world }: Simulator, id: string): object {
  const instance = world.instances.get(id)!;
  const { zone, type, imageId, architecture, privateIp, role } = instance;
  return {
    metadata: {
      values: {
        'ami-id': imageId,
        'instance-id': id,
        'instance-life-cycle': instance.purchase,
        'instance-type': type,
        'local-hostname': `ip-${privateIp.replaceAll('.', '-')}.ec2.internal`,
        'local-ipv4': privateIp,
        'iam-security-credentials-role': role,
      },
    },
    dynamic: {
      values: {
        'instance-identity-document': {
          accountId: world.accountId,
          availabilityZone: zone,
          instanceId: id,
          instanceType: type,
          imageId,
          architecture,
          privateIp,
          region,
          version: '2017-09-30',
        },
      },
    },
  };
}

/** No service accepts the mock's own keys. */
async function readCredentials(imds: string): Promise<Record<string, string>> {
  const ask = async (path: string, method: string, headers: Record<string, string>) =>
    (await fetch(`${imds}/latest/${path}`, { method, headers })).text();
  const token = await ask('api/token', 'PUT', { 'x-aws-ec2-metadata-token-ttl-seconds': '60' });
  const get = (path: string) => ask(path, 'GET', { 'x-aws-ec2-metadata-token': token });
  const folder = 'meta-data/iam/security-credentials/';
  const keys = JSON.parse(await get(folder + (await get(folder)))) as Record<string, string>;
  return {
    AWS_ACCESS_KEY_ID: keys['AccessKeyId']!,
    AWS_SECRET_ACCESS_KEY: keys['SecretAccessKey']!,
    AWS_SESSION_TOKEN: keys['Token']!,
  };
}
