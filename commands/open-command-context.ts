/** What a command is given, from the command line's global flags and from what main.ts knows. */

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
  /** The current folder; undefined when it was removed. */
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
    // The one place where output is rendered.
    print: (text) => void known.output.write(visible(text)),
    resolve: fromHere,
  };
}

/** Throws a UsageError: a relative path means nothing in a folder that was removed. */
function mustExist(folder: string | undefined): string {
  if (folder === undefined)
    throw new UsageError('the current folder was removed: give absolute paths, or "cd" elsewhere');
  return folder;
}
