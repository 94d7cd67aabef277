import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { faultsOf, noticeFile, readNotices, renderNotices } from '../../scripts/licences.ts';

// Two bundles are made, which takes seconds.
test('every package in the binary may ship, and the list of their licences is up to date (node scripts/licences.ts)', async () => {
  const { text, faults, packages } = await readNotices();
  expect(faults).toEqual([]);
  expect(packages.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['@aws-sdk/client-ecs', 'tar', 'yaml', 'zod']),
  );
  // Tools that make and test it are none of its parts.
  expect(packages.map(({ name }) => name)).not.toContain('vitest');
  expect(await readFile(noticeFile, 'utf8'), 'run: node scripts/licences.ts').toBe(text);
});

const some = { name: 'a', version: '1.0.0', texts: [] };

test.each(['GPL-3.0', 'AGPL-3.0-only', 'SEE LICENSE IN x', 'MIT AND GPL-2.0', 'UNLICENSED', undefined])(
  'a package under %s does not ship unread',
  (license) => expect(faultsOf([{ ...some, license }])).toHaveLength(1),
);

test.each(['MIT', '(MIT OR GPL-2.0)', 'Apache-2.0 AND MIT'])('a package under %s may ship', (license) =>
  expect(faultsOf([{ ...some, license }])).toEqual([]),
);

test('packages of the same text stand together', () => {
  const packages = ['a', 'b'].map((name) => ({ ...some, name, license: 'MIT', texts: ['the text'] }));
  const text = renderNotices(packages, { version: '1', text: 'of Node' });
  expect(text.match(/the text/g)).toHaveLength(1);
  expect(text).toContain('a 1.0.0 (MIT)\nb 1.0.0 (MIT)\n');
});
