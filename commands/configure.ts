/**
 * `ecs-node configure`: checks everything, then writes the flags into the configuration's files.
 */

import { join } from 'node:path';
import { ConfigError, UsageError, Unavailable } from '../core/errors.ts';
import type { Machine, Metadata } from '../core/host.ts';
import { withTimeout } from '../core/retry.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/metadata/imds.ts';
import { openMachine } from '../host/machine.ts';
import type { CommandContext, Environment, ParsedArgs, Run } from '../cli/command.ts';
import { lacksOutside, logWarnings, resolveConfig } from '../config/load-config.ts';
import { warnOfMisspeltSettings } from '../config/ecs-agent-settings.ts';
import { editFiles, type Edit } from '../config/sources/edit-files.ts';
import { layersOf, readFiles, type LoadedLayers } from '../config/sources/files.ts';
import { layersOfFlags, readSettingFlags, type FlagSetting } from '../config/sources/flags.ts';
import { readOutside, type Outside } from '../config/sources/tags-and-user-data.ts';
import { settingFlags } from './flags.ts';
import { isPrivate } from './hide-secrets.ts';

/** cloud-init waits for this command. A working metadata service answers within milliseconds. */
const metadataMs = 5_000;

export const configure: Run = async (context, args, signal) => {
  const machine = openMachine(context.root, context.environment);
  const plan = await planFromFlags(machine, context, args);
  const ask = async () => readOutsideSoon(context.environment, signal);
  const loaded = resolveConfig(plan.files, plan.flagLayers, plan.lacksOutside ? await ask() : undefined);
  logWarnings(loaded, context.log);
  warnOfMisspeltSettings(loaded.config, context.log);
  const written = await writeEdits(machine, plan.edits);
  for (const { path, what } of written) context.print(`${join(context.root, path)}: ${what}\n`);
  if (written.length === 0) context.print('The configuration is valid; no flag asked for a change.\n');
  return 0;
};

/** As `planConfiguration`, with the settings of the flags. */
export async function planFromFlags(
  machine: Machine,
  context: Pick<CommandContext, 'configFile' | 'configFileGiven' | 'log'>,
  args: ParsedArgs,
  wasInService = false,
): Promise<ConfigurationPlan> {
  const { settings, wrong } = readSettingFlags(settingFlags, args);
  // A person who types flags is told of every fault.
  const mayLackEntries = wasInService && settings.length === 0;
  const planned = planConfiguration(machine, context, settings, mayLackEntries);
  if (wrong.length > 0) throw await withFaultsOfSettings(wrong, planned);
  return planned;
}

/** A person then mends the words and the settings in one go. */
async function withFaultsOfSettings(wrong: readonly UsageError[], planned: Promise<unknown>): Promise<UsageError> {
  const texts = wrong.map(({ message }) => message);
  try {
    await planned;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    texts.push(error.message);
  }
  return new UsageError(texts.join('\n'));
}

export interface ConfigurationPlan {
  files: LoadedLayers;
  flagLayers: ReturnType<typeof layersOfFlags>;
  edits: Edit[];
  /** True when neither the files nor the flags have every required setting. */
  lacksOutside: boolean;
}

/** Throws ConfigError for every fault that tags and user data cannot repair. Changes nothing. */
export async function planConfiguration(
  machine: Machine,
  context: Pick<CommandContext, 'configFile' | 'configFileGiven' | 'log'>,
  flags: readonly FlagSetting[],
  mayLackEntries = false,
): Promise<ConfigurationPlan> {
  // With flags the file is about to be written, so it need not exist yet.
  const isRequired = context.configFileGiven && flags.length === 0;
  const { texts, faults } = await readFiles(machine, context.configFile, isRequired, context.log);
  const found = layersOf(texts);
  const files = { ...found, faults: [...faults, ...found.faults], mayLackEntries };
  const flagLayers = layersOfFlags(flags);
  const lacks = lacksOutside(files, flagLayers);
  return { files, flagLayers, edits: editFiles(texts, context.configFile, flags), lacksOutside: lacks };
}

export async function writeEdits(
  machine: Machine,
  edits: readonly Edit[],
): Promise<{ path: string; what: 'written' | 'unchanged' | 'removed' }[]> {
  const written = [];
  for (const { path, text } of edits) {
    if (text !== undefined) {
      const outcome = await machine.writeText(path, text, isPrivate(text) ? 0o600 : undefined);
      written.push({ path, what: outcome === 'changed' ? ('written' as const) : outcome });
    } else if (await machine.remove(path)) {
      written.push({ path, what: 'removed' as const });
    }
  }
  return written;
}

/** Undefined when the metadata service does not answer. A missing setting then stays missing. */
async function readOutsideSoon(environment: Environment, signal: AbortSignal): Promise<Outside | undefined> {
  if (environment['AWS_EC2_METADATA_DISABLED'] === 'true') return undefined;
  const clock = openClock();
  const metadata: Metadata = openMetadata(environment, clock);
  try {
    return await withTimeout(metadataMs, (callSignal) => readOutside(metadata, callSignal), clock, signal);
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}
