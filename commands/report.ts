/**
 * Writes to standard error: one line per event, for people or for machines, and the final error.
 */

import { ConfigError, UsageError, exitCode, messageOf, renderFault } from '../core/errors.ts';
import { openLog, renderJson, renderText, type Entry, type Level, type Log } from '../core/log.ts';
import { visible, visibleLine } from '../core/visible.ts';
import type { Environment } from '../cli/command.ts';

export interface Report {
  log: Log;
  /** Flags with which a child process logs in the same form. */
  logFlags: readonly string[];
  /** Reports the error, and returns the exit code. */
  fail(error: unknown): number;
}

interface Output {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** The priorities of syslog. */
const priorities: Record<Level, number> = { error: 3, warn: 4, info: 6, debug: 7 };

/**
 * The format is read before the line is parsed: errors in the line must already be in that format.
 */
export async function openReport(output: Output, environment: Environment, args: readonly string[]): Promise<Report> {
  const isText = (formatOf(args) ?? (output.isTTY === true ? 'text' : 'json')) === 'text';
  const isVerbose = args.includes('--verbose');
  const inJournal = await isJournal(environment);
  const render = isText ? renderText : renderJson;
  const write = (entry: Entry) => {
    if (entry.level === 'debug' && !isVerbose) return;
    output.write(`${inJournal ? `<${priorities[entry.level]}>` : ''}${visibleLine(render(entry))}\n`);
  };
  const log = openLog(write, Date.now);
  const say = (text: string) => void output.write(`ecs-node: ${visible(text)}\n`);
  return {
    log,
    logFlags: [`--log-format=${isText ? 'text' : 'json'}`, ...(isVerbose ? ['--verbose'] : [])],
    fail: (error) => (isText ? failInText(error, say) : failInLog(error, log)),
  };
}

async function isJournal(environment: Environment): Promise<boolean> {
  if (environment['JOURNAL_STREAM'] === undefined) return false;
  const { writesToJournal } = await import('../host/journal.ts');
  return writesToJournal(environment);
}

function formatOf(args: readonly string[]): string | undefined {
  const at = args.findLastIndex((arg) => arg === '--log-format' || arg.startsWith('--log-format='));
  return at === -1 ? undefined : (args[at]?.split('=')[1] ?? args[at + 1]);
}

function failInText(error: unknown, say: (line: string) => void): number {
  if (error instanceof ConfigError) for (const fault of error.faults) say(visibleLine(renderFault(fault)));
  else say(describe(error));
  return exitCode(error);
}

function failInLog(error: unknown, log: Log): number {
  const code = exitCode(error);
  if (error instanceof ConfigError) {
    for (const { path, problem, source } of error.faults) log.error('wrong configuration', { path, problem, source });
  } else {
    log.error(error instanceof UsageError ? 'wrong usage' : 'failed', { error: describe(error), exitCode: code });
  }
  return code;
}

/** Only a bug of this program is printed with its stack. */
function describe(error: unknown): string {
  if (exitCode(error) !== 70) return messageOf(error);
  return `a bug in ecs-node: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
