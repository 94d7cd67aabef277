// Runs pkg's own producer of single executables: `node run-pkg.ts PACKAGER FOLDER OUTPUT
// ARCHITECTURE VERSION`.
//
// It runs as its own process, because pkg reads HOME, changes the working directory and replaces
// stderr's write. pkg's command line does not work here: pkg 6.23 accepts `seaConfig` in its
// configuration but ignores it. Without `seaConfig`, a start costs 10 ms more and the shipped
// binary obeys NODE_OPTIONS. Therefore this file imports an inner file of pkg, and
// scripts/packager pins the exact version.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { executableFlags } from './executable-flags.ts';

interface Options {
  default: { set(options: object): void };
}

interface Sea {
  default(entry: string, options: object): Promise<void>;
}

const [packager, folder, output, architecture, version] = process.argv.slice(2);
if (!packager || !folder || !output || !architecture || !version)
  throw new Error('PACKAGER FOLDER OUTPUT ARCHITECTURE VERSION');
const load = createRequire(resolve(packager, 'package.json'));
const options = load('pkg/lib-es5/options.js') as Options;
const sea = load('pkg/lib-es5/sea.js') as Sea;

const seaConfig = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  // A code cache is valid only for one architecture, and differs from build to build (decision 11).
  useCodeCache: false,
  assets: { code: join(folder, 'code') },
  execArgv: executableFlags,
  execArgvExtension: 'none',
};
options.default.set({});
await sea.default(join(folder, 'loader.cjs'), {
  targets: [{ nodeRange: `node${version}`, platform: 'linux', arch: architecture, output }],
  seaConfig,
});
