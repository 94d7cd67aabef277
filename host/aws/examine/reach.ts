/**
 * Tests the AWS endpoints that this node must reach, all at once. The requests have no signature,
 * so no permission is needed.
 */

import { DiscoverPollEndpointCommand, ECSClient } from '@aws-sdk/client-ecs';
import { messageOf } from '../../../core/errors.ts';
import { sendRequest as askHttp } from '../../http/http.ts';
import type { Network } from '../../network/network.ts';
import { hostOf, isRetired, opsworksRetired, prefixOf } from '../session/endpoints.ts';
import type { Session } from '../session/session.ts';

export interface Reach {
  /** As in the name of an interface endpoint: `ecs`, `ecs-agent`, `monitoring`. */
  service: string;
  /** The URL without a path. */
  origin: string;
  /** Undefined when the endpoint was reached. */
  trouble: { what: string; remedy: string } | undefined;
}

/**
 * A connection takes some ms within a region, and a second through a slow proxy. A person waits.
 */
const reachMs = 5_000;

const maxBytes = 65_536;

/**
 * `services` has the names that AWS_ENDPOINT_URL_NAME uses. Never throws, except for the signal.
 */
export async function reachServices(
  session: Session,
  network: Network,
  services: readonly string[],
  signal: AbortSignal,
): Promise<Reach[]> {
  const { region } = session.identity;
  const own = services.map(async (name): Promise<Reach> => {
    const url = await urlOf(name, region, network);
    return reachOne(prefixOf(name), url, network, signal, remedyFor(name, region, url));
  });
  return (await Promise.all([...own, reachAgentHosts(session, network, signal)])).flat();
}

async function urlOf(name: string, region: string, network: Network): Promise<URL> {
  const given = network.environment[`AWS_ENDPOINT_URL_${name}`] || network.environment['AWS_ENDPOINT_URL'];
  if (given) return new URL(given);
  const host = hostOf(name, region);
  const usesDualStack = await network.needsDualStack(host);
  return new URL(`https://${usesDualStack ? dualStackHost(name, region) : host}`);
}

function dualStackHost(name: string, region: string): string {
  if (name === 'S3') return `s3.dualstack.${region}.amazonaws.com`;
  return `${prefixOf(name)}.${region}.${region.startsWith('cn-') ? 'api.amazonwebservices.com.cn' : 'api.aws'}`;
}

function remedyFor(name: string, region: string, { hostname }: URL): string {
  if (isRetired(name, hostname)) return opsworksRetired;
  const agents = name === 'ECS' ? '; the ECS agent needs those for ecs-agent and ecs-telemetry, too' : '';
  // Systems Manager's agent has its own settings.
  const variable = name.endsWith('MESSAGES') ? undefined : `AWS_ENDPOINT_URL_${name}`;
  return `${howToReach(prefixOf(name), region, variable)}${agents}`;
}

function howToReach(service: string, region: string, variable?: string): string {
  const kind = service === 's3' ? 'gateway endpoint' : 'interface endpoint';
  const dns = service === 's3' ? '' : ' with private DNS';
  const variables = `HTTPS_PROXY${variable === undefined ? '' : ` or ${variable}`}`;
  return `in a subnet without a NAT gateway create the ${kind} com.amazonaws.${region}.${service}${dns} (its security group must let this instance in by port 443), or set ${variables} in /etc/ecs-node/environment`;
}

/**
 * The ECS agent keeps two connections to hosts that ECS names. Each has its own interface endpoint.
 */
async function reachAgentHosts(session: Session, network: Network, signal: AbortSignal): Promise<Reach[]> {
  const { region } = session.identity;
  const found = await discover(session, signal).catch(() => undefined);
  signal.throwIfAborted();
  if (found === undefined) return [];
  const hosts: [string, string | undefined][] = [
    ['ecs-agent', found.endpoint],
    ['ecs-telemetry', found.telemetryEndpoint],
  ];
  return Promise.all(
    hosts.flatMap(([service, text]) => {
      const url = text === undefined ? null : URL.parse(text);
      return url === null ? [] : reachOne(service, url, network, signal, howToReach(service, region));
    }),
  );
}

async function discover({ callAws, settings }: Session, signal: AbortSignal) {
  const client = new ECSClient(settings('ECS'));
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(reachMs)]);
    return await callAws('ecs:DiscoverPollEndpoint', '*', limited, (options) =>
      client.send(new DiscoverPollEndpointCommand({}), options),
    );
  } finally {
    client.destroy();
  }
}

async function reachOne(
  service: string,
  url: URL,
  network: Network,
  signal: AbortSignal,
  remedy: string,
): Promise<Reach> {
  const { origin } = url;
  try {
    const question = { serviceName: url.host, url: new URL('/ping', url), network, timeoutMs: reachMs, maxBytes };
    const { status, headers } = await askHttp(question, signal);
    if (!/^text\/html\b/i.test(headers['content-type'] ?? '')) return { service, origin, trouble: undefined };
    const what = `${url.host} answered ${status} with a web page`;
    return { service, origin, trouble: { what, remedy: 'does a firewall or a captive portal answer in its place?' } };
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error ? error.cause : undefined;
    const trouble = cause === undefined ? undefined : network.explainTrouble(cause, url);
    // The remedy for a fault of a proxy or of TLS is there. Every other fault is a missing route.
    const isWay = trouble?.remedy === undefined || /interface endpoint|security groups/.test(trouble.remedy);
    return {
      service,
      origin,
      trouble: { what: trouble?.what ?? messageOf(error), remedy: isWay ? remedy : trouble.remedy! },
    };
  }
}
