import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../config/config.ts';
import { renderAll } from '../../scripts/docs/render-all.ts';
import { examples, listSections } from '../../scripts/docs/settings.ts';

test.each(Object.entries(renderAll()))('%s matches the program (npm run docs)', (file, text) => {
  expect(existsSync(file) && readFileSync(file, 'utf8')).toBe(text);
});

const settings = listSections().flatMap((section) => section.settings);

test.each(settings.map(({ path, meaning }) => [path, meaning]))('%s has a description', (_, meaning) => {
  expect(meaning).toMatch(/^\S.{15,}[.]$/);
});

test.each(Object.entries(examples))('the example of %s is a valid configuration', (path, text) => {
  expect(settings.map((setting) => setting.path)).toContain(path);
  expect(parseConfig({ cluster: 'prod', ...(parse(text) as object) })).toMatchObject({ cluster: 'prod' });
});
