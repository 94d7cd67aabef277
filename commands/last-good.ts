/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseWithoutEntries, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host, Machine } from '../core/host.ts';
import type { Log } from '../core/log.ts';
import { isPlain } from '../config/settings.ts';
import { layersOfTags, readOutside, type Outside, type TagLayer } from '../config/sources/tags-and-user-data.ts';
import { isBootstrapState } from '../core/state/state-shape.ts';
import { paths, type BootstrapState, type UserDataCopy } from '../core/state/state.ts';
import { recordOfTags } from './tags-copy.ts';
import { readUserDataCopy, withUserDataCopy } from './user-data-copy.ts';

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
  tags?: unknown;
}

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(
  machine: Machine,
  config: Config,
  { layers, tags, isCopy }: Pick<Outside, 'layers' | 'tags' | 'isCopy'>,
  log: Log,
): Promise<void> {
  const { booted } = await readKept(machine).catch(nothing);
  const kept = {
    config: settingsOf(config),
    ...(booted !== undefined && { booted }),
    ...(layers.length > 0 && { userData: isCopy === true ? 'copy' : true }),
    ...(tags.length > 0 && { tags: recordOfTags(tags) }),
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

/** The settings of an earlier boot, for a boot that finds no user data or no tags. */
export interface EarlierBoot {
  userData: UserDataCopy | undefined;
  tags: TagLayer[];
  /** The uptime until which the metadata service is asked again. */
  notBefore: number;
}

/**
 * A list that lacks a known tag is read again after this time: it may lack the tag for a moment.
 * Then a person has removed the tag.
 */
const lookAgainMs = 3_000;

/**
 * As `readOutside`, but one 404 must not take settings from a node. EC2 changes user data only
 * while the instance is stopped. So this throws Unavailable when an earlier run in this boot found
 * settings in the user data and there are none now. At a boot, the settings of an earlier boot
 * count after `notBefore`. A person may hide the tags while the node runs, so the tags that an
 * earlier run in this boot has seen still count.
 */
export async function readOutsideInThisBoot(
  { machine, metadata, clock }: Pick<Host, 'machine' | 'metadata' | 'clock'>,
  signal: AbortSignal,
  earlierBoot?: EarlierBoot,
): Promise<Outside> {
  const earlier = await readEarlier(machine);
  const known = earlier.tags.length > 0 ? earlier.tags : (earlierBoot?.tags ?? []);
  let found = await readOutside(metadata, signal);
  if (found.hidesTags !== true && known.some(({ key }) => !found.tags.some((tag) => tag.key === key))) {
    await clock.sleep(lookAgainMs, signal);
    found = await readOutside(metadata, signal);
  }
  const outside = withKnownUserData(
    found,
    earlier.userData,
    earlier.userData === 'copy' ? await readCopyInUse(machine) : earlierBoot,
    clock.uptime(),
  );
  return withKnownTags(outside, earlier.tags, earlierBoot, clock.uptime());
}

function withKnownTags(
  outside: Outside,
  earlierTags: TagLayer[],
  earlierBoot: EarlierBoot | undefined,
  now: number,
): Outside {
  if (outside.hidesTags !== true) return outside;
  const withTags = (tags: TagLayer[], problem: string) => {
    const warnings = [...outside.warnings, { path: 'the metadata service', problem }];
    return { ...outside, tags, warnings };
  };
  if (earlierTags.length > 0)
    return withTags(earlierTags, 'it shows no tags any more; the tags from earlier in this boot still count');
  if (earlierBoot === undefined || earlierBoot.tags.length === 0) return outside;
  if (now < earlierBoot.notBefore)
    throw new Unavailable('the metadata service shows no tags, and showed some in an earlier boot');
  const remedy = `remove ${paths.tags} to boot without them`;
  return withTags(earlierBoot.tags, `it shows no tags; those of an earlier boot still count (${remedy})`);
}

function withKnownUserData(
  outside: Outside,
  earlier: unknown,
  earlierBoot: EarlierBoot | undefined,
  now: number,
): Outside {
  if (outside.layers.length > 0 || outside.faults.length > 0) return outside;
  const copy = outside.lacksUserData === true ? earlierBoot?.userData : undefined;
  if (earlierBoot !== undefined && copy !== undefined && now >= earlierBoot.notBefore)
    return withUserDataCopy(outside, copy);
  const when = earlier === true ? 'earlier in this boot' : 'in an earlier boot';
  if (earlier === true || copy !== undefined)
    throw new Unavailable(`the metadata service lists no settings in the user data, which had some ${when}`);
  return outside;
}

/** This boot already goes on with the copy. */
async function readCopyInUse(machine: Machine): Promise<EarlierBoot> {
  return { userData: await readUserDataCopy(machine), tags: [], notBefore: -Infinity };
}

/** The findings of an earlier run in this boot outside of the files. */
async function readEarlier(machine: Machine): Promise<{ userData: unknown; tags: TagLayer[] }> {
  const { userData, tags } = await readKept(machine).catch(nothing);
  const texts = Object.entries(isPlain(tags) ? tags : {}).filter(([, value]) => typeof value === 'string');
  return {
    userData,
    tags: layersOfTags(Object.fromEntries(texts) as Record<string, string>).tags,
  };
}
