// Bundles main.ts into parts: functions that loader.cjs loads when the program first needs them.
//
// esbuild's own single-file output wraps lazy modules in a way that defeats tree shaking (737 kB
// become 3.9 MB). So this bundles to ES modules with splitting, and then turns each chunk into a
// CommonJS function.
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { foldSchemaKeysPlugin } from './fold-schema-keys.ts';
import { nodeCryptoPlugin } from './node-crypto.ts';

export interface Bundle {
  /**
   * Maps the name in `require` to the text of a function of `exports, require, module`, in ASCII.
   */
  parts: Map<string, string>;
  /** The project's own files in the bundle, relative to the working directory. */
  sources: string[];
  metafile: esbuild.Metafile;
}

const TARGET = 'node24';
/** The part that runs first; loader.cjs has the same name. */
export const ENTRY = './main.js';

/**
 * Bundles `entry`. `define` gives the build-time constants as plain strings. Throws if a lazy
 * import cannot be shaken.
 */
export async function bundle(entry: string, define: Record<string, string>): Promise<Bundle> {
  const result = await esbuild.build({
    entryPoints: { main: entry },
    outdir: 'dist',
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: TARGET,
    // The SDK's CommonJS entry defeats tree shaking: 4.0 MB instead of 2.4.
    mainFields: ['module', 'main'],
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
    define: Object.fromEntries(Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)])),
    plugins: [foldSchemaKeysPlugin, nodeCryptoPlugin],
    alias: {
      '@aws-sdk/credential-provider-node': fileURLToPath(new URL('no-default-credentials.ts', import.meta.url)),
    },
  });
  refuseWholeClients(result.metafile);
  const wanted = reachable(result.metafile);
  const files = result.outputFiles.filter(({ path }) => wanted.has(basename(path)));
  const chunks = files.map(async ({ path, text }) => [`./${basename(path)}`, await toFunction(text)] as const);
  const inputs = Object.keys(result.metafile.inputs);
  return {
    parts: new Map(await Promise.all(chunks)),
    sources: inputs.filter((path) => !path.includes('node_modules/')).toSorted(),
    metafile: result.metafile,
  };
}

/**
 * `import('@aws-sdk/client-x')` requests the whole namespace, so esbuild could drop nothing of the
 * client.
 */
function refuseWholeClients({ inputs }: esbuild.Metafile): void {
  for (const [file, { imports }] of Object.entries(inputs)) {
    if (file.includes('node_modules/')) continue;
    const whole = imports.find(({ kind, path }) => kind === 'dynamic-import' && path.includes('/@aws-sdk/'));
    if (whole) {
      throw new Error(`${file} imports ${whole.path} lazily as a whole: import a file of ours that imports it by name`);
    }
  }
}

/**
 * Returns the names of the chunks that main can reach. esbuild also writes chunks whose only
 * importer it dropped.
 */
function reachable({ outputs }: esbuild.Metafile): Set<string> {
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  const seen = new Set<string>();
  const visit = (name: string): void => {
    const output = byName.get(name);
    if (!output || seen.has(name)) return;
    seen.add(name);
    for (const { path } of output.imports) visit(basename(path));
  };
  visit(basename(ENTRY));
  return seen;
}

async function toFunction(code: string): Promise<string> {
  const result = await esbuild.transform(code, {
    format: 'cjs',
    platform: 'node',
    target: TARGET,
    minify: true,
    charset: 'ascii',
    // esbuild turns import() into require(): an import of a node: module alone would load Node's ES
    // module loader (2 MB).
    supported: { 'dynamic-import': false },
  });
  return `(function (exports, require, module) {${result.code.trimEnd()}\n})`;
}
