/** `ecs-node policy`: prints the IAM policy that this configuration needs. */

import { Unavailable } from '../core/errors.ts';
import { fleetPermissions, sweepPermissions } from '../core/fleet-permissions.ts';
import { explainFleetPolicy, fleetPolicy, type FleetPermission } from '../core/fleet-policy.ts';
import type { Identity } from '../core/identity.ts';
import { within } from '../core/patience.ts';
import { explainPolicy, policyFor, type Place } from '../core/policy.ts';
import { serviceSizePermissions } from '../core/service-size-permissions.ts';
import { isSet, textOf, type Caller, type Run, type Words } from './command.ts';
import { readFileLayers, settle } from './load-config.ts';
import { openGround } from './open-host.ts';
import type { Found } from './sources/files.ts';
import { readOutside } from './sources/outside.ts';

/** Elsewhere than on a node nobody answers, and a person waits. */
const metadataMs = 1_000;

/** Whose policy it may be beside a node's, as in `--for`. */
const permissionsOf: Readonly<Record<string, readonly FleetPermission[]>> = {
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
  const { config } = settle(files, [], node?.outside);
  if (isSet(words, 'explain')) caller.print(`${explainPolicy(config).join('\n')}\n`);
  else caller.print(`${JSON.stringify(policyFor(config, placeOf(node)), undefined, 2)}\n`);
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
  const place = placeOf(await readNode(caller, signal));
  caller.print(`${JSON.stringify(fleetPolicy(permissions, subject, place), undefined, 2)}\n`);
  return 0;
}

/** A partition cannot be a wildcard; elsewhere than on a node it is the one that most are in. */
function placeOf(node: Node | undefined): Place {
  const { partition = 'aws', region = '*', accountId: account = '*' } = node?.identity ?? {};
  return { partition, region, account, group: node?.group ?? '*' };
}

interface Node {
  identity: Identity;
  outside: Found;
  group?: string | undefined;
}

/** Undefined where this is no node: the policy is then written for any account and region. */
async function readNode(
  caller: Caller,
  signal: AbortSignal,
): Promise<{ identity: Identity; outside: Found } | undefined> {
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
