import { existsSync, globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const page = readFileSync('docs/security.md', 'utf8');
const plain = (text: string) => text.replaceAll(/\s+/g, ' ');
const titles = plain(
  globSync('test/**/*.test.ts')
    .map((file) => readFileSync(file, 'utf8').replaceAll("\\'", "'"))
    .join('\n'),
);

test('every file that the security page names is there', () => {
  const named = [...page.matchAll(/`((?:test|core|host|docs|cloudformation|commands)\/[\w./-]*)`/g)].map(
    ([, path]) => path!,
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
});

test('the security page has the right number of direct dependencies', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  expect(page).toContain(`(${Object.keys(dependencies).length} direct)`);
});

test('every test that the security page names is there', () => {
  const quoted = [...page.matchAll(/"([^"]*)"/g)]
    .map(([, title]) => plain(title!).replaceAll(/^… ?|[,:]? ?…$/g, ''))
    // Shorter ones are names of headings and buttons.
    .filter((title) => title.length > 22);
  expect(quoted.length).toBeGreaterThan(15);
  expect(quoted.filter((title) => !titles.includes(title))).toEqual([]);
});
