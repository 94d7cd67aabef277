/** `ecs-node policy`: prints the IAM policy that this configuration needs. */

import { ecsAgentPermissions, systemsManagerPermissions } from '../iam/agent-permissions.ts';
import { Unavailable } from '../core/errors.ts';
import { fleetPermissions, sweepPermissions } from '../iam/fleet-permissions.ts';
import { explainFleetPolicy, fleetPolicy, type FleetPermission } from '../iam/fleet-policy.ts';
import { partitionOf, type Identity } from '../core/identity.ts';
import { withTimeout } from '../core/retry.ts';
import { explainPolicy, policyFor, type PolicyScope } from '../iam/policy.ts';
import { serviceSizePermissions } from '../iam/service-size-permissions.ts';
import { isSet, listOf, textOf, type CommandContext, type Run, type ParsedArgs } from '../cli/command.ts';
import { settingFlags } from './flags.ts';
import { readFileLayers, resolveConfig } from '../config/load-config.ts';
import { openLocalHost } from './node/open-host.ts';
import { layersOfFlags, settingsOfFlags } from '../config/sources/flags.ts';
import { readOutside, type Outside } from '../config/sources/tags-and-user-data.ts';

/** Outside of a node no metadata service answers, and a person waits. */
const metadataMs = 1_000;

/** The tables behind `--for`. */
const permissionsOf: Readonly<Record<string, readonly FleetPermission[]>> = {
  'ecs-agent': ecsAgentPermissions,
  'systems-manager': systemsManagerPermissions,
  fleet: fleetPermissions,
  sweep: sweepPermissions,
  'service-size': serviceSizePermissions,
};

export const policy: Run = async (context, args, signal) => {
  const permissions = permissionsOf[textOf(args, 'for') ?? ''];
  if (permissions !== undefined) return printFleetPolicy(permissions, context, args, signal);
  const localHost = openLocalHost(context);
  const files = await readFileLayers(localHost.machine, context);
  const node = await readNode(context, signal);
  const { config } = resolveConfig(files, layersOfFlags(settingsOfFlags(settingFlags, args)), node?.outside);
  if (isSet(args, 'explain')) context.print(`${explainPolicy(config).join('\n')}\n`);
  else printPolicy(policyFor(config, scopeOf(args, node)), context);
  return 0;
};

async function printFleetPolicy(
  permissions: readonly FleetPermission[],
  context: CommandContext,
  args: ParsedArgs,
  signal: AbortSignal,
): Promise<number> {
  if (isSet(args, 'explain')) {
    context.print(`${explainFleetPolicy(permissions).join('\n')}\n`);
    return 0;
  }
  const services = listOf(args, 'service');
  const subject = {
    cluster: textOf(args, 'cluster') ?? '*',
    service: services.length > 0 ? services : '*',
    group: textOf(args, 'group'),
    apply: isSet(args, 'apply'),
  };
  const scope = scopeOf(args, await readNode(context, signal));
  printPolicy(fleetPolicy(permissions, subject, scope), context);
  if (subject.cluster === '*' && permissions.some(({ reach }) => reach === 'cluster'))
    context.log.warn('the policy covers every cluster', { remedy: '--cluster NAME limits it to one' });
  if (subject.apply && permissions.every(({ acts }) => acts !== true))
    context.log.warn('--apply adds no permission here: these only read, or are needed anyway');
  return 0;
}

/** A wildcard instead of a name is easily overlooked in a long policy. */
function printPolicy(printed: object, { print, log }: Pick<CommandContext, 'print' | 'log'>): void {
  const text = JSON.stringify(printed, undefined, 2);
  print(`${text}\n`);
  if (text.includes('autoScalingGroupName/*"'))
    log.warn('the policy covers every Auto Scaling group', { remedy: '--group NAME limits it to one' });
}

/** Flags first, then this node, then wildcards. A partition cannot be a wildcard. */
function scopeOf(args: ParsedArgs, node: PolicyNode | undefined): PolicyScope {
  const given = textOf(args, 'region');
  return {
    partition: given === undefined ? (node?.identity.partition ?? 'aws') : partitionOf(given),
    region: given ?? node?.identity.region ?? '*',
    account: textOf(args, 'account') ?? node?.identity.accountId ?? '*',
    group: textOf(args, 'group') ?? node?.group ?? '*',
  };
}

interface PolicyNode {
  identity: Identity;
  outside: Outside;
  group?: string | undefined;
}

/** Undefined outside of a node. The policy then covers any account and region. */
async function readNode(context: CommandContext, signal: AbortSignal): Promise<PolicyNode | undefined> {
  if (context.environment['AWS_EC2_METADATA_DISABLED'] === 'true') return undefined;
  const { metadata, clock } = openLocalHost(context);
  try {
    const read = async (callSignal: AbortSignal) => ({
      identity: await metadata.readIdentity(callSignal),
      outside: await readOutside(metadata, callSignal),
      group: await metadata.readTag('aws:autoscaling:groupName', callSignal),
    });
    return await withTimeout(metadataMs, read, clock, signal);
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}
