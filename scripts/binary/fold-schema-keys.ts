// Constant folding for the AWS SDK's generated schemas, so that the bundler can drop unused shapes.
//
// The SDK writes `{ [_xN]: _it }` with `const _xN = "xmlName"`. esbuild must assume that a computed
// key has side effects, so it keeps every shape of a client (4,200 in EC2): 1.07 MB of client-ec2
// instead of 41 kB. This plugin writes the key as its literal and changes nothing else; test/build
// proves it for every client.
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';

const SCHEMA_FILE = /@aws-sdk[\\/](?:client-[^\\/]+|nested-clients)[\\/].*[\\/]schemas[\\/]schemas_\d+\.js$/;
const STRING_CONSTANT = /^const (\w+) = ("(?:[^"\\]|\\.)*");$/gm;
const COMPUTED_KEY = /\[(_\w+)\]:/g;
const ANY_COMPUTED_KEY = /[{,]\s*\[[^\]]*\]\s*:/;

/**
 * Replaces every computed key by the file's own literal. Throws if the file does not define the key
 * as a string.
 */
export function foldSchemaKeys(source: string, file: string): string {
  const literals = new Map<string, string>();
  for (const [, name, literal] of source.matchAll(STRING_CONSTANT)) literals.set(name!, literal!);
  const folded = source.replace(COMPUTED_KEY, (_, name: string) => {
    const literal = literals.get(name);
    if (literal === undefined)
      throw new Error(`${file}: the computed key [${name}] is no string constant of this file`);
    return `${literal}:`;
  });
  const left = ANY_COMPUTED_KEY.exec(folded);
  if (left) throw new Error(`${file}: a computed key of a new kind, which fold-schema-keys.ts must learn: ${left[0]}`);
  return folded;
}

export const foldSchemaKeysPlugin: Plugin = {
  name: 'fold-schema-keys',
  setup(build) {
    build.onLoad({ filter: SCHEMA_FILE }, async ({ path }) => ({
      contents: foldSchemaKeys(await readFile(path, 'utf8'), path),
      loader: 'js',
    }));
  },
};
