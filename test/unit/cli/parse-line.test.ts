import { expect, test } from 'vitest';
import { parseLine } from '../../../cli/parse-line.ts';
import { renderHelp } from '../../../cli/render-help.ts';
import { globalFlags } from '../../../commands/flags.ts';
import { commands, commandTable } from '../../../commands/table.ts';
import { UsageError } from '../../../core/errors.ts';

const parse = (line: string) =>
  parseLine(
    commandTable,
    line.split(' ').filter((word) => word !== ''),
  );

test('global flags may stand before and after the command', () => {
  for (const line of [
    '--root /x configure --cluster a',
    'configure --cluster a --root /x',
    'configure --root=/x --cluster=a',
  ]) {
    expect(parse(line)).toMatchObject({
      command: { name: 'configure' },
      flags: { root: '/x', cluster: 'a' },
      operands: [],
    });
  }
});

test('--set adds up, and of any other flag the last value counts', () => {
  expect(parse('configure --set a=1 --cluster x --set b=2 --cluster y').flags).toEqual({
    set: ['a=1', 'b=2'],
    cluster: 'y',
  });
});

test('a value that begins with a dash is written with an equals sign', () => {
  expect(parse('leave --reason=-1').flags).toEqual({ reason: '-1' });
});

test.each([
  ['', /^no command given \(see: ecs-node --help\)$/],
  ['chek', /^unknown command "chek"; did you mean check\? \(see: ecs-node --help\)$/],
  ['frobnicate', /^unknown command "frobnicate"; there are bootstrap, configure,/],
  [
    'configure --clustr x',
    /^unknown flag --clustr for "ecs-node configure"; did you mean --cluster\? \(see: ecs-node configure --help\)$/,
  ],
  [
    'configure --hostname x',
    /^unknown flag --hostname for "ecs-node configure"; a setting without a flag of its own is set with --set hostname=VALUE \(/,
  ],
  ['status --cluster x', /^unknown flag --cluster for "ecs-node status"; it belongs to "ecs-node bootstrap"/],
  ['status --with-secrets', /^unknown flag --with-secrets for "ecs-node status" \(see: /],
  ['--cluster x configure', /^the command comes first, then --cluster/],
  ['configure --cluster', /^--cluster needs a value: --cluster NAME/],
  ['configure --cluster --registrar ssm', /^--cluster needs a value before --registrar/],
  [
    'configure --registrar opswork',
    /^--registrar must be one of opsworks, ssm, none; found "opswork"; did you mean opsworks\?/,
  ],
  ['configure x', /^"ecs-node configure" does not take "x"/],
  ['check a b', /^"ecs-node check" does not take "b"/],
  ['status --json=yes', /^--json takes no value; found "yes"/],
  ['status --root=', /^--root needs a value that is not empty/],
  [
    'service-size --spare x --min 0 --service a/b',
    /^--spare must be a whole number from 0 to 5000; found "x"; --min must be .* from 1 to 5000; found "0"; --service must be a name of .*; found "a\/b"; --cluster NAME is missing \(see: ecs-node service-size --help\)$/,
  ],
  ['service-size --cluster a --service b --max 1e3', /^--max must be a whole number from 1 to 5000; found "1e3"/],
  ['service-size --cluster a --service b --region eu', /^--region must be a region such as eu-west-1; found "eu"/],
  ['completion', /^"ecs-node completion" needs one of bash, zsh, fish/],
  ['completion tcsh', /^"ecs-node completion" takes one of bash, zsh, fish; found "tcsh"/],
  ['status -j', /^unknown flag -j for "ecs-node status"/],
])('"%s" is wrong usage, and the error names the remedy', (line, message) => {
  expect(() => parse(line)).toThrow(UsageError);
  expect(() => parse(line)).toThrow(message);
});

test('help takes precedence over any error, in every usual form', () => {
  expect(parse('configure --clustr --help').command?.name).toBe('configure');
  expect(parse('--help status').command?.name).toBe('status');
  expect(parse('status -h')).toMatchObject({ command: { name: 'status' }, flags: { help: true } });
  expect(parse('help status')).toMatchObject({ command: { name: 'status' }, flags: { help: true } });
  expect(parse('help')).toMatchObject({ flags: { help: true } });
  expect(parse('--version configure').flags['version']).toBe(true);
});

test('every command for people has examples that this parser accepts', () => {
  for (const command of commands.filter(({ hidden }) => hidden !== true)) {
    const help = renderHelp(commandTable, command);
    expect(renderHelp(commandTable)).toContain(`  ${command.name} `);
    for (const { name } of [...command.flags, ...globalFlags]) expect(help).toContain(`--${name}`);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const [line] of command.examples) expect(parseExample(line)).toBe(command.name);
  }
});

test('no command has two flags of one name, nor one of a global name', () => {
  for (const { flags } of commands) {
    const names = [...flags, ...globalFlags].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  }
});

/** As a shell would divide it, redirections left out. */
function parseExample(line: string): string | undefined {
  const [, words = ''] = /(?:^|<\()ecs-node ([^)>]*)/.exec(line) ?? [];
  const args = [...words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain!,
  );
  return parseLine(commandTable, args).command?.name;
}
