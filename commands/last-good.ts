/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseWithoutEntries, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host, Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import type { Clock } from '../core/retry.ts';
import { isPlain } from '../config/settings.ts';
import { layersOfTags, readOutside, type Outside, type TagLayer } from '../config/sources/tags-and-user-data.ts';
import { isBootstrapState } from '../core/state/state-shape.ts';
import { paths, type BootstrapState, type UserDataCopy } from '../core/state/state.ts';
import { recordOfTags } from './tags-copy.ts';
import { fingerprintOf, readUserDataCopy, withUserDataCopy } from './user-data-copy.ts';

/** It may hold passwords of registries. */
const mode = 0o600;

/** The content of the file. */
interface Kept {
  /** The last valid configuration. */
  config?: unknown;
  /** The configuration of this boot's bootstrap. */
  booted?: unknown;
  /** The user data had settings. `copy`: in an earlier boot (commands/user-data-copy.ts). */
  userData?: unknown;
  /** The fingerprint of these settings. */
  fingerprint?: unknown;
  tags?: unknown;
  /** Those of `tags` that the last list lacked, and the uptime of the first list without them. */
  missing?: unknown;
}

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(
  machine: Machine,
  config: Config,
  { layers, tags, missing, isCopy, userData }: Pick<Outside, 'layers' | 'tags' | 'missing' | 'isCopy' | 'userData'>,
  log: Log,
): Promise<void> {
  const { booted } = await readKept(machine).catch(nothing);
  const kept = {
    config: settingsOf(config),
    ...(booted !== undefined && { booted }),
    ...(layers.length > 0 && { userData: isCopy === true ? 'copy' : true, fingerprint: fingerprintOf(userData) }),
    ...(tags.length > 0 && { tags: recordOfTags(tags) }),
    ...(missing !== undefined && { missing }),
  };
  await writeKept(machine, kept, log);
}

/** Keeps the configuration of a bootstrap that is done. Never throws. */
export async function keepBooted(machine: Machine, config: Config, log: Log): Promise<void> {
  const kept = await readKept(machine).catch(nothing);
  await writeKept(machine, { ...kept, booted: settingsOf(config) }, log);
}

async function writeKept(machine: Machine, kept: Kept, log: Log): Promise<void> {
  try {
    await machine.writeText(paths.lastGood, `${JSON.stringify(kept)}\n`, mode);
  } catch (error) {
    log.warn('last good configuration not kept', { error: messageOf(error) });
  }
}

const nothing = (): Kept => ({});

/** Empty when the file does not exist or is damaged. */
async function readKept(machine: Machine): Promise<Kept> {
  try {
    const value: unknown = JSON.parse((await machine.readText(paths.lastGood)) ?? 'null');
    return isPlain(value) ? value : {};
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SyntaxError) return {};
    throw error;
  }
}

/**
 * The bootstrap's own counts where a disk that was full for a moment has kept no later one.
 * Undefined when neither exists, or when this version of the program accepts neither.
 */
export async function readLastGood(machine: Machine): Promise<Config | undefined> {
  const { config, booted } = await readKept(machine);
  return parseKept(config) ?? parseKept(booted);
}

/** The last list lacked a tag that still counts. */
export async function lacksTag(machine: Machine): Promise<boolean> {
  return (await readKept(machine).catch(nothing)).missing !== undefined;
}

/**
 * The configuration with which the node booted, as far as it is known. A bootstrap of an older
 * version has kept only its cluster.
 */
export async function readBooted(machine: Machine, wanted: Config): Promise<Config | undefined> {
  const booted = parseKept((await readKept(machine).catch(nothing)).booted);
  if (booted !== undefined) return booted;
  const cluster = await readBootedCluster(machine).catch(() => undefined);
  return cluster === undefined ? undefined : { ...wanted, cluster };
}

function parseKept(settings: unknown): Config | undefined {
  if (settings === undefined) return undefined;
  try {
    return parseWithoutEntries(settings).config;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** The cluster of this boot's bootstrap. */
async function readBootedCluster(machine: Machine): Promise<string | undefined> {
  const { bootId, cluster } = (await readEarlierBootstrap(machine)) ?? {};
  // No other instance has had a boot with this id, so an image's copy does not count.
  return bootId !== undefined && bootId === (await machine.readBootId()) ? cluster : undefined;
}

/** The last bootstrap, also the one of an image. Undefined where none is readable. */
export async function readEarlierBootstrap(machine: Machine): Promise<BootstrapState | undefined> {
  try {
    const state: unknown = JSON.parse((await machine.readText(paths.bootstrap)) ?? 'null');
    return isBootstrapState(state) ? (state as BootstrapState) : undefined;
  } catch {
    return undefined;
  }
}

/** The settings of an earlier boot, for a boot that finds no user data or no tags, or others. */
export interface EarlierBoot {
  userData: UserDataCopy | undefined;
  tags: TagLayer[];
}

/** An answer that contradicts what the node knows counts only after a while. */
export interface Doubt {
  /** The uptime until which the metadata service is asked again. */
  notBefore: number;
  /** The fingerprint of the last user data that was doubted. */
  seen?: string;
}

/**
 * A fault of the metadata service passes within seconds. Settings that it loses are lost for the
 * whole boot, and changed user data costs this time once.
 */
const doubtMs = 20_000;

/** `withinMs`: the caller gives up after this time. */
export function openDoubt(clock: Clock, withinMs: number): Doubt {
  return { notBefore: clock.uptime() + Math.min(doubtMs, withinMs / 2) };
}

/**
 * The metadata service may be wrong for a minute. A known tag counts until no list has shown it for
 * this time. Then a person has removed it.
 */
export const missingMs = 75_000;

/**
 * As `readOutside`, but one answer must not take settings from a node. EC2 changes user data only
 * while the instance is stopped. So this throws Unavailable when an earlier run in this boot found
 * settings in the user data and there are none now. Other settings count when two answers in a row
 * agree, the second after `notBefore`. At a boot, the settings of an earlier boot count then if
 * there are none. A person may hide the tags while the node runs, so the tags that an earlier run
 * in this boot has seen still count. So does a tag that the list has lacked for less than
 * `missingMs`. Pass the same `doubt` to every attempt.
 */
export async function readOutsideInThisBoot(
  { machine, metadata, clock }: Pick<Host, 'machine' | 'metadata' | 'clock'>,
  doubt: Doubt,
  signal: AbortSignal,
  earlierBoot?: EarlierBoot,
): Promise<Outside> {
  const earlier = await readEarlier(machine);
  const known = earlier.tags.length > 0 ? earlier.tags : (earlierBoot?.tags ?? []);
  const listed = await readOutside(metadata, signal);
  const found = listed.hidesTags === true ? listed : withMissingTags(listed, known, earlier.missing, clock.uptime());
  const isDoubted = clock.uptime() < doubt.notBefore;
  const copy = earlierBoot?.userData && fingerprintOf(earlierBoot.userData.parts);
  doubtOtherUserData(found, earlier.fingerprint ?? copy, doubt, isDoubted);
  const isCopyInUse = earlier.userData === 'copy';
  const outside = withKnownUserData(
    found,
    earlier.userData,
    isCopyInUse ? await readUserDataCopy(machine) : earlierBoot?.userData,
    isDoubted && !isCopyInUse,
  );
  return withKnownTags(outside, earlier.tags, earlierBoot?.tags ?? [], isDoubted);
}

function withMissingTags(
  outside: Outside,
  known: readonly TagLayer[],
  missingSince: Readonly<Record<string, unknown>>,
  now: number,
): Outside {
  const kept: TagLayer[] = [];
  const removed: string[] = [];
  const missing: Record<string, number> = {};
  for (const tag of known) {
    const { key } = tag;
    if (outside.tags.some((each) => each.key === key)) continue;
    const since = missingSince[key];
    const first = typeof since === 'number' ? Math.min(since, now) : now;
    if (now - first >= missingMs) removed.push(key);
    else {
      kept.push(tag);
      missing[key] = first;
    }
  }
  const problem = `the metadata service lists it no more; it counts until it has been missing for ${missingMs / 1000} s`;
  return {
    ...outside,
    tags: [...outside.tags, ...kept],
    ...(kept.length > 0 && { missing }),
    ...(removed.length > 0 && { removed }),
    warnings: [...outside.warnings, ...kept.map(({ source }) => ({ path: source, problem }))],
  };
}

/** The answer may be cut off: it then has a fault, or only some of the settings. */
function doubtOtherUserData(found: Outside, known: unknown, doubt: Doubt, isDoubted: boolean): void {
  if (known === undefined || found.lacksUserData === true) return;
  const seen = fingerprintOf(found.userData);
  if (seen === known) return;
  const isSame = seen === doubt.seen;
  doubt.seen = seen;
  if (isDoubted || !isSame)
    throw new Unavailable('the metadata service gives other user data than before, or only a part of it');
}

function withKnownTags(
  outside: Outside,
  earlierTags: TagLayer[],
  earlierBootTags: TagLayer[],
  isDoubted: boolean,
): Outside {
  if (outside.hidesTags !== true) return outside;
  const withTags = (tags: TagLayer[], problem: string) => {
    const warnings = [...outside.warnings, { path: 'the metadata service', problem }];
    return { ...outside, tags, warnings };
  };
  if (earlierTags.length > 0)
    return withTags(earlierTags, 'it shows no tags any more; the tags from earlier in this boot still count');
  if (earlierBootTags.length === 0) return outside;
  if (isDoubted) throw new Unavailable('the metadata service shows no tags, and showed some in an earlier boot');
  const remedy = `remove ${paths.tags} to boot without them`;
  return withTags(earlierBootTags, `it shows no tags; those of an earlier boot still count (${remedy})`);
}

function withKnownUserData(
  outside: Outside,
  earlier: unknown,
  earlierBoot: UserDataCopy | undefined,
  isDoubted: boolean,
): Outside {
  if (outside.layers.length > 0 || outside.faults.length > 0) return outside;
  const copy = outside.lacksUserData === true ? earlierBoot : undefined;
  if (copy !== undefined && !isDoubted) return withUserDataCopy(outside, copy);
  const when = earlier === true ? 'earlier in this boot' : 'in an earlier boot';
  if (earlier === true || copy !== undefined)
    throw new Unavailable(`the metadata service lists no settings in the user data, which had some ${when}`);
  return outside;
}

/** The findings of an earlier run in this boot outside of the files. */
async function readEarlier(machine: Machine): Promise<{
  userData: unknown;
  fingerprint: unknown;
  tags: TagLayer[];
  missing: Record<string, unknown>;
}> {
  const { userData, fingerprint, tags, missing } = await readKept(machine).catch(nothing);
  const texts = Object.entries(isPlain(tags) ? tags : {}).filter(([, value]) => typeof value === 'string');
  return {
    userData,
    fingerprint,
    tags: layersOfTags(Object.fromEntries(texts) as Record<string, string>).tags,
    missing: isPlain(missing) ? missing : {},
  };
}
