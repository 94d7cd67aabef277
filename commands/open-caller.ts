/** What a command is given, from the command line's global flags and from what main.ts knows. */

import { isAbsolute, resolve } from 'node:path';
import { paths } from '../core/state.ts';
import { withEnvironmentFile } from '../host/environment.ts';
import { textOf, type Caller, type Words } from './command.ts';

type Known = Pick<
  Caller,
  'environment' | 'self' | 'openInput' | 'output' | 'log' | 'logFlags' | 'onHangup' | 'table'
> & {
  folder: string;
};

export function openCaller(words: Words, { folder, ...known }: Known): Caller {
  const root = resolve(folder, textOf(words, 'root') ?? '/');
  const fromHere = (path: string) => (root === '/' || isAbsolute(path) ? resolve(folder, path) : resolve('/', path));
  const given = textOf(words, 'config');
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
