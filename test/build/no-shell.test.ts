import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const product = globSync([
  '{main,lambda}.ts',
  '{agent,bootstrap,cli,commands,config,core,fleet,host,iam,upkeep}/**/*.ts',
]);

/** The files that start programs, each with an array of arguments. */
const starters = [
  'host/aws/child/child-cloud.ts',
  'host/bounded-child.ts',
  'host/child-output.ts',
  'host/journal.ts',
  'host/processes.ts',
];

const faults = (file: string, text: string): string[] => {
  const found: string[] = [];
  if (/^(?!import type ).*node:child_process/m.test(text) && !starters.includes(file))
    found.push('starts programs, which only a few files do');
  if (/\b(exec|execSync|fork)\b[^;]*from 'node:child_process'/.test(text))
    found.push('imports what takes a command line');
  if (/\bshell: ?(true|['"`]\/)/.test(text)) found.push('asks for a shell');
  if (/['"`](\/usr)?\/bin\/(ba|da|z)?sh['"`]|['"`](ba|da|z)?sh['"`]\s*,|['"`]-c['"`]/.test(text))
    found.push('names a shell');
  if (/\beval\(|new Function\(/.test(text)) found.push('makes code out of text');
  return found;
};

/** These files name shells because they print completions for them. */
const speakers = ['cli/render-completion.ts', 'commands/table.ts'];

test('no value ever reaches a shell: the product starts programs with arrays of arguments', () => {
  expect(product.length).toBeGreaterThan(100);
  const all = product
    .filter((file) => !speakers.includes(file))
    .flatMap((file) => faults(file, readFileSync(file, 'utf8')).map((fault) => `${file} ${fault}`));
  expect(all).toEqual([]);
});

test('the security page says how many files start programs', () => {
  const words = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven'];
  expect(readFileSync('docs/security.md', 'utf8')).toContain(
    `Only ${words[starters.length]} files may start a program`,
  );
});

test.each([
  ["import { exec } from 'node:child_process'", 'host/disk.ts'],
  ["import { spawn } from 'node:child_process'", 'agent/departure/leave.ts'],
  ['spawn(file, args, { shell: true })', 'host/disk.ts'],
  ["run({ file: '/bin/sh', args: ['-c', text] })", 'host/disk.ts'],
  ['eval(text)', 'core/log.ts'],
])('this check finds %s', (text, file) => expect(faults(file, text).length).toBeGreaterThan(0));
