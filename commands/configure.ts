/** `ecs-node configure`: checks everything, then writes what the flags say into the configuration's files. */

import { Unavailable } from '../core/errors.ts';
import type { Machine, Metadata } from '../core/host.ts';
import { within } from '../core/patience.ts';
import { holdsSecret } from '../core/secrets.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/imds.ts';
import { openMachine } from '../host/machine.ts';
import type { Caller, Environment, Run } from './command.ts';
import { lacksOutside, logWarnings, settle } from './load-config.ts';
import { editFiles, type Edit } from './sources/edit-files.ts';
import { layersOf, readFiles, type Found } from './sources/files.ts';
import { layersOfFlags, settingsOfFlags, type FlagSetting } from './sources/flags.ts';
import { readOutside, type Outside } from './sources/outside.ts';
import { settingFlags } from './flags.ts';

/** cloud-init waits for this command, and a working metadata service answers within milliseconds. */
const metadataMs = 5_000;

export const configure: Run = async (caller, words, signal) => {
  const machine = openMachine(caller.root, caller.environment);
  const plan = await planConfiguration(machine, caller, settingsOfFlags(settingFlags, words));
  const ask = async () => readOutsideSoon(caller.environment, signal);
  const loaded = settle(plan.files, plan.flagLayers, plan.lacksOutside ? await ask() : undefined);
  logWarnings(loaded, caller.log);
  const written = await writeEdits(machine, plan.edits);
  for (const { path, what } of written) caller.print(`${path}: ${what}\n`);
  if (written.length === 0) caller.print('The configuration is valid; no flag asked for a change.\n');
  return 0;
};

export interface Plan {
  files: Found;
  flagLayers: ReturnType<typeof layersOfFlags>;
  edits: Edit[];
  /** True when a required setting stands neither in the files nor in the flags. */
  lacksOutside: boolean;
}

/** Throws ConfigError for every fault that tags and user data cannot mend. Changes nothing. */
export async function planConfiguration(
  machine: Machine,
  caller: Pick<Caller, 'configFile' | 'configFileGiven' | 'log'>,
  flags: readonly FlagSetting[],
): Promise<Plan> {
  // A file that is about to be written need not be there yet.
  const isRequired = caller.configFileGiven && flags.length === 0;
  const { texts, faults } = await readFiles(machine, caller.configFile, isRequired, caller.log);
  const found = layersOf(texts);
  const files = { ...found, faults: [...faults, ...found.faults] };
  const flagLayers = layersOfFlags(flags);
  const lacks = lacksOutside(files, flagLayers);
  return { files, flagLayers, edits: editFiles(texts, caller.configFile, flags), lacksOutside: lacks };
}

export async function writeEdits(
  machine: Machine,
  edits: readonly Edit[],
): Promise<{ path: string; what: 'written' | 'unchanged' | 'removed' }[]> {
  const written = [];
  for (const { path, text } of edits) {
    if (text !== undefined) {
      const outcome = await machine.writeText(path, text, holdsSecret(text) ? 0o600 : undefined);
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
    return await within(metadataMs, (inner) => readOutside(metadata, inner), clock, signal);
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}
