/** A simulator and SDK clients for it, closed after each test. */

import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECSClient } from '@aws-sdk/client-ecs';
import { ElasticLoadBalancingClient } from '@aws-sdk/client-elastic-load-balancing';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { OpsWorksClient } from '@aws-sdk/client-opsworks';
import { SSMClient } from '@aws-sdk/client-ssm';
import { request } from 'node:http';
import { onTestFinished } from 'vitest';
import {
  operatorCredentials,
  startSimulator,
  type Simulator,
  type SimulatorOptions,
} from '../../simulator/simulator.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** Nothing waits: what takes its time is told by the test that is about it. */
export const quick = {
  ec2: { pendingMs: 5, shuttingDownMs: 20, stoppingMs: 10 },
  autoscaling: {
    reconcileMs: 5,
    enterWaitMs: 10,
    proceedMs: 5,
    imdsTerminatedMs: 1,
    imdsInServiceMs: 1,
    healthCheckMs: 10,
    terminateRetryMs: 30,
  },
  ecs: {
    registerMs: 5,
    schedulerMs: 2,
    provisioningMs: 2,
    pendingMs: 5,
    deactivatingMs: 5,
    stoppingMs: 20,
    deprovisioningMs: 5,
    noticeDeathMs: 5,
  },
  opsworks: {
    registeringMs: 20,
    assigningMs: 5,
    setupMs: 10,
    unassigningMs: 5,
    deregisteringMs: 5,
    protectAfterMs: 10,
    connectionLostMs: 10,
    listingLagMs: 0,
  },
  ssm: { onlineAfterMs: 10, connectionLostMs: 10 },
  elb: { initialMs: 5 },
};

export async function open(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator({ settings: quick, ...options });
  onTestFinished(() => simulator.close());
  return simulator;
}

export function clients({ endpoint, region }: Simulator, credentials: Credentials = operatorCredentials) {
  const config = { endpoint, region, credentials, maxAttempts: 1 };
  const all = {
    autoscaling: new AutoScalingClient(config),
    cloudwatch: new CloudWatchClient(config),
    ec2: new EC2Client(config),
    ecs: new ECSClient(config),
    elb: new ElasticLoadBalancingClient(config),
    elbv2: new ElasticLoadBalancingV2Client(config),
    opsworks: new OpsWorksClient(config),
    ssm: new SSMClient(config),
  };
  onTestFinished(() => Object.values(all).forEach((client) => client.destroy()));
  return all;
}

export interface Answer {
  status: number;
  body: string;
}

export function httpRequest(
  url: string,
  method = 'GET',
  headers: Record<string, string> = {},
  body = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export async function imdsToken(base: string): Promise<string> {
  const header = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
  return (await httpRequest(`${base}/latest/api/token`, 'PUT', header)).body;
}

/** With a token of its own. */
export async function metadata(base: string, path: string): Promise<Answer> {
  return await httpRequest(`${base}/latest/${path}`, 'GET', { 'x-aws-ec2-metadata-token': await imdsToken(base) });
}

export async function roleCredentials(simulator: Simulator, instanceId: string): Promise<Credentials> {
  const base = simulator.imdsEndpoint(instanceId);
  const { body: role } = await metadata(base, 'meta-data/iam/security-credentials/');
  const { body } = await metadata(base, `meta-data/iam/security-credentials/${role}`);
  const { AccessKeyId, SecretAccessKey, Token } = JSON.parse(body) as Record<string, string>;
  return { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey!, sessionToken: Token! };
}

/** The code as it was on the wire. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { Code, code, name } = error as { Code?: string; code?: string; name: string };
    return Code ?? code ?? name;
  }
  return 'ok';
}
