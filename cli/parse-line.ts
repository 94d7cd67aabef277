/** Parses a command line by the table of commands. Each error suggests the correct form. */

import { parseArgs } from 'node:util';
import { UsageError } from '../core/errors.ts';
import { closestMatch } from '../core/closest-match.ts';
import type { Command, CommandTable, Flag, FlagValue, ParsedArgs } from './command.ts';
import { faultOfValue, missingFlags } from './flag-values.ts';

export interface ParsedLine extends ParsedArgs {
  /** Absent when the line names no command. */
  command?: Command;
}

/**
 * Rejects with a UsageError that names every fault. `--help` and `--version` win over every error
 * in the line.
 */
export async function parseLine(table: CommandTable, given: readonly string[]): Promise<ParsedLine> {
  // People also type "ecs-node help status".
  const args = given[0] === 'help' ? [...given.slice(1), '--help'] : given;
  const { command, at } = findCommand(table, args);
  const known = [...table.globalFlags, ...(command?.flags ?? [])];
  // A wrapper may give a global flag first, and a person another value after it.
  const repeatable = new Set(known.filter((flag) => flag.repeated === true || table.globalFlags.includes(flag)));
  const rest = at === undefined ? args : args.filter((_, index) => index !== at);
  const flags: Record<string, FlagValue> = {};
  const operands: string[] = [];
  const faults: string[] = [];
  for (const token of tokensOf(rest, known)) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = known.find(({ name }) => name === token.name);
    const fault =
      flag === undefined
        ? unknownFlag(table, token.rawName, command, known)
        : (faultOfFlag(flag, token) ??
          (repeatable.has(flag) ? undefined : faultOfRepetition(flag, flags[flag.name], token.value)));
    if (fault !== undefined) faults.push(fault);
    else if (flag !== undefined) addFlag(flags, flag, token.value);
  }
  const line = { flags, operands, ...(command !== undefined && { command }) };
  if (flags['help'] === true || flags['version'] === true) return line;
  // A required flag with a wrong value is already reported.
  const missing = missingFlags(command?.flags ?? [], flags).filter(
    ({ name }) => !faults.some((told) => told.startsWith(`--${name} `)),
  );
  faults.push(...missing.map(({ name, value }) => `--${name} ${value} is missing`));
  const fault = command === undefined ? 'no command given' : faultOfOperands(command, operands);
  if (faults.length === 0 && fault !== undefined) faults.push(fault);
  if (faults.length === 0) return line;
  const texts = [`${[...new Set(faults)].join('; ')} (${seeHelp(command)})`];
  for (const { loadCheck } of known) if (loadCheck !== undefined) texts.push(...(await loadCheck())(known, line));
  throw new UsageError(texts.join('\n'));
}

export function seeHelp(command?: Command): string {
  return `see: ecs-node ${command === undefined ? '' : `${command.name} `}--help`;
}

type Token = NonNullable<ReturnType<typeof parseArgs<{ tokens: true; strict: false }>>['tokens']>[number];

function tokensOf(args: readonly string[], flags: readonly Flag[]): Token[] {
  const options = Object.fromEntries(
    flags.map(({ name, value }) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }]),
  );
  const short = { help: { type: 'boolean' as const, short: 'h' } };
  const config = { args: [...args], options: { ...options, ...short }, strict: false, allowPositionals: true } as const;
  return parseArgs({ ...config, tokens: true }).tokens;
}

/** The first word that is neither a flag nor the value of a flag. */
function findCommand(
  { commands, globalFlags }: CommandTable,
  args: readonly string[],
): { command?: Command; at?: number } {
  const tokens = tokensOf(args, globalFlags);
  const first = tokens.find(({ kind }) => kind === 'positional');
  if (first?.kind !== 'positional') return {};
  const early = tokens.find(
    (token) =>
      token.kind === 'option' && token.index < first.index && !globalFlags.some(({ name }) => name === token.name),
  );
  if (early?.kind === 'option') {
    throw new UsageError(`the command comes first, then ${early.rawName} (${seeHelp()})`);
  }
  const command = commands.find(({ name }) => name === first.value);
  if (command !== undefined) return { command, at: first.index };
  const visible = commands.filter(({ hidden }) => hidden !== true).map(({ name }) => name);
  const closest = closestMatch(first.value, visible);
  const hint = closest === undefined ? `there are ${visible.join(', ')}` : `did you mean ${closest}?`;
  throw new UsageError(`unknown command ${JSON.stringify(first.value)}; ${hint} (${seeHelp()})`);
}

function unknownFlag(
  { commands }: CommandTable,
  raw: string,
  command: Command | undefined,
  known: readonly Flag[],
): string {
  const closest = closestMatch(
    raw.replace(/^-+/, ''),
    known.map(({ name }) => name),
  );
  const owner = commands.find(({ hidden, flags }) => hidden !== true && flags.some(({ name }) => `--${name}` === raw));
  const hint =
    closest !== undefined
      ? `; did you mean --${closest}?`
      : owner !== undefined
        ? `; it belongs to "ecs-node ${owner.name}"`
        : known.some(({ name }) => name === 'set') && /^--[a-z]\w*$/i.test(raw)
          ? `; a setting without a flag of its own is set with --set ${raw.slice(2)}=VALUE`
          : '';
  return `unknown flag ${raw}${command === undefined ? '' : ` for "ecs-node ${command.name}"`}${hint}`;
}

function faultOfFlag(flag: Flag, token: Extract<Token, { kind: 'option' }>): string | undefined {
  const { value } = token;
  if (flag.value === undefined) {
    return value === undefined ? undefined : `--${flag.name} takes no value; found ${JSON.stringify(value)}`;
  }
  if (value === undefined) return `--${flag.name} needs a value: --${flag.name} ${flag.value}`;
  // A flag without its value must not consume the next flag.
  if (!token.inlineValue && value.startsWith('-')) {
    return `--${flag.name} needs a value before ${value}; one that begins with a dash is written --${flag.name}=${value}`;
  }
  return faultOfValue(flag, value);
}

/** A person who gives a flag twice means one of the values, and the parser does not know which. */
function faultOfRepetition(
  { name, value }: Flag,
  earlier: FlagValue | undefined,
  given: string | undefined,
): string | undefined {
  if (value === undefined || earlier === undefined || earlier === given) return undefined;
  return `--${name} is given twice, as ${JSON.stringify(earlier)} and as ${JSON.stringify(given)}: give it once`;
}

function addFlag(flags: Record<string, FlagValue>, flag: Flag, value: string | undefined): void {
  if (flag.repeated) flags[flag.name] = [...((flags[flag.name] ?? []) as readonly string[]), value ?? ''];
  else flags[flag.name] = value ?? true;
}

function faultOfOperands(command: Command, operands: readonly string[]): string | undefined {
  const { name, operand } = command;
  const [first] = operands;
  const surplus = operands[operand === undefined ? 0 : 1];
  if (surplus !== undefined) return `"ecs-node ${name}" does not take ${JSON.stringify(surplus)}`;
  if (operand === undefined) return undefined;
  if (first === undefined) return operand.optional ? undefined : `"ecs-node ${name}" needs ${describe(operand)}`;
  if (operand.choices === undefined || operand.choices.includes(first)) return undefined;
  return `"ecs-node ${name}" takes one of ${operand.choices.join(', ')}; found ${JSON.stringify(first)}`;
}

function describe({ name, choices }: NonNullable<Command['operand']>): string {
  return choices === undefined ? name : `one of ${choices.join(', ')}`;
}
