/**
 * A copy of the settings in the user data survives a reboot. At a boot, the metadata service may
 * lose the user data for a moment, and the node would boot without its cluster or with defaults.
 */

import { createHash } from 'node:crypto';
import { parseLayers } from '../config/sources/files.ts';
import type { Outside } from '../config/sources/tags-and-user-data.ts';
import { messageOf } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isUserDataCopy } from '../core/state/state-shape.ts';
import { paths, renderState, type UserDataCopy, type UserDataPart } from '../core/state/state.ts';

/** User data may hold passwords. */
const mode = 0o600;

/** `instanceId`: the copy must be of this instance, and not come with its image. */
export async function readUserDataCopy(machine: Machine, instanceId?: string): Promise<UserDataCopy | undefined> {
  try {
    const copy: unknown = JSON.parse((await machine.readText(paths.userData)) ?? 'null');
    if (!isUserDataCopy(copy)) return undefined;
    const known = copy as UserDataCopy;
    return known.parts.length > 0 && known.instanceId === (instanceId ?? known.instanceId) ? known : undefined;
  } catch {
    return undefined;
  }
}

/** Call it with a valid configuration. Never throws: the copy must keep no node from booting. */
export async function keepUserData(machine: Machine, instanceId: string, outside: Outside, log: Log): Promise<void> {
  const { layers, userData = [], isCopy } = outside;
  if (isCopy === true) return;
  try {
    if (layers.length === 0) await machine.remove(paths.userData);
    else await machine.writeText(paths.userData, renderState({ instanceId, parts: userData }), mode);
  } catch (error) {
    log.warn('copy of the user data not kept', { error: messageOf(error) });
  }
}

/** The sources outside of the files, with the user data of the copy. */
export function withUserDataCopy(outside: Outside, { parts }: UserDataCopy): Outside {
  const problem = `it lists no user data; the settings of an earlier boot still count (remove ${paths.userData} to boot without them)`;
  return {
    ...outside,
    ...parseLayers(parts),
    userData: parts,
    isCopy: true,
    warnings: [...outside.warnings, { path: 'the metadata service', problem }],
  };
}

/** `undefined`: user data that cannot be opened. */
export function fingerprintOf(parts: readonly UserDataPart[] | undefined): string {
  const texts = parts?.map(({ text }) => text) ?? null;
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}
