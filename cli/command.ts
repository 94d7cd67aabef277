/** What a command is: its words on the command line, and what it is given when it runs. */

import type { Readable, Writable } from 'node:stream';
import type { Log } from '../core/log.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Who started us, and with what. Made by main.ts, the only one who reads `process`. */
export interface CommandContext {
  /** Below which every file lies; absolute. */
  root: string;
  /** The configuration file, absolute, below the root. */
  configFile: string;
  /** True where the command line names it: then it must be there. */
  configFileGiven: boolean;
  environment: Environment;
  /** How to start this very program again: file and first arguments. */
  self: { file: string; args: readonly string[] };
  /** Standard input; opened only by who reads it. */
  openInput(): Readable;
  output: Writable;
  /** Standard output, for what the command was asked for. */
  print(text: string): void;
  log: Log;
  /**
   * From now on SIGHUP calls this, instead of ending the program. Absent where nobody sends
   * signals.
   */
  onHangup?(listener: () => void): void;
  /** For commands that print something about all commands. */
  table: CommandTable;
  /** Flags that make a child of ours log as we do. */
  logFlags: readonly string[];
  /**
   * A path from the command line: relative to the current folder, or to the root where that is
   * another one.
   */
  resolve(path: string): string;
}

export type FlagValue = string | boolean | readonly string[];

/** What stood on the command line. */
export interface ParsedArgs {
  flags: Readonly<Record<string, FlagValue>>;
  operands: readonly string[];
}

/** Runs a command; the exit code. Errors become exit codes in main.ts. */
export type Run = (context: CommandContext, args: ParsedArgs, signal: AbortSignal) => Promise<number>;

export interface Flag {
  /** Without the dashes. */
  name: string;
  /** What stands for its value in the help; absent for a switch. */
  value?: string;
  /** May be given several times. */
  repeated?: true;
  choices?: readonly string[];
  /** What a shell completes its value with. */
  completes?: 'file' | 'folder';
  /** Its value is a whole number between these. */
  whole?: { min: number; max: number };
  /** Its value has this form, told in words after "must be". */
  form?: { pattern: RegExp; words: string };
  /** The command makes no sense without it. */
  required?: true;
  help: string;
  /** The setting that it sets. */
  setting?: string;
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
  /** What one must know beyond it. */
  details?: string;
  operand?: Operand;
  flags: readonly Flag[];
  examples: readonly (readonly [line: string, meaning: string])[];
  /** Started by ourselves, not by people. */
  hidden?: true;
  /** Loads what it needs only when it is asked for. */
  load(): Promise<Run>;
}

/**
 * Every command there is, and the flags that all of them take: the parser, the help and the
 * completions read it.
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

/** Of a flag that is `whole`. */
export function numberOf(args: ParsedArgs, flag: string): number | undefined {
  const text = textOf(args, flag);
  return text === undefined ? undefined : Number(text);
}

export function isSet(args: ParsedArgs, flag: string): boolean {
  return args.flags[flag] === true;
}
