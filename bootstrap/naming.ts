/** Fills the templates of host name and Name tag. */

import type { Config } from '../config/config.ts';
import type { Placeholder } from '../config/schema.ts';
import { ConfigError } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { readGroupTag } from '../upkeep/group-tag.ts';
import type { BootstrapContext } from './step.ts';
import { callWithRetry, askNicely } from './poll.ts';

/** What OpsWorks takes, and DNS: one label. */
const hostnameRule = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;

/** EC2 takes 256 characters by its documents, and has refused 256: one less fits in any case. */
const tagValueLength = 255;

export function renderTemplate(template: string, values: Readonly<Record<Placeholder, string>>): string {
  return template.replace(/\{([^}]*)\}/g, (whole, word: string) => values[word as Placeholder] ?? whole);
}

/**
 * The host name that the configuration asks for; undefined when it leaves the choice to OpsWorks or
 * EC2.
 */
export async function renderHostname(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (config.hostname === '') return undefined;
  const group = await readGroupFor(config.hostname, host, config, context, signal);
  // Within its own template, {hostname} can only be the name that EC2 gave.
  const hostname = renderTemplate(config.hostname, valuesOf(host.identity.hostname, group, host, config));
  if (hostnameRule.test(hostname)) return hostname;
  // Only the group's name is missing: EC2's name will do.
  if (group === undefined && config.hostname.includes('{group}') && config.registrar !== 'opsworks') return undefined;
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
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string> {
  const read = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const group = config.name.includes('{group}')
    ? ((await readGroupTag(host, signal)) ??
      (await askNicely('name of the group not known', host, context, signal, read))?.group)
    : undefined;
  return renderTemplate(config.name, valuesOf(hostname, group, host, config)).slice(0, tagValueLength);
}

/**
 * OpsWorks keeps a host name for good, so the node waits for the group's name there. Elsewhere a
 * name is a nicety.
 */
async function readGroupFor(
  template: string,
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!template.includes('{group}')) return undefined;
  const read = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const tagged = await readGroupTag(host, signal);
  if (tagged !== undefined) return tagged;
  const membership =
    config.registrar === 'opsworks'
      ? await callWithRetry(host, context, signal, read)
      : await askNicely('name of the group not known', host, context, signal, read);
  return membership?.group;
}

function valuesOf(
  hostname: string,
  group: string | undefined,
  host: Host,
  config: Config,
): Record<Placeholder, string> {
  const { instanceId, zone, region, instanceType, privateIp } = host.identity;
  return {
    cluster: config.cluster,
    hostname,
    instanceId,
    // As many digits as old instance ids had: enough to be unique in a cluster, short enough for a
    // host name.
    shortId: instanceId.slice(-8),
    zone,
    region,
    instanceType,
    group: group ?? '',
    privateIp,
  };
}
