// Runs pkg's own producer of single executables: `node run-pkg.ts BUNDLE OUTPUT ARCHITECTURE VERSION CODE-CACHE`.
//
// A process of its own because pkg reads HOME, changes the working directory and replaces stderr's write. Its command
// line cannot be used: pkg 6.23 accepts `seaConfig` in its configuration and never hands it on, and without it a start
// costs 10 ms more and the shipped binary obeys NODE_OPTIONS. Hence one import of an inner file and an exact pin.
import options from 'pkg/lib-es5/options.js';
import sea from 'pkg/lib-es5/sea.js';

const [bundle, output, architecture, version, codeCache] = process.argv.slice(2);
if (!bundle || !output || !architecture || !version) throw new Error('BUNDLE OUTPUT ARCHITECTURE VERSION [CODE-CACHE]');

const seaConfig = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  useCodeCache: codeCache === 'code-cache',
  execArgvExtension: 'none',
};
options.default.set({});
await sea.default(bundle, {
  targets: [{ nodeRange: `node${version}`, platform: 'linux', arch: architecture, output }],
  seaConfig,
});
