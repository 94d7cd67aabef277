/** A command: its name, flags and operands, and the context in which it runs. */

import type { Readable, Writable } from 'node:stream';
import type { Log } from '../core/log.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of a command. Only main.ts makes it, because only main.ts reads `process`. */
export interface CommandContext {
  /** Every file lies below this absolute path. */
  root: string;
  /** The configuration file, absolute, below the root. */
  configFile: string;
  /** True when the command line names the file. The file must then exist. */
  configFileGiven: boolean;
  environment: Environment;
  /** The file and the first arguments that start this same program again. */
  self: { file: string; args: readonly string[] };
  /** Standard input. A command that does not read it never opens it. */
  openInput(): Readable;
  output: Writable;
  /** Prints the result of the command to standard output. */
  print(text: string): void;
  log: Log;
  /**
   * From now on SIGHUP calls this and does not end the program. Absent when the program receives no
   * signals.
   */
  onHangup?(listener: () => void): void;
  /** For commands that print something about all commands. */
  table: CommandTable;
  /** Flags with which a child process logs as this process does. */
  logFlags: readonly string[];
  /**
   * A path from the command line: relative to the current folder, or to the root if that is not
   * `/`.
   */
  resolve(path: string): string;
}

export type FlagValue = string | boolean | readonly string[];

/** The parsed command line. */
export interface ParsedArgs {
  flags: Readonly<Record<string, FlagValue>>;
  operands: readonly string[];
}

/** Runs a command and returns its exit code. main.ts turns errors into exit codes. */
export type Run = (context: CommandContext, args: ParsedArgs, signal: AbortSignal) => Promise<number>;

export interface Flag {
  /** Without the dashes. */
  name: string;
  /** The name of the value in the help. Absent for a switch. */
  value?: string;
  /** May be given several times. */
  repeated?: true;
  choices?: readonly string[];
  /** The kind of completion that a shell offers for the value. */
  completes?: 'file' | 'folder';
  /** The value must be a whole number between these. */
  whole?: { min: number; max: number };
  /** The value must match this pattern. `words` follows "must be" in the message. */
  form?: { pattern: RegExp; words: string };
  /** The command cannot run without this flag. */
  required?: true;
  help: string;
  /** The setting that the flag sets. */
  setting?: string;
  /**
   * Loads the check of the settings in a line, which the parser alone cannot do. The parser calls
   * it for a line with another fault, so that a person can mend all faults in one go.
   */
  loadCheck?: () => Promise<(flags: readonly Flag[], args: ParsedArgs) => string[]>;
}

export interface Operand {
  name: string;
  optional?: true;
  choices?: readonly string[];
  completes?: 'file';
}

export interface Command {
  name: string;
  /** One line. */
  summary: string;
  /** Further facts that a user needs. */
  details?: string;
  operand?: Operand;
  flags: readonly Flag[];
  examples: readonly (readonly [line: string, meaning: string])[];
  /** This program starts it, not a person. */
  hidden?: true;
  /** Loads the code of the command only when it runs. */
  load(): Promise<Run>;
}

/**
 * Every command, and the flags that all of them take. The parser, the help and the completions read
 * this table.
 */
export interface CommandTable {
  commands: readonly Command[];
  globalFlags: readonly Flag[];
}

export function textOf(args: ParsedArgs, flag: string): string | undefined {
  const value = args.flags[flag];
  return typeof value === 'string' ? value : undefined;
}

export function listOf(args: ParsedArgs, flag: string): readonly string[] {
  const value = args.flags[flag];
  return Array.isArray(value) ? (value as readonly string[]) : [];
}

/** The value of a flag that is `whole`. */
export function numberOf(args: ParsedArgs, flag: string): number | undefined {
  const text = textOf(args, flag);
  return text === undefined ? undefined : Number(text);
}

export function isSet(args: ParsedArgs, flag: string): boolean {
  return args.flags[flag] === true;
}
