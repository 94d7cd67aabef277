import { expect, test } from 'vitest';
import { parseLine } from '../../../cli/parse-line.ts';
import { renderHelp } from '../../../cli/render-help.ts';
import { globalFlags } from '../../../commands/flags.ts';
import { commands, commandTable } from '../../../commands/table.ts';
import { UsageError } from '../../../core/errors.ts';
import { registrarNames } from '../../../core/state/state.ts';

const parse = (line: string) =>
  parseLine(
    commandTable,
    line.split(' ').filter((word) => word !== ''),
  );

test('global flags may stand before and after the command', async () => {
  for (const line of [
    '--root /x configure --cluster a',
    'configure --cluster a --root /x',
    'configure --root=/x --cluster=a',
  ]) {
    expect(await parse(line)).toMatchObject({
      command: { name: 'configure' },
      flags: { root: '/x', cluster: 'a' },
      operands: [],
    });
  }
});

test('--set adds up, another flag may come twice with one value, and the last value of a global flag counts', async () => {
  expect((await parse('--root /x configure --set a=1 --cluster x --set b=2 --cluster x --root /y')).flags).toEqual({
    set: ['a=1', 'b=2'],
    cluster: 'x',
    root: '/y',
  });
});

test('a value that begins with a dash is written with an equals sign', async () => {
  expect((await parse('leave --reason=-1')).flags).toEqual({ reason: '-1' });
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
  ['check --set a=1 --set b=2', /^unknown flag --set for "ecs-node check"; it belongs to "ecs-node bootstrap" \(see: /],
  ['status --with-secrets', /^unknown flag --with-secrets for "ecs-node status" \(see: /],
  ['--cluster x configure', /^the command comes first, then --cluster/],
  ['configure --cluster', /^--cluster needs a value: --cluster NAME/],
  ['configure --cluster --registrar ssm', /^--cluster needs a value before --registrar/],
  [
    'configure --registrar opswork',
    new RegExp(`^--registrar must be one of ${registrarNames.join(', ')}; found "opswork"; did you mean opsworks\\?`),
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
  [
    'configure --cluster x --cluster y',
    /^--cluster is given twice, as "x" and as "y": give it once \(see: ecs-node configure --help\)$/,
  ],
  ['status -j', /^unknown flag -j for "ecs-node status"/],
])('"%s" is wrong usage, and the error names the remedy', async (line, message) => {
  const parsed = parse(line);
  await expect(parsed).rejects.toBeInstanceOf(UsageError);
  await expect(parsed).rejects.toThrow(message);
});

// A person mended one fault after the other.
test('a wrong flag hides no fault of a setting in the same line', async () => {
  const line = parse(
    'configure --clustr x --set disk.fullPercent=lots --set disk --registrar=opsworks --set disk.paths=[',
  );
  const message = await line.then(
    () => '',
    (error: unknown) => String(error),
  );
  expect(message.split('\n')).toEqual([
    expect.stringMatching(/^UsageError: unknown flag --clustr .*did you mean --cluster\?/),
    expect.stringMatching(/^--set "disk": must be KEY=VALUE/),
    expect.stringMatching(/^--set disk\.paths: /),
    expect.stringMatching(/^disk\.fullPercent: .*from --set disk\.fullPercent/),
  ]);
});

test('help takes precedence over any error, in every usual form', async () => {
  expect((await parse('configure --clustr --help')).command?.name).toBe('configure');
  expect((await parse('--help status')).command?.name).toBe('status');
  expect(await parse('status -h')).toMatchObject({ command: { name: 'status' }, flags: { help: true } });
  expect(await parse('help status')).toMatchObject({ command: { name: 'status' }, flags: { help: true } });
  expect(await parse('help')).toMatchObject({ flags: { help: true } });
  expect((await parse('--version configure')).flags['version']).toBe(true);
});

test('every command for people has examples that this parser accepts', async () => {
  for (const command of commands.filter(({ hidden }) => hidden !== true)) {
    const help = renderHelp(commandTable, command);
    expect(renderHelp(commandTable)).toContain(`  ${command.name} `);
    for (const { name } of [...command.flags, ...globalFlags]) expect(help).toContain(`--${name}`);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const [line] of command.examples) expect(await parseExample(line)).toBe(command.name);
  }
});

test('no command has two flags of one name, nor one of a global name', () => {
  for (const { flags } of commands) {
    const names = [...flags, ...globalFlags].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  }
});

/** As a shell would divide it, redirections left out. */
async function parseExample(line: string): Promise<string | undefined> {
  const [, words = ''] = /(?:^|<\()ecs-node ([^)>]*)/.exec(line) ?? [];
  const args = [...words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain!,
  );
  return (await parseLine(commandTable, args)).command?.name;
}
