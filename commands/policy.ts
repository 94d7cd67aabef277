/** `ecs-node policy`: prints the IAM policy that this configuration needs. */

import { ecsAgentPermissions, systemsManagerPermissions } from '../core/agent-permissions.ts';
import { Unavailable } from '../core/errors.ts';
import { fleetPermissions, sweepPermissions } from '../core/fleet-permissions.ts';
import { explainFleetPolicy, fleetPolicy, type FleetPermission } from '../core/fleet-policy.ts';
import { partitionOf, type Identity } from '../core/identity.ts';
import { within } from '../core/patience.ts';
import { explainPolicy, policyFor, type Place } from '../core/policy.ts';
import { serviceSizePermissions } from '../core/service-size-permissions.ts';
import { isSet, textOf, type Caller, type Run, type Words } from './command.ts';
import { settingFlags } from './flags.ts';
import { readFileLayers, settle } from './load-config.ts';
import { openGround } from './open-host.ts';
import { layersOfFlags, settingsOfFlags } from './sources/flags.ts';
import { readOutside, type Outside } from './sources/outside.ts';

/** Elsewhere than on a node nothing answers, and a person is waiting. */
const metadataMs = 1_000;

/** The tables behind `--for`. */
const permissionsOf: Readonly<Record<string, readonly FleetPermission[]>> = {
  'ecs-agent': ecsAgentPermissions,
  'systems-manager': systemsManagerPermissions,
  fleet: fleetPermissions,
  sweep: sweepPermissions,
  'service-size': serviceSizePermissions,
};

export const policy: Run = async (caller, words, signal) => {
  const permissions = permissionsOf[textOf(words, 'for') ?? ''];
  if (permissions !== undefined) return printFleetPolicy(permissions, caller, words, signal);
  const ground = openGround(caller);
  const files = await readFileLayers(ground.machine, caller);
  const node = await readNode(caller, signal);
  const { config } = settle(files, layersOfFlags(settingsOfFlags(settingFlags, words)), node?.outside);
  if (isSet(words, 'explain')) caller.print(`${explainPolicy(config).join('\n')}\n`);
  else caller.print(`${JSON.stringify(policyFor(config, placeOf(words, node)), undefined, 2)}\n`);
  return 0;
};

async function printFleetPolicy(
  permissions: readonly FleetPermission[],
  caller: Caller,
  words: Words,
  signal: AbortSignal,
): Promise<number> {
  if (isSet(words, 'explain')) {
    caller.print(`${explainFleetPolicy(permissions).join('\n')}\n`);
    return 0;
  }
  const subject = {
    cluster: textOf(words, 'cluster') ?? '*',
    service: textOf(words, 'service') ?? '*',
    group: textOf(words, 'group'),
    apply: isSet(words, 'apply'),
  };
  const place = placeOf(words, await readNode(caller, signal));
  caller.print(`${JSON.stringify(fleetPolicy(permissions, subject, place), undefined, 2)}\n`);
  return 0;
}

/** Flags first, then the node that this runs on, then wildcards. A partition cannot be a wildcard. */
function placeOf(words: Words, node: Node | undefined): Place {
  const given = textOf(words, 'region');
  return {
    partition: given === undefined ? (node?.identity.partition ?? 'aws') : partitionOf(given),
    region: given ?? node?.identity.region ?? '*',
    account: textOf(words, 'account') ?? node?.identity.accountId ?? '*',
    group: textOf(words, 'group') ?? node?.group ?? '*',
  };
}

interface Node {
  identity: Identity;
  outside: Outside;
  group?: string | undefined;
}

/** Undefined elsewhere than on a node: the policy then covers any account and region. */
async function readNode(caller: Caller, signal: AbortSignal): Promise<Node | undefined> {
  if (caller.environment['AWS_EC2_METADATA_DISABLED'] === 'true') return undefined;
  const { metadata, clock } = openGround(caller);
  try {
    const read = async (inner: AbortSignal) => ({
      identity: await metadata.readIdentity(inner),
      outside: await readOutside(metadata, inner),
      group: await metadata.readTag('aws:autoscaling:groupName', inner),
    });
    return await within(metadataMs, read, clock, signal);
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}
