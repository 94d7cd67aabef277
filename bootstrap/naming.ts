/** Fills the templates of the host name and the Name tag. */

import type { Config } from '../config/config.ts';
import type { Placeholder } from '../config/schema.ts';
import { ConfigError, Unavailable } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { propagationMs } from '../core/retry.ts';
import { registrarTraits } from '../core/state/state.ts';
import { readGroupTag, readMembership } from '../upkeep/group-tag.ts';
import type { BootstrapContext } from './step.ts';
import { callWithRetry, tryOptional } from './poll.ts';

/** One DNS label, which OpsWorks accepts as well. */
const hostnameRule = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;

/** EC2 documents 256 characters, but has refused a value of 256. 255 always fits. */
const tagValueLength = 255;

export function renderTemplate(template: string, values: Readonly<Record<Placeholder, string>>): string {
  return template.replace(/\{([^}]*)\}/g, (whole, word: string) => values[word as Placeholder] ?? whole);
}

/**
 * The host name from the configuration's template. Undefined leaves the choice to the registrar or
 * EC2. Only a template that no usual value makes valid is a ConfigError.
 */
export async function renderHostname(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (config.hostname === '') return undefined;
  const group = await readGroupFor(config.hostname, keepsHostname(config), host, context, signal);
  // Within the host name's template, {hostname} can only be the name that EC2 gave.
  const hostname = renderTemplate(config.hostname, valuesOf(host.identity.hostname, group, host, config));
  if (hostnameRule.test(hostname)) return hostname;
  const problem = `"${config.hostname}" gives "${hostname}" here; a host name is 1 to 63 letters, digits and inner hyphens`;
  if (!isValidTemplate(config.hostname, host, config)) throw new ConfigError([{ path: 'hostname', problem }]);
  if (keepsHostname(config)) throw new Unavailable(`hostname: ${problem}`);
  host.log.warn('host name not usable, so the one from EC2 counts', { error: problem });
  return undefined;
}

/**
 * True when usual values from outside make a host name of the template. Each of them (EC2's name,
 * the zone, the type, the group) may be missing, odd or wrong for a moment.
 */
function isValidTemplate(template: string, host: Host, config: Config): boolean {
  const usual = { zone: `${host.identity.region}a`, instanceType: 'm5.large' };
  const values = { ...valuesOf('ip-10-0-0-7', 'web', host, config), ...usual };
  return hostnameRule.test(renderTemplate(template, values));
}

export async function renderNameTag(
  hostname: string,
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string> {
  const group = await readGroupFor(config.name, false, host, context, signal);
  return renderTemplate(config.name, valuesOf(hostname, group, host, config)).slice(0, tagValueLength);
}

/** Where nobody keeps the name for good, the node does not wait for an Auto Scaling in trouble. */
const briefMs = 2 * propagationMs;

/** `isKept`: a registrar keeps the name for good, so the node waits for the group's name. */
async function readGroupFor(
  template: string,
  isKept: boolean,
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!template.includes('{group}')) return undefined;
  const tagged = await readGroupTag(host, signal);
  if (tagged !== undefined) return tagged;
  const read = (callSignal: AbortSignal) => readMembership(host, callSignal);
  const membership = isKept
    ? await callWithRetry(host, context, signal, read)
    : await tryOptional('name of the group not known', host, context, signal, read, briefMs);
  return membership?.group;
}

function keepsHostname({ registrar }: Config): boolean {
  return registrarTraits[registrar].keepsHostname;
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
    // 8 digits, as in old instance ids: unique enough in a cluster, short enough for a host name.
    shortId: instanceId.slice(-8),
    zone,
    region,
    instanceType,
    group: group ?? '',
    privateIp,
  };
}
