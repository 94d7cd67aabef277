/** A mistyped YAML text: its message has the line and the fix, and nothing of the text. */

import { expect, test } from 'vitest';
import { ConfigError } from '../../../core/errors.ts';
import { parseLayer } from '../../../config/settings.ts';

function faultsOf(text: string): string[] {
  try {
    parseLayer(text, 'file');
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ path, problem }) => `${path}: ${problem}`);
    throw error;
  }
  return [];
}

const noColon = 'not YAML: no colon and blank stand behind the name; write NAME: VALUE';
const indented = (line: number) =>
  `not YAML: the line is indented more than line ${line}, which has a value already; remove the extra blanks`;
const openBracket = (end: string) =>
  `not YAML: a bracket above is never closed; add ${end}, or indent the line; further faults may follow`;
const openQuote = 'a quote that no other quote closes; close it, or remove it; further faults may follow';

test.each([
  ['an indented section', 'cluster: prod\n disk:\n  checks: 5\n', `file:2: ${indented(1)}`],
  ['an indented setting', 'disk:\n  checks: 5\n   prune: true\n', `file:3: ${indented(2)}`],
  [
    'a setting between two levels',
    'disk:\n    checks: 5\n  prune: true\n',
    'file:3: not YAML: the line is indented less than the first line of its section, and more than the section; align it',
  ],
  ['a tab', 'disk:\n\tchecks: 5\n', 'file:2: not YAML: a tab indents the line; use blanks'],
  ['an open double quote', 'cluster: "prod\nregistrar: ssm\n', `file:1: not YAML: column 10: ${openQuote}`],
  ['an open single quote', "cluster: a\nname: 'prod\n", `file:2: not YAML: column 7: ${openQuote}`],
  [
    'the same name twice',
    'cluster: a\ncluster: b\n',
    'file:2: the same setting twice in one section; "cluster" is also in line 1: remove one of them; further faults may follow',
  ],
  [
    'the same name twice in a section',
    'name: a\ndisk:\n  name: b\n  name: c\n',
    'file:4: the same setting twice in one section; "name" is also in line 3: remove one of them; further faults may follow',
  ],
  ['an alias without its anchor', 'cluster: prod\nname: *web\n', 'file:2: text that begins with * needs quotes'],
  [
    'a non-breaking blank behind the colon',
    'cluster:\u00a0prod\nregistrar: ssm\n',
    'file:1: not YAML: a non-breaking blank stands in the line; type a plain blank',
  ],
  ['no colon', 'cluster: prod\nregistrar ssm\n', `file:2: ${noColon}`],
  ['no colon in the first line', 'cluster prod\nregistrar: ssm\n', `file:1: ${noColon}`],
  ['no blank behind the colon', 'cluster:prod\nregistrar: ssm\n', `file:1: ${noColon}`],
  ['an open brace', 'disk: {checks: 5\nspot: {}\n', `file:2: ${openBracket('}')}`],
  ['an open bracket', 'disk:\n  paths: [/a, /b\nspot:\n  pollSeconds: 2\n', `file:3: ${openBracket(']')}`],
  [
    'an open bracket as the whole text',
    '[1, 2',
    'file:1: not YAML: a bracket is never closed; add ]; further faults may follow',
  ],
  [
    'an open brace as the whole text',
    '{a: 1',
    'file:1: not YAML: a bracket is never closed; add }; further faults may follow',
  ],
  [
    'a second colon',
    'cluster: prod\nname: v2: web\n',
    'file:2: not YAML: column 7: a second colon with a blank in one line; put quotes around the value',
  ],
  ['a reserved sign', 'name: %x\n', 'file:1: not YAML: column 7: text that begins with % needs quotes'],
  [
    'an escape that YAML does not know',
    'name: "a\\q"\n',
    'file:1: not YAML: column 9: a backslash in double quotes; double it, or use single quotes',
  ],
  [
    'text behind a quote',
    'name: "a" b\n',
    'file:1: not YAML: column 11: text behind the end of a value; put all of the value into one pair of quotes',
  ],
])('%s is one fault, in its line, with the fix', (_, text, fault) => {
  expect(faultsOf(text)).toEqual([fault]);
});
