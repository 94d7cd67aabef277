/** Makes the context of a command from the global flags and the facts in main.ts. */

import { isAbsolute, join, resolve } from 'node:path';
import { ConfigError, UsageError, type Fault } from '../core/errors.ts';
import { paths } from '../core/state/state.ts';
import { visible } from '../core/visible.ts';
import { isOtherThanFolder, withEnvironmentFile } from '../host/environment.ts';
import { textOf, type CommandContext, type ParsedArgs } from '../cli/command.ts';

type ProcessContext = Pick<
  CommandContext,
  'environment' | 'self' | 'openInput' | 'output' | 'log' | 'logFlags' | 'onHangup' | 'table'
> & {
  /** The current folder. Undefined when it was removed. */
  folder: string | undefined;
};

export function openCommandContext(args: ParsedArgs, { folder, ...known }: ProcessContext): CommandContext {
  const fromFolder = (path: string) => (isAbsolute(path) ? resolve(path) : resolve(mustExist(folder), path));
  const root = fromFolder(textOf(args, 'root') ?? '/');
  if (isOtherThanFolder(root)) throw new UsageError(`--root ${root} is not a folder; every file is put below it`);
  const fromHere = (path: string) => (root === '/' || isAbsolute(path) ? fromFolder(path) : resolve('/', path));
  const given = textOf(args, 'config');
  return {
    ...known,
    environment: withEnvironmentFile(known.environment, root),
    root,
    configFile: given === undefined ? paths.config : fromHere(given),
    configFileGiven: given !== undefined,
    // The only place where output is escaped.
    print: (text) => void known.output.write(visible(text)),
    resolve: fromHere,
  };
}

/** The same faults with their files where they really are, which is below the root. */
export function withRealPaths(error: ConfigError, root: string): ConfigError {
  const real = (path: string) => (path.startsWith('/') ? join(root, path) : path);
  const faults = error.faults.map(({ path, source, ...rest }): Fault => ({
    ...rest,
    path: real(path),
    ...(source !== undefined && { source: real(source) }),
  }));
  return new ConfigError(faults, { cause: error });
}

/** Throws a UsageError: a relative path has no meaning in a removed folder. */
function mustExist(folder: string | undefined): string {
  if (folder === undefined)
    throw new UsageError('the current folder was removed: give absolute paths, or "cd" elsewhere');
  return folder;
}
