/**
 * Reads the answer of RegisterInstance from the output of the installer. The installer also prints
 * the errors of package managers and downloads, which say nothing about this node.
 */

import { isLethal } from '../../../core/essentials.ts';
import { deniedCodes, throttledCodes } from '../../../core/errors.ts';
import type { Exit } from '../../../core/host.ts';

export type InstallerOutcome =
  | { kind: 'hostname taken' | 'already registered' }
  /** AWS refuses this request, and its answer is the last thing that the installer said. */
  | { kind: 'refused'; code: string }
  /** OpsWorks was busy with other nodes, and did nothing. */
  | { kind: 'throttled' }
  /** Everything else: it may pass by itself. */
  | { kind: 'failed' };

interface Answer {
  code: string;
  message: string;
}

/**
 * How an error of AWS is printed: by Ruby with the message before or after the class, by the AWS
 * CLI, and as the answer's own JSON.
 */
const forms: readonly RegExp[] = [
  /^(?:\S+:\d+:in [`'][^`']+': )?Aws::OpsWorks::Errors::(?<code>\w+)(?:: (?<message>.*))?$/,
  /^(?:\S+:\d+:in [`'][^`']+': )?(?<message>.*) \(Aws::OpsWorks::Errors::(?<code>\w+)\)$/,
  /^An error occurred \((?<code>\w+)\) when calling the RegisterInstance operation(?: \([^)]*\))?: (?<message>.*)$/,
];

/** A frame of a stack trace below an error of Ruby. */
const frame = /^\s*(\d+: )?from \S+:\d+/;

export function judgeExit({ code: exitCode, tail }: Exit): InstallerOutcome {
  const lines = tail.split('\n').filter((line) => line.trim() !== '' && !frame.test(line));
  const answers = lines.map(readAnswer);
  const answer = answers.findLast((found) => found !== undefined);
  if (answer === undefined) return { kind: 'failed' };
  const { code, message } = answer;
  if (code === 'ValidationException') {
    if (/^(the )?host ?name \S+ is already (in use|taken)\b/i.test(message)) return { kind: 'hostname taken' };
    if (/^(the )?instance \S+ is already registered\b/i.test(message)) return { kind: 'already registered' };
  }
  // A signal ended it, or it went on and then failed for another reason.
  if (exitCode > 128 || answers.at(-1) !== answer) return { kind: 'failed' };
  if (throttledCodes.test(code)) return { kind: 'throttled' };
  return isLethal('registerInstance', code) || deniedCodes.test(code) ? { kind: 'refused', code } : { kind: 'failed' };
}

function readAnswer(line: string): Answer | undefined {
  const text = line.trim();
  for (const form of forms) {
    const { code, message = '' } = form.exec(text)?.groups ?? {};
    if (code !== undefined) return { code, message };
  }
  return readJson(text);
}

function readJson(text: string): Answer | undefined {
  if (!/^\{.*"__type"/.test(text)) return undefined;
  try {
    const { __type: type, message } = JSON.parse(text) as Record<string, unknown>;
    if (typeof type !== 'string') return undefined;
    // Some services put a namespace before the code.
    return { code: type.replace(/^.*#/, ''), message: typeof message === 'string' ? message : '' };
  } catch {
    return undefined;
  }
}
