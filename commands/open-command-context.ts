/** Makes the context of a command from the global flags and the facts in main.ts. */

import { isAbsolute, resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { paths } from '../core/state/state.ts';
import { visible } from '../core/visible.ts';
import { withEnvironmentFile } from '../host/environment.ts';
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

/** Throws a UsageError: a relative path has no meaning in a removed folder. */
function mustExist(folder: string | undefined): string {
  if (folder === undefined)
    throw new UsageError('the current folder was removed: give absolute paths, or "cd" elsewhere');
  return folder;
}
