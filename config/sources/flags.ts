/** Turns the flags of `bootstrap` and `configure` into settings. */

import { ConfigError, UsageError, renderFault } from '../../core/errors.ts';
import { lacksOutside } from '../load-config.ts';
import { layerOf, parseAssignment, type SettingsLayer } from '../settings.ts';
import { listOf, textOf, type Flag, type ParsedArgs } from '../../cli/command.ts';

/** One setting that a flag sets. */
export interface FlagSetting {
  path: string[];
  value: unknown;
  /** For messages: `--cluster`, `--set disk.fullPercent`. */
  flag: string;
}

/** In the order of the table, then `--set` as given. Throws UsageError with all faults. */
export function settingsOfFlags(flags: readonly Flag[], args: ParsedArgs): FlagSetting[] {
  const { settings, wrong } = readSettingFlags(flags, args);
  if (wrong.length > 0) throw new UsageError(wrong.map(({ message }) => message).join('\n'));
  return settings;
}

/** As `settingsOfFlags`, with the wrong ones beside the others. */
export function readSettingFlags(
  flags: readonly Flag[],
  args: ParsedArgs,
): { settings: FlagSetting[]; wrong: UsageError[] } {
  const wrong: UsageError[] = [];
  const named = flags.flatMap(({ name, setting }) => {
    const value = setting === undefined ? undefined : textOf(args, name);
    return setting === undefined || value === undefined ? [] : [{ path: setting.split('.'), value, flag: `--${name}` }];
  });
  const assigned = listOf(args, 'set').flatMap((text) => {
    try {
      const { path, value } = readAssignment(text);
      return [{ path, value, flag: `--set ${path.join('.')}` }];
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      wrong.push(error);
      return [];
    }
  });
  return { settings: [...named, ...assigned], wrong };
}

/** The faults of the settings in a line, alone: a missing setting may be in a file. */
export function faultsOfFlags(flags: readonly Flag[], args: ParsedArgs): string[] {
  const { settings, wrong } = readSettingFlags(flags, args);
  const texts = wrong.map(({ message }) => message);
  try {
    lacksOutside({ layers: [], faults: [] }, layersOfFlags(settings));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    texts.push(...error.faults.map(renderFault));
  }
  return texts;
}

function readAssignment(text: string): ReturnType<typeof parseAssignment> {
  try {
    return parseAssignment(text);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new UsageError(`${cause.message} (see: ecs-node configure --help)`, { cause });
  }
}

export function layersOfFlags(settings: readonly FlagSetting[]): SettingsLayer[] {
  return settings.map(({ path, value, flag }) => layerOf(path, value, flag));
}
