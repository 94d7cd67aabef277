/** Runs a command about a fleet as a Lambda function. Its flags come from the environment. */

import { ConfigError, Unavailable, type Fault } from '../../core/errors.ts';
import { closestMatch } from '../../core/closest-match.ts';
import { withTimeout } from '../../core/retry.ts';
import { paths } from '../../core/state/state.ts';
import { openClock } from '../../host/clock.ts';
import type { CommandContext, Command, Environment, Flag, FlagValue, ParsedArgs } from '../../cli/command.ts';
import { faultOfValue, missingFlags } from '../../cli/flag-values.ts';
import { openReport } from '../report.ts';

/** Lambda's second argument, beside the event. */
export interface Invocation {
  awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

/** Handles one event of a schedule. Rejects if the command fails, so that alarms see it. */
export type Handler = (event: unknown, invocation: Invocation) => Promise<unknown>;

export interface LambdaContext {
  environment: Environment;
  output: CommandContext['output'];
  version: string;
}

/** Time left to log the timeout, before Lambda ends the process without a log line. */
const timeoutReportMs = 1_000;

/** 1: there is something to look at, and the report has it. */
const successCodes = [0, 1];

const prefix = 'ECS_NODE_';

export function openHandler(command: Command, { environment, output, version }: LambdaContext): Handler {
  return async (event, invocation) => {
    const verbose = environment[`${prefix}VERBOSE`] === 'true' ? ['--verbose'] : [];
    const report = await openReport(output, environment, ['--log-format=json', ...verbose]);
    const log = report.log.with({ requestId: invocation.awsRequestId });
    try {
      log.info('invoked', { command: command.name, version, event: idOf(event) });
      const args = readArgs(command, environment);
      const context = openLambdaCommandContext({ environment, output, log });
      const run = await command.load();
      const work = (signal: AbortSignal) => run(context, args, signal);
      const ms = invocation.getRemainingTimeInMillis() - timeoutReportMs;
      const code = await withTimeout(ms, work, openClock(), new AbortController().signal);
      const answer = JSON.parse(context.printed()) as unknown;
      // A schedule throws the answer away.
      log.info('reported', { code, report: answer });
      if (!successCodes.includes(code))
        throw new Unavailable(`${command.name}: not all of it was answered or done (exit code ${code})`);
      return answer;
    } catch (error) {
      report.fail(error);
      throw error;
    }
  };
}

/**
 * `ECS_NODE_OLDER_THAN=3` is `--older-than 3`. A switch is true or false, a repeated flag a list
 * with commas, empty is not set. Throws ConfigError with every fault.
 */
export function readArgs(command: Command, environment: Environment): ParsedArgs {
  const flags: Record<string, FlagValue> = { json: true };
  const faults: Fault[] = [];
  // The report is always JSON, and Lambda itself sets the region.
  const known = command.flags.filter(({ name }) => name !== 'json' && name !== 'region');
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(prefix) || variable === `${prefix}VERBOSE` || value === undefined || value === '')
      continue;
    const flag = known.find(({ name }) => variableOf(name) === variable);
    const problem = flag === undefined ? unknownVariable(variable, known) : problemOf(flag, value);
    if (problem !== undefined) faults.push({ path: variable, problem });
    else if (flag !== undefined) flags[flag.name] = parseValue(flag, value);
  }
  for (const { name, help } of missingFlags(known, flags)) {
    if (faults.some(({ path }) => path === variableOf(name))) continue;
    faults.push({ path: variableOf(name), problem: `missing; it is required (${help})`, missing: true });
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return { flags, operands: [] };
}

function variableOf(flag: string): string {
  return prefix + flag.toUpperCase().replaceAll('-', '_');
}

function problemOf(flag: Flag, value: string): string | undefined {
  if (flag.value !== undefined) {
    const parts = flag.repeated === true ? value.split(',') : [value];
    return parts.map((part) => faultOfValue(flag, part)?.replace(`--${flag.name} `, '')).find((fault) => fault);
  }
  return value === 'true' || value === 'false' ? undefined : `must be true or false; found ${JSON.stringify(value)}`;
}

function parseValue(flag: Flag, value: string): FlagValue {
  if (flag.value === undefined) return value === 'true';
  return flag.repeated === true ? value.split(',') : value;
}

function unknownVariable(variable: string, known: readonly Flag[]): string {
  const names = known.map(({ name }) => variableOf(name));
  const closest = closestMatch(variable, names);
  return closest === undefined ? `unknown; known are ${names.join(', ')}` : `unknown; did you mean ${closest}?`;
}

function openLambdaCommandContext(
  base: Pick<CommandContext, 'environment' | 'output' | 'log'>,
): CommandContext & { /** What the command printed. */ printed(): string } {
  let printed = '';
  return {
    ...base,
    root: '/',
    configFile: paths.config,
    configFileGiven: false,
    self: { file: '', args: [] },
    openInput: () => {
      throw new Unavailable('a function has no standard input');
    },
    print: (text) => void (printed += text),
    printed: () => printed,
    logFlags: [],
    table: { commands: [], globalFlags: [] },
    resolve: (path) => path,
  };
}

/** The id of an EventBridge event. Any other event runs the command as well. */
function idOf(event: unknown): string | undefined {
  const { id } = (event ?? {}) as { id?: unknown };
  return typeof id === 'string' ? id : undefined;
}
