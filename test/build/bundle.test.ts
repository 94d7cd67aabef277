// The bundler must do these things for the binary to be small and to start fast.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bundle } from '../../scripts/binary/bundle.ts';
import { renderOneFile } from '../../scripts/binary/one-file.ts';

const CALL = `import { DescribeTagsCommand, EC2Client } from '@aws-sdk/client-ec2';
export const call = () => [EC2Client.name, DescribeTagsCommand.name].length;`;

test('a lazily imported part works, and runs only when it is imported', async () => {
  const main = `console.log('main', VERSION); if (process.argv[2]) void import('./part.ts').then((p) => console.log(p.part));`;
  const folder = project({ 'main.ts': main, 'part.ts': `console.log('loading'); export const part = 'part';` });
  const file = join(folder, 'out.cjs');
  writeFileSync(file, renderOneFile((await bundle(join(folder, 'main.ts'), { VERSION: '1.2.3' })).parts));
  const run = (...args: string[]): string => execFileSync(process.execPath, [file, ...args], { encoding: 'utf8' });
  expect(run()).toBe('main 1.2.3\n');
  expect(run('all')).toBe('main 1.2.3\nloading\npart\n');
});

test('a large client adds only the calls that are used', async () => {
  const main = `void import('./ec2.ts').then(({ call }) => console.log(call()));`;
  const { parts } = await bundle(join(project({ 'main.ts': main, 'ec2.ts': CALL }), 'main.ts'), {});
  const code = renderOneFile(parts);
  expect(code).toContain('DescribeTags');
  expect(code).not.toContain('DescribeTrafficMirrorFilters');
  expect(code.length).toBeLessThan(300_000);
});

test('a client that is imported lazily as a whole stops the build', async () => {
  const folder = project({ 'main.ts': `void import('@aws-sdk/client-ec2');` });
  await expect(bundle(join(folder, 'main.ts'), {})).rejects.toThrow('import a file of ours that imports it by name');
});

test('the agent, and everything before any command, load only the Node modules that they need', async () => {
  const { metafile } = await bundle('main.ts', {});
  const at = (name: string) => Object.keys(metafile.outputs).find((path) => basename(path).startsWith(name))!;
  const modulesOf = (path: string, seen = new Set<string>()): string[] => {
    if (seen.has(path)) return [];
    seen.add(path);
    const loaded = metafile.outputs[path]!.imports.filter(({ kind }) => kind !== 'dynamic-import');
    return loaded.flatMap((each) => (each.external ? each.path : modulesOf(each.path, seen)));
  };
  expect(modulesOf(at('main.js'))).toEqual([]);
  const agent = new Set(modulesOf(at('agent-')).map((name) => name.replace(/^node:/, '')));
  // Each of these costs a resident agent from a third of a megabyte (crypto) to two (http).
  for (const dear of ['crypto', 'http', 'https', 'tls', 'zlib', 'fs/promises']) expect([...agent]).not.toContain(dear);
  expect([...agent]).toContain('net');
});

/** Below the project, so that its packages are found. */
function project(files: Record<string, string>): string {
  mkdirSync('out', { recursive: true });
  const folder = mkdtempSync(join('out', 'bundle-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}
