import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';

const page = readFileSync('docs/architecture.md', 'utf8');
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' }).split('\n');
const folders = new Set(files.filter((file) => file.includes('/')).map(dirname));
const product = /^(agent|bootstrap|cli|commands|config|core|fleet|host|iam|upkeep)(\/|$)/;

/** The folders in the block "The folders", with the folders that their indentation puts them in. */
function namedFolders(): string[] {
  const block = /## The folders\n+```\n(.*?)```/s.exec(page)![1]!;
  const parents: string[] = [];
  return block.split('\n').flatMap((line) => {
    const [, indent = '', words = ''] = /^(\s*)((?:[\w-]+\/ *)+)/.exec(line) ?? [];
    const depth = indent.length / 2;
    const names = words.split(/\s+/).filter(Boolean);
    const paths = names.map((name) => [...parents.slice(0, depth), name.slice(0, -1)].join('/'));
    if (names[0] !== undefined) parents.splice(depth, Infinity, names[0].slice(0, -1));
    return paths;
  });
}

test('the architecture page names every folder of the product, and none that is gone', () => {
  const named = namedFolders();
  expect([...folders].filter((folder) => product.test(folder) && !named.includes(folder))).toEqual([]);
  const there = [...folders].flatMap((folder) =>
    folder.split('/').map((_, n, parts) => parts.slice(0, n + 1).join('/')),
  );
  expect(named.filter((folder) => !there.includes(folder))).toEqual([]);
});

test('the architecture page names every other folder at the top, and every kind of test', () => {
  const top = [...folders].map((folder) => folder.split('/')[0]!).filter((name) => !name.startsWith('.'));
  const named = namedFolders();
  expect([...new Set(top)].filter((name) => name !== 'docs' && !named.includes(name))).toEqual([]);
  const kinds = [...folders].filter((folder) => /^test\/[^/]+$/.test(folder) && folder !== 'test/fakes');
  expect(kinds.filter((folder) => !page.includes(`\`${folder}\``))).toEqual([]);
});

test('every file that the architecture page names is there', () => {
  const named = [...page.matchAll(/`((?:agent|bootstrap|core|fleet|host|upkeep)\/[\w./-]+\.ts)`/g)].map(
    ([, path]) => path!,
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !files.includes(path))).toEqual([]);
});
