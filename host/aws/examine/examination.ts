/** Finds out which calls AWS allows this node, without any effect. For `ecs-node doctor`. */

import { isDenied, Refused, messageOf } from '../../../core/errors.ts';
import type { Identity } from '../../../core/identity.ts';
import type { Log } from '../../../core/log.ts';
import type { Environment } from '../../environment.ts';
import { sendRequest } from '../../http/http.ts';
import { mustBeSafeEndpoints } from '../../http/endpoint-safety.ts';
import { openNetwork, type Network } from '../../network/network.ts';
import type { Credentials } from '../session/credentials.ts';
import { openAwsCall } from '../fault.ts';
import { clientSettings, type Session } from '../session/session.ts';
import type { ProviderFacts } from './capacity-provider.ts';
import type { MetadataOptions } from './ec2.ts';
import type { GroupFacts } from './group.ts';
import type { Reach } from './reach.ts';
import type { OpenProbes, Subject } from './subject.ts';

export type { MetadataOptions } from './ec2.ts';
export type { GroupFacts } from './group.ts';
export type { Reach } from './reach.ts';
export type { Subject } from './subject.ts';

/** `untried`: no call without an effect can test it. `unknown`: AWS gave no clear answer. */
export type ProbeResult = { kind: 'allowed' | 'untried' } | { kind: 'denied' | 'unknown'; why: string };

export interface Examination {
  /** Never throws, except for the signal. */
  tryAction(action: string, signal: AbortSignal): Promise<ProbeResult>;
  /** The reason for which there are no credentials. Undefined when there are. It is read once. */
  readCredentialsTrouble(): Promise<string | undefined>;
  /** Undefined when AWS does not report them. Throws Refused when the role may not read them. */
  readMetadataOptions(signal: AbortSignal): Promise<MetadataOptions | undefined>;
  /**
   * Undefined when this instance is in no Auto Scaling group. Throws Refused when the role may not
   * read it.
   */
  readGroup(signal: AbortSignal): Promise<GroupFacts | undefined>;
  /** Undefined when this instance is in no group. Throws Refused when the role may not read it. */
  readProvider(signal: AbortSignal): Promise<ProviderFacts | undefined>;
  /** Never throws, except for the signal. It is read once, however often it is called. */
  readReach(signal: AbortSignal): Promise<readonly Reach[]>;
  /**
   * AWS's clock, milliseconds since 1970. Undefined when no answer has a date. Throws Unavailable.
   */
  readClock(signal: AbortSignal): Promise<number | undefined>;
}

const dateTimeoutMs = 5_000;

export function openExamination(identity: Identity, environment: Environment, subject: Subject, log: Log): Examination {
  mustBeSafeEndpoints(environment);
  const network = openNetwork(environment);
  const session = openSession(identity, network, log);
  let reach: Promise<Reach[]> | undefined;
  let trouble: Promise<string | undefined> | undefined;
  return {
    async tryAction(action, signal) {
      const open = await openProbesFor(action);
      const probe = open?.(session, subject)[action];
      if (probe === undefined) return { kind: 'untried' };
      try {
        await probe(signal);
        return { kind: 'allowed' };
      } catch (error) {
        signal.throwIfAborted();
        if (isDenied(error)) return { kind: 'denied', why: messageOf(error) };
        // "No such resource" proves that the permission exists.
        return error instanceof Refused ? { kind: 'allowed' } : { kind: 'unknown', why: messageOf(error) };
      }
    },
    async readCredentialsTrouble() {
      trouble ??= session.readCredentials().then(() => undefined, messageOf);
      return trouble;
    },
    async readMetadataOptions(signal) {
      const { readMetadataOptions } = await import('./ec2.ts');
      return readMetadataOptions(session, signal);
    },
    async readGroup(signal) {
      const { readGroup } = await import('./group.ts');
      return readGroup(session, signal);
    },
    async readProvider(signal) {
      const { readProvider } = await import('./capacity-provider.ts');
      return readProvider(session, subject.cluster, signal);
    },
    async readReach(signal) {
      reach ??= import('./reach.ts').then(async ({ reachServices }) =>
        reachServices(session, network, subject.services, signal),
      );
      return reach;
    },
    async readClock(signal) {
      const endpoint = environment['AWS_ENDPOINT_URL_EC2'] || environment['AWS_ENDPOINT_URL'];
      const url = new URL(
        endpoint ||
          `https://ec2.${identity.region}.amazonaws.com${identity.region.startsWith('cn-') ? '.cn' : ''}/ping`,
      );
      const question = { serviceName: 'EC2', url, network, timeoutMs: dateTimeoutMs, maxBytes: 65_536 };
      const { headers } = await sendRequest(question, signal);
      const at = Date.parse(headers.date ?? '');
      return Number.isNaN(at) ? undefined : at;
    },
  };
}

function openSession(
  identity: Identity,
  network: Network,
  log: Log,
): Session & { readCredentials(): Promise<Credentials> } {
  let credentials: Promise<() => Promise<Credentials>> | undefined;
  const readCredentials = async (): Promise<Credentials> => {
    credentials ??= import('../session/credentials.ts').then(({ openCredentials }) =>
      openCredentials(network.environment, Date.now),
    );
    const read = await credentials;
    return await read();
  };
  return {
    identity,
    readCredentials,
    callAws: openAwsCall(identity.role, log),
    settings: (service, region = identity.region) =>
      clientSettings({ network, credentials: readCredentials, service, region }),
  };
}

async function openProbesFor(action: string): Promise<OpenProbes | undefined> {
  const [service = '', name = ''] = action.split(':');
  if (service === 's3' || name.startsWith('GetParameters'))
    return (await import('./document-sources.ts')).openDocumentSourceProbes;
  return Object.hasOwn(probeModules, service) ? probeModules[service]?.() : undefined;
}

const probeModules: Record<string, () => Promise<OpenProbes>> = {
  ec2: async () => (await import('./ec2.ts')).openEc2Probes,
  autoscaling: async () => (await import('./auto-scaling.ts')).openAutoScalingProbes,
  ecs: async () => (await import('./ecs.ts')).openEcsProbes,
  elasticloadbalancing: async () => (await import('./balancers.ts')).openBalancerProbes,
  opsworks: async () => (await import('../opsworks/examine.ts')).openOpsWorksProbes,
  cloudwatch: async () => (await import('./others.ts')).openOtherProbes,
  events: async () => (await import('./others.ts')).openOtherProbes,
  ssm: async () => (await import('./others.ts')).openOtherProbes,
};
