// Takes the AWS SDK's random numbers from node:crypto, which signing needs anyway. The SDK would
// use the global `crypto`, which loads all of Web Crypto, with its streams and workers, for one
// number.
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';

const UUID_FILE = /@smithy[\\/]core[\\/]dist-es[\\/].*[\\/]uuid[\\/]v4\.js$/;

export const nodeCryptoPlugin: Plugin = {
  name: 'node-crypto',
  setup(build) {
    build.onLoad({ filter: UUID_FILE }, async ({ path }) => ({
      contents: `import * as crypto from 'node:crypto';\n${await readFile(path, 'utf8')}`,
      loader: 'js',
    }));
  },
};
