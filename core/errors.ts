/** What can go wrong, told apart by what the reader must do about it. */

import { redact } from './secrets.ts';

import type { Essential } from './essentials.ts';

/** One thing that is wrong in a configuration: where, what was found, and what to do. */
export interface Fault {
  /** Dotted path of the setting, e.g. `disk.fullPercent`, or the file itself. */
  path: string;
  /** What is wrong and what is allowed, as one sentence without a full stop. */
  problem: string;
  /** The file, tag or flag that the value came from, when known. */
  source?: string;
  /** True: nothing is there, so another source may still supply it. */
  missing?: true;
}

/**
 * The operator must edit something. Never retried; nothing was changed. Exit code 78 (EX_CONFIG).
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[], options?: ErrorOptions) {
    super(faults.map(renderFault).join('\n'), options);
    this.faults = faults;
  }
}

/** The command line makes no sense. Exit code 64 (EX_USAGE). */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something did not answer, or asked for a pause: time heals. Exit code 75 (EX_TEMPFAIL). */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/**
 * AWS, or a program, said no to this request: a person has to mend something. Never costs a node
 * its life. Exit code 77 (EX_NOPERM).
 */
export class Refused extends Error {
  override readonly name = 'Refused';
  /** The service's own error code (`AccessDenied`, `ValidationException` …), when there is one. */
  readonly code: string | undefined;

  constructor(message: string, options?: ErrorOptions & { code?: string }) {
    super(message, options);
    this.code = options?.code;
  }
}

/**
 * This node will never be of use: it lacks something essential, for good. The only error that may
 * end a node. Exit code 77.
 */
export class Unfit extends Error {
  override readonly name = 'Unfit';
  readonly essential: Essential;

  constructor(essential: Essential, message: string, options?: ErrorOptions) {
    super(message, options);
    this.essential = essential;
  }
}

/** The codes with which AWS services say that a permission is missing. */
export const deniedCodes =
  /^(AccessDenied(Exception)?|UnauthorizedOperation|UnauthorizedException|NotAuthorized(Exception)?)$/;

/**
 * True when the node's role lacks a permission. An operator has to add it, and every node of the
 * group lacks it.
 */
export function isDenied(error: unknown): boolean {
  return error instanceof Refused && deniedCodes.test(error.code ?? '');
}

/** A named step failed; exits as its cause does. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly step: string;

  constructor(step: string, cause: unknown) {
    super(`${step}: ${messageOf(cause)}`, { cause });
    this.step = step;
  }
}

/** The exit code of an error, as in sysexits(3); 70 (EX_SOFTWARE) is a bug of ours. */
export function exitCode(error: unknown): number {
  if (error instanceof StepError) return exitCode(error.cause);
  if (error instanceof UsageError) return 64;
  if (error instanceof Unavailable) return 75;
  if (error instanceof Refused || error instanceof Unfit) return 77;
  if (error instanceof ConfigError) return 78;
  return 70;
}

/** An error's message for a person, whatever was thrown; never empty. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return redact(String(error));
  // Node tries every address of a host, and then throws an error without a text that holds one
  // error for each address.
  if (error instanceof AggregateError && error.errors.length > 0 && error.message === '') {
    return [...new Set(error.errors.map(messageOf))].join(', ');
  }
  return redact(error.message) || codeIn(error) || error.name;
}

function codeIn(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** One fault as one line: where, what, from which source. */
export function renderFault(fault: Fault): string {
  return fault.source === undefined
    ? `${fault.path}: ${fault.problem}`
    : `${fault.path}: ${fault.problem} (from ${fault.source})`;
}
