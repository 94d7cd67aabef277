import { existsSync, globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const page = readFileSync('docs/security.md', 'utf8');
const plain = (text: string) => text.replaceAll(/\s+/g, ' ');
const titles = plain(
  globSync('test/**/*.test.ts')
    .map((file) => readFileSync(file, 'utf8').replaceAll("\\'", "'"))
    .join('\n'),
);

function titlesIn(text: string): string[] {
  const quoted = [...text.matchAll(/"([^"]*)"/g)].map(([, title]) => plain(title!).replaceAll(/^… ?|[,:]? ?…$/g, ''));
  // Shorter ones are names of headings and buttons.
  return quoted.filter((title) => title.length > 22);
}

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
  const quoted = titlesIn(page);
  expect(quoted.length).toBeGreaterThan(15);
  expect(quoted.filter((title) => !titles.includes(title))).toEqual([]);
});

describe('each finding in version 0.1.0', () => {
  const section = /^## What once got through$([^]*?)^## /m.exec(page)![1]!;
  const findings = section.split(/^(?=\d+\. )/m).slice(1);
  /** A suite of the project "binary" (vitest.config.ts). */
  const onTheBinary = /^test\/(?!unit|build|contracts|simulation|fuzz)/;

  test('is on the security page, in the order of their numbers', () => {
    expect(findings.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: 17 }, (_, at) => at + 1));
  });

  test.each(findings.map((text) => [text.split('\n')[0], text]))('has its scenario on the binary: %s', (_, text) => {
    const [file] = [...text.matchAll(/\(`(test\/[\w./-]+)`\)/g)].map(([, path]) => path!);
    expect(file).toMatch(onTheBinary);
    const source = plain(readFileSync(file!, 'utf8').replaceAll("\\'", "'"));
    const named = titlesIn(text);
    expect(named).not.toEqual([]);
    expect(named.filter((title) => !source.includes(title))).toEqual([]);
  });
});
