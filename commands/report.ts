/**
 * Writes to standard error: one line per event, for people or for machines, and the final error.
 */

import { ConfigError, UsageError, exitCode, messageOf, renderFault } from '../core/errors.ts';
import { openLog, renderJson, renderMessage, renderText, type Entry, type Level, type Log } from '../core/log.ts';
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
 * Without a format, systemd's journal gets native fields, a terminal text, everything else JSON.
 * `pid`: the process that the journal's entries are of.
 */
export async function openReport(
  output: Output,
  environment: Environment,
  args: readonly string[],
  pid?: number,
): Promise<Report> {
  const format = formatOf(args);
  const isText = (format ?? (output.isTTY === true ? 'text' : 'json')) === 'text';
  const isVerbose = args.includes('--verbose');
  const journal = await openJournal(environment, pid);
  const isNative = journal !== undefined && format === undefined;
  const render = isNative ? renderMessage : isText ? renderText : renderJson;
  const write = (entry: Entry) => {
    if (entry.level === 'debug' && !isVerbose) return;
    if (isNative && entry.level !== 'debug' && journal.send(journalFields(entry, args[0]))) return;
    const priority = journal === undefined ? '' : `<${priorities[entry.level]}>`;
    output.write(`${priority}${visibleLine(render(entry))}\n`);
  };
  const log = openLog(write, Date.now);
  const say = (text: string) => void output.write(`ecs-node: ${visible(text)}\n`);
  // A person also reads what a command in a pipe complains of. Only a program asks for JSON.
  const failsInText = format === undefined ? !isNative : isText;
  return {
    log,
    logFlags: [...(isNative ? [] : [`--log-format=${isText ? 'text' : 'json'}`]), ...(isVerbose ? ['--verbose'] : [])],
    fail: (error) => (failsInText ? failInText(error, say) : failInLog(error, log)),
  };
}

/** A machine without `logger`, or a journald that hangs, is not tried again at each entry. */
const pauseMs = 60_000;

interface Journal {
  /** False when the entry did not arrive. */
  send(fields: Record<string, string>): boolean;
}

/** Undefined when standard error is not the journal. */
async function openJournal(environment: Environment, pid = 0): Promise<Journal | undefined> {
  if (environment['JOURNAL_STREAM'] === undefined) return undefined;
  const { writesToJournal, sendToJournal } = await import('../host/journal.ts');
  if (!writesToJournal(environment)) return undefined;
  let brokenUntil = 0;
  return {
    send: (fields) => {
      if (Date.now() < brokenUntil) return false;
      const isSent = sendToJournal(fields, pid);
      if (!isSent) brokenUntil = Date.now() + pauseMs;
      return isSent;
    },
  };
}

/** `{ cause: 'spot' }` becomes ECS_NODE_CAUSE=spot. journald takes at most 64 characters a name. */
export function journalFields(entry: Entry, command?: string): Record<string, string> {
  const fields: Record<string, string> = {
    MESSAGE: visibleLine(renderMessage(entry)),
    PRIORITY: `${priorities[entry.level]}`,
    ECS_NODE_MESSAGE: visibleLine(entry.message),
    ...((command === 'agent' || command === 'bootstrap') && { ECS_NODE_LIFE: command }),
  };
  for (const [name, value] of Object.entries(entry.fields)) {
    if (value === undefined) continue;
    const key = name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').replaceAll(/\W/g, '_');
    fields[`ECS_NODE_${key.toUpperCase()}`.slice(0, 64)] = visibleLine(
      typeof value === 'string' ? value : JSON.stringify(value),
    );
  }
  return fields;
}

/** Undefined also for a format that does not exist: that error is for the person who typed it. */
function formatOf(args: readonly string[]): 'json' | 'text' | undefined {
  const at = args.findLastIndex((arg) => arg === '--log-format' || arg.startsWith('--log-format='));
  const given = at === -1 ? undefined : (args[at]?.split('=')[1] ?? args[at + 1]);
  return given === 'json' || given === 'text' ? given : undefined;
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
