import * as esbuild from 'esbuild';
import { expect, test } from 'vitest';

/** Every file that is loaded with `entry`, imports that wait until they are needed left out. */
async function loadedWith(entry: string): Promise<string[]> {
  const { metafile } = await esbuild.build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    splitting: true,
    outdir: 'out',
    logLevel: 'silent',
  });
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const { path, kind } of metafile.inputs[name]?.imports ?? []) if (kind !== 'dynamic-import') visit(path);
  };
  visit(entry);
  return [...seen];
}

test("the resident agent loads neither the AWS SDK (20 MB for good) nor the configuration's schema (6 MB)", async () => {
  const files = await loadedWith('commands/agent.ts');
  expect(files).toContain('agent/agent.ts');
  expect(files.filter((name) => /node_modules\/(@aws-sdk|@smithy|zod|yaml)\//.test(name))).toEqual([]);
});

test('--version loads nothing but main.ts', async () => {
  expect(await loadedWith('main.ts')).toEqual(['main.ts']);
});
