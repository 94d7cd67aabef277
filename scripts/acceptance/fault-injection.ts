/**
 * AWS Fault Injection Service, as far as one spot interruption needs it. Signed by hand: the SDK's
 * client for it would be the only reason to install one more package.
 */

import { Sha256 } from '@aws-crypto/sha256-js';
import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { SignatureV4 } from '@smithy/signature-v4';

export interface FaultInjection {
  /** Announces the interruption in two minutes, and takes the instance then. Returns its id. */
  interrupt(instanceArn: string, roleArn: string): Promise<{ experiment: string; template: string }>;
  /** `initiating`, `running`, `completed`, `failed` … and why. */
  readState(experiment: string): Promise<{ status: string; reason: string }>;
  deleteTemplate(template: string): Promise<void>;
}

export function openFaultInjection(
  region: string,
  asked: string | undefined,
  environment: NodeJS.ProcessEnv,
): FaultInjection {
  const told = asked ?? environment['AWS_ENDPOINT_URL_FIS'] ?? environment['AWS_ENDPOINT_URL'];
  const endpoint = told ?? `https://fis.${region}.amazonaws.com`;
  const signer = new SignatureV4({ service: 'fis', region, credentials: fromNodeProviderChain(), sha256: Sha256 });
  const call = async (method: string, path: string, input?: object): Promise<Record<string, unknown>> => {
    const { protocol, hostname, port, host } = new URL(endpoint);
    const body = input === undefined ? {} : { body: JSON.stringify(input) };
    const headers = { host, 'content-type': 'application/json' };
    const number = port === '' ? {} : { port: Number(port) };
    const signed = await signer.sign({ method, protocol, hostname, ...number, path, headers, ...body });
    const answer = await fetch(new URL(path, endpoint), { method, headers: signed.headers, ...body });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`fis: ${answer.status} ${answer.headers.get('x-amzn-errortype') ?? ''} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  return {
    async interrupt(instanceArn, roleArn) {
      const { experimentTemplate } = await call('POST', '/experimentTemplates', templateOf(instanceArn, roleArn));
      const template = idOf(experimentTemplate);
      const { experiment } = await call('POST', '/experiments', {
        clientToken: crypto.randomUUID(),
        experimentTemplateId: template,
      });
      return { experiment: idOf(experiment), template };
    },
    async readState(experiment) {
      const { experiment: found } = await call('GET', `/experiments/${experiment}`);
      const { state = {} } = found as { state?: { status?: string; reason?: string } };
      return { status: state.status ?? 'unknown', reason: state.reason ?? '' };
    },
    deleteTemplate: async (template) => void (await call('DELETE', `/experimentTemplates/${template}`)),
  };
}

/** The request for an experiment with one target and one action. */
export function templateOf(instanceArn: string, roleArn: string): object {
  return {
    clientToken: crypto.randomUUID(),
    description: 'ecs-node acceptance: one spot interruption',
    roleArn,
    stopConditions: [{ source: 'none' }],
    targets: { node: { resourceType: 'aws:ec2:spot-instance', resourceArns: [instanceArn], selectionMode: 'ALL' } },
    actions: {
      interrupt: {
        actionId: 'aws:ec2:send-spot-instance-interruptions',
        parameters: { durationBeforeInterruption: 'PT2M' },
        targets: { SpotInstances: 'node' },
      },
    },
  };
}

function idOf(thing: unknown): string {
  const { id } = (thing ?? {}) as { id?: unknown };
  if (typeof id !== 'string') throw new Error('fis: the answer has no id');
  return id;
}
