// Runs pkg's own producer of single executables: `node run-pkg.ts FOLDER OUTPUT ARCHITECTURE
// VERSION`.
//
// A process of its own because pkg reads HOME, changes the working directory and replaces stderr's
// write. Its command line cannot be used: pkg 6.23 accepts `seaConfig` in its configuration and
// never hands it on, and without it a start costs 10 ms more and the shipped binary obeys
// NODE_OPTIONS. Hence one import of an inner file and an exact pin.
import { join } from 'node:path';
import options from 'pkg/lib-es5/options.js';
import sea from 'pkg/lib-es5/sea.js';

const [folder, output, architecture, version] = process.argv.slice(2);
if (!folder || !output || !architecture || !version) throw new Error('FOLDER OUTPUT ARCHITECTURE VERSION');

const seaConfig = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  // The loader is too small for one; the parts bring their own.
  useCodeCache: false,
  assets: { code: join(folder, 'code'), caches: join(folder, 'caches') },
  // Whenever V8 thinks that a program idles it collects all garbage, for a bootstrap that waits a
  // fifth of its CPU time. The agent collects on its own (host/small-footprint.ts). Code caches are
  // not refused for these flags, as they are for most. One thread beside the main one compiles as
  // well as four, with a tenth of a megabyte less for their stacks. Without --disable-sigusr1 that
  // signal opens Node's debugger, through which any local user could run code as root.
  execArgv: ['--no-memory-reducer', '--single-threaded-gc', '--v8-pool-size=1', '--disable-sigusr1'],
  execArgvExtension: 'none',
};
options.default.set({});
await sea.default(join(folder, 'loader.cjs'), {
  targets: [{ nodeRange: `node${version}`, platform: 'linux', arch: architecture, output }],
  seaConfig,
});
