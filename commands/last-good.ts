/**
 * The last valid configuration of this boot. A restarted agent uses it when a file or a tag has
 * become invalid meanwhile. A node without its agent would miss spot notices.
 */

import { parseWithoutEntries, settingsOf, type Config } from '../config/config.ts';
import { ConfigError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host, Machine } from '../core/host.ts';
import { singleErrorMs } from '../core/lasting.ts';
import type { Log } from '../core/log.ts';
import type { Clock } from '../core/retry.ts';
import { isPlain } from '../config/settings.ts';
import {
  layersOfTags,
  readOutside,
  type DoubtedTag,
  type Outside,
  type TagLayer,
} from '../config/sources/tags-and-user-data.ts';
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
  /** Those of `tags` of which the last list said something else. */
  doubted?: unknown;
}

/** Never throws: a failure to write the disk must not stop the agent. */
export async function keepLastGood(
  machine: Machine,
  config: Config,
  { layers, tags, doubted, isCopy, userData }: Pick<Outside, 'layers' | 'tags' | 'doubted' | 'isCopy' | 'userData'>,
  log: Log,
): Promise<void> {
  const { booted } = await readKept(machine).catch(nothing);
  const kept = {
    config: settingsOf(config),
    ...(booted !== undefined && { booted }),
    ...(layers.length > 0 && { userData: isCopy === true ? 'copy' : true, fingerprint: fingerprintOf(userData) }),
    ...(tags.length > 0 && { tags: recordOfTags(tags) }),
    ...(doubted !== undefined && { doubted }),
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

/** The last list lacked a tag that still counts, or gave it another value. */
export async function doubtsTag(machine: Machine): Promise<boolean> {
  return (await readKept(machine).catch(nothing)).doubted !== undefined;
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
  /** The uptime until which the metadata service is asked again for settings that it lost. */
  notBefore: number;
  /** Other settings count when every answer has agreed for this time. */
  lastsMs: number;
  /** The fingerprint of the last user data that was doubted, and the uptime of its first answer. */
  userData?: { seen: string; since: number } | undefined;
  /** The tags that the last list of this caller made doubtful. */
  tags?: Readonly<Record<string, DoubtedTag>>;
}

/** After this time, settings of an earlier boot count for those that the metadata service lost. */
const doubtMs = 20_000;

/**
 * The metadata service may be wrong for a minute. After this time, a person has changed the
 * settings. A boot with another cluster or hook would cost the node its tasks.
 */
export const changedMs = singleErrorMs;

/** `withinMs`: the caller gives up after this time. */
export function openDoubt(clock: Clock, withinMs: number): Doubt {
  const most = withinMs / 2;
  return { notBefore: clock.uptime() + Math.min(doubtMs, most), lastsMs: Math.min(changedMs, most) };
}

/**
 * As `readOutside`, but one answer must not take settings from a node. EC2 changes user data only
 * while the instance is stopped. So this throws Unavailable when an earlier run in this boot found
 * settings in the user data and there are none now. Other settings count when all answers have
 * agreed for `lastsMs`. At a boot, the settings of an earlier boot count after `notBefore` if there
 * are none. A person may hide the tags while the node runs, so the tags that an earlier run in this
 * boot has seen still count. So does a tag that lists have lacked, or given another value, for less
 * than `changedMs`. A boot waits for another value, because a cluster counts until the next boot.
 * Pass the same `doubt` to every attempt.
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
  const now = clock.uptime();
  const valueMs = earlierBoot === undefined ? changedMs : doubt.lastsMs;
  const found =
    listed.hidesTags === true ? listed : withDoubtedTags(listed, known, doubt.tags ?? earlier.doubted, now, valueMs);
  doubt.tags = found.doubted ?? {};
  const isDoubted = now < doubt.notBefore;
  const copy = earlierBoot?.userData && fingerprintOf(earlierBoot.userData.parts);
  doubtOtherUserData(found, earlier.fingerprint ?? copy, doubt, now);
  if (earlierBoot !== undefined) doubtOtherValues(doubt.tags);
  const isCopyInUse = earlier.userData === 'copy';
  const outside = withKnownUserData(
    found,
    earlier.userData,
    isCopyInUse ? await readUserDataCopy(machine) : earlierBoot?.userData,
    isDoubted && !isCopyInUse,
  );
  return withKnownTags(outside, earlier.tags, earlierBoot?.tags ?? [], isDoubted);
}

/** `valueMs`: another value counts when it has been listed for this time. */
function withDoubtedTags(
  outside: Outside,
  known: readonly TagLayer[],
  before: Readonly<Record<string, unknown>>,
  now: number,
  valueMs: number,
): Outside {
  const kept: TagLayer[] = [];
  const removed: string[] = [];
  const doubted: Record<string, DoubtedTag> = {};
  for (const tag of known) {
    const { key } = tag;
    const value = outside.tags.find((each) => each.key === key)?.value;
    if (value === tag.value) continue;
    const since = sinceOf(before[key], value, now);
    if (now - since < (value === undefined ? changedMs : valueMs)) {
      kept.push(tag);
      doubted[key] = { since, ...(value !== undefined && { value }) };
    } else if (value === undefined) removed.push(key);
  }
  return {
    ...outside,
    tags: [...outside.tags.filter(({ key }) => doubted[key] === undefined), ...kept],
    ...(kept.length > 0 && { doubted }),
    ...(removed.length > 0 && { removed }),
    warnings: [...outside.warnings, ...kept.map(({ key, source }) => warningOf(source, doubted[key]?.value))],
  };
}

/** The uptime of the first list that said the same. `before`: the findings in the list before. */
function sinceOf(before: unknown, value: string | undefined, now: number): number {
  const { since, value: former } = isPlain(before) ? before : {};
  return typeof since === 'number' && former === value ? Math.min(since, now) : now;
}

function warningOf(source: string, value: string | undefined): Outside['warnings'][number] {
  const seconds = `${changedMs / 1000} s`;
  const problem =
    value === undefined
      ? `the metadata service lists it no more; it counts until it has been missing for ${seconds}`
      : `the metadata service gives it another value, which counts when it has been there for ${seconds}`;
  return { path: source, problem };
}

function doubtOtherValues(doubted: Readonly<Record<string, DoubtedTag>>): void {
  const [key] = Object.keys(doubted).filter((each) => doubted[each]?.value !== undefined);
  if (key !== undefined) throw new Unavailable(`the metadata service gives another value of tag ${key} than before`);
}

/** The answer may be cut off: it then has a fault, or only some of the settings. */
function doubtOtherUserData(found: Outside, known: unknown, doubt: Doubt, now: number): void {
  if (known === undefined || found.lacksUserData === true) return;
  const seen = fingerprintOf(found.userData);
  const since = doubt.userData?.seen === seen ? doubt.userData.since : now;
  doubt.userData = seen === known ? undefined : { seen, since };
  if (seen !== known && now - since < doubt.lastsMs)
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
  doubted: Record<string, unknown>;
}> {
  const { userData, fingerprint, tags, doubted } = await readKept(machine).catch(nothing);
  const texts = Object.entries(isPlain(tags) ? tags : {}).filter(([, value]) => typeof value === 'string');
  return {
    userData,
    fingerprint,
    tags: layersOfTags(Object.fromEntries(texts) as Record<string, string>).tags,
    doubted: isPlain(doubted) ? doubted : {},
  };
}
