/** What a command is given, from the command line's global flags and from what main.ts knows. */

import { isAbsolute, resolve } from 'node:path';
import { paths } from '../core/state/state.ts';
import { withEnvironmentFile } from '../host/environment.ts';
import { textOf, type CommandContext, type ParsedArgs } from '../cli/command.ts';

type ProcessContext = Pick<
  CommandContext,
  'environment' | 'self' | 'openInput' | 'output' | 'log' | 'logFlags' | 'onHangup' | 'table'
> & {
  folder: string;
};

export function openCommandContext(args: ParsedArgs, { folder, ...known }: ProcessContext): CommandContext {
  const root = resolve(folder, textOf(args, 'root') ?? '/');
  const fromHere = (path: string) => (root === '/' || isAbsolute(path) ? resolve(folder, path) : resolve('/', path));
  const given = textOf(args, 'config');
  return {
    ...known,
    environment: withEnvironmentFile(known.environment, root),
    root,
    configFile: given === undefined ? paths.config : fromHere(given),
    configFileGiven: given !== undefined,
    print: (text) => void known.output.write(text),
    resolve: fromHere,
  };
}
