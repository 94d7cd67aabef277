/** Fills the templates of host name and Name tag. */

import type { Config } from '../core/config.ts';
import type { Placeholder } from '../core/schema.ts';
import { ConfigError } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import type { Trail } from './step.ts';
import { ask } from './waiting.ts';

/** What OpsWorks takes, and DNS: one label. */
const hostnameRule = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;

/** EC2's limit for the value of a tag. */
const tagValueLength = 256;

export function renderTemplate(template: string, values: Readonly<Record<Placeholder, string>>): string {
  return template.replace(/\{([^}]*)\}/g, (whole, word: string) => values[word as Placeholder] ?? whole);
}

/** The host name that the configuration asks for; undefined when it leaves the choice to OpsWorks or EC2. */
export async function renderHostname(
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (config.hostname === '') return undefined;
  // Within its own template, {hostname} can only be the name that EC2 gave.
  const values = await readValues(config.hostname, host.identity.hostname, host, config, trail, signal);
  const hostname = renderTemplate(config.hostname, values);
  if (hostnameRule.test(hostname)) return hostname;
  throw new ConfigError([
    {
      path: 'hostname',
      problem: `"${config.hostname}" gives "${hostname}" here; a host name is 1 to 63 letters, digits and inner hyphens`,
    },
  ]);
}

export async function renderNameTag(
  hostname: string,
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
): Promise<string> {
  const values = await readValues(config.name, hostname, host, config, trail, signal);
  return renderTemplate(config.name, values).slice(0, tagValueLength);
}

async function readValues(
  template: string,
  hostname: string,
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
): Promise<Record<Placeholder, string>> {
  const { instanceId, zone, region, instanceType, privateIp } = host.identity;
  const membership = template.includes('{group}')
    ? await ask(host, trail, signal, (inner) => host.cloud.readMembership(inner))
    : undefined;
  return {
    cluster: config.cluster,
    hostname,
    instanceId,
    // As many digits as old instance ids had: enough to be unique in a cluster, short enough for a host name.
    shortId: instanceId.slice(-8),
    zone,
    region,
    instanceType,
    group: membership?.group ?? '',
    privateIp,
  };
}
