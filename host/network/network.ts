/** The way of this process to AWS: proxy, IPv4 or IPv6, certificate authorities. */

import type { Agent } from 'node:https';
import type { Environment } from '../environment.ts';
import { parseProxy, type Proxy } from './proxy.ts';
import { isIpv6Only } from './routes.ts';
import { explainNetworkTrouble, tellNetworkTrouble, type Destination, type NetworkTrouble } from './trouble.ts';

type Target = Pick<URL, 'protocol' | 'hostname' | 'port'>;

export interface Network {
  environment: Environment;
  proxy: Proxy | undefined;
  /** A new agent for https. Undefined when Node.js's own is enough. The caller destroys it. */
  openAgent(): Promise<Agent | undefined>;
  /** The reason and the remedy of a failed request, in one line without secrets. */
  tellTrouble(error: unknown, url: Target): string;
  explainTrouble(error: unknown, url: Target): NetworkTrouble;
  /** True when a service must be called at its dual-stack endpoint. `host` is its ordinary one. */
  needsDualStack(host: string): Promise<boolean>;
}

/** Throws a ConfigError when HTTPS_PROXY cannot be used. */
export function openNetwork(environment: Environment): Network {
  const proxy = parseProxy(environment);
  const bundle = environment['AWS_CA_BUNDLE'];
  let isTrusted = false;
  return {
    environment,
    proxy,
    async openAgent() {
      if (proxy === undefined && !bundle) return undefined;
      const { ProxyAgent, trustBundle } = await import('./agent.ts');
      // Once: to parse the certificates of a whole distribution takes some ms.
      if (bundle && !isTrusted) trustBundle(bundle);
      isTrusted = true;
      return proxy === undefined ? undefined : new ProxyAgent(proxy);
    },
    tellTrouble: (error, url) => tellNetworkTrouble(error, destinationOf(url, proxy)),
    explainTrouble: (error, url) => explainNetworkTrouble(error, destinationOf(url, proxy)),
    async needsDualStack(host) {
      const said = environment['AWS_USE_DUALSTACK_ENDPOINT'];
      if (said) return said === 'true';
      // A proxy resolves names itself.
      if (proxy !== undefined || !isIpv6Only()) return false;
      return !(await hasIpv6Address(host));
    },
  };
}

function destinationOf({ protocol, hostname: host, port: given }: Target, proxy: Proxy | undefined): Destination {
  const port = given === '' ? (protocol === 'https:' ? 443 : 80) : Number(given);
  const isProxied = protocol === 'https:' && proxy?.bypasses(host, port) === false;
  return { host, port, proxy: isProxied ? proxy : undefined };
}

/**
 * With an interface endpoint for IPv6, or with DNS64, the ordinary name has an address that this
 * machine reaches.
 */
async function hasIpv6Address(host: string): Promise<boolean> {
  const { lookup } = await import('node:dns/promises');
  return lookup(host, { family: 6 }).then(
    () => true,
    () => false,
  );
}
