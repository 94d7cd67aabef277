/** Renders the help of the program and of each command from the table. */

import type { Command, CommandTable, Flag } from './command.ts';

export function renderHelp(table: CommandTable, command?: Command): string {
  return command === undefined ? renderProgram(table) : renderCommand(table, command);
}

function renderProgram({ commands, globalFlags }: CommandTable): string {
  const visible = commands.filter(({ hidden }) => hidden !== true);
  return [
    'Starts, watches and retires an Amazon ECS container instance.',
    '',
    'Usage: ecs-node COMMAND [flags]',
    '',
    'Commands:',
    ...columns(visible.map(({ name, summary }) => [name, summary])),
    '',
    'Flags of every command:',
    ...columns(globalFlags.map(flagRow)),
    '',
    'Examples:',
    ...exampleLines([
      ['ecs-node configure --cluster prod --registrar ssm', 'write the configuration; the systemd units do the rest'],
      ['ecs-node status', 'the state of this node and its present work'],
      ['ecs-node check', 'the effective configuration, with the source of each value'],
    ]),
    '',
    'Exit codes: 0 done, 1 something to look at (doctor, status --check, sweep), 64 wrong usage, 70 a bug,',
    '74 the output cannot be written, 75 not now (try again), 77 refused, 78 wrong configuration.',
    'Help of one command: ecs-node COMMAND --help',
    '',
  ].join('\n');
}

function renderCommand({ globalFlags }: CommandTable, command: Command): string {
  const { name, summary, details, operand, flags, examples } = command;
  const word = operand === undefined ? '' : ` ${operand.choices?.join('|') ?? operand.name}`;
  const usage = operand?.optional ? ` [${word.trim()}]` : word;
  return [
    `${summary}.`,
    ...(details === undefined ? [] : ['', details]),
    '',
    `Usage: ecs-node ${name}${usage}${flags.length > 0 ? ' [flags]' : ''}`,
    ...(flags.length > 0 ? ['', 'Flags:', ...columns(flags.map(flagRow))] : []),
    '',
    'Flags of every command:',
    ...columns(globalFlags.map(flagRow)),
    ...(examples.length > 0 ? ['', 'Examples:', ...exampleLines(examples)] : []),
    '',
  ].join('\n');
}

function flagRow({ name, value, choices, repeated, help }: Flag): [string, string] {
  const word = value === undefined ? '' : ` ${choices?.join('|') ?? value}`;
  return [`--${name}${word}${repeated ? ' …' : ''}`, help];
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`);
}

function exampleLines(examples: Command['examples']): string[] {
  return examples.flatMap(([line, meaning]) => [`  # ${meaning}`, `  ${line}`]);
}
