/** The kinds of errors, distinguished by the action that the reader must take. */

import { redact } from './secrets.ts';

import type { Essential } from './essentials.ts';

/** One fault in a configuration: its place, the value found, and the remedy. */
export interface Fault {
  /** Dotted path of the setting, e.g. `disk.fullPercent`, or the file itself. */
  path: string;
  /** The problem and the allowed values, as one sentence without a full stop. */
  problem: string;
  /** The file, tag or flag that the value came from, when known. */
  source?: string;
  /** True: the setting is absent here, so another source may still supply it. */
  missing?: true;
}

/**
 * The operator must edit something. It is never retried, and nothing was changed. Exit code 78
 * (EX_CONFIG).
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[], options?: ErrorOptions) {
    super(faults.map(renderFault).join('\n'), options);
    this.faults = faults;
  }
}

/** The command line is not valid. Exit code 64 (EX_USAGE). */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * A service did not answer, or asked for a pause. It may recover by itself. Exit code 75
 * (EX_TEMPFAIL).
 */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/**
 * AWS or a program refused this request, and a person must fix something. It never costs a node its
 * life. Exit code 77 (EX_NOPERM).
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

/** For `catch`, where a refusal counts as no answer. Every other error goes on. */
export function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refused)) throw error;
  return undefined;
}

/** For `catch`, where silence counts as no answer. Every other error goes on. */
export function unlessUnavailable(error: unknown): undefined {
  if (!(error instanceof Unavailable)) throw error;
  return undefined;
}

/**
 * This node can never be of use: it permanently lacks something essential. This is the only error
 * that may terminate a node. Exit code 77.
 */
export class Unfit extends Error {
  override readonly name = 'Unfit';
  readonly essential: Essential;

  constructor(essential: Essential, message: string, options?: ErrorOptions) {
    super(message, options);
    this.essential = essential;
  }
}

/**
 * Each AWS service has its own code for "too fast". LimitExceededException is not among them: it is
 * a quota.
 */
export const throttledCodes =
  /^(Throttl(ing|ed)(Exception)?|EC2ThrottledException|RequestThrottled(Exception)?|RequestLimitExceeded|TooManyRequests(Exception)?|BandwidthLimitExceeded|SlowDown|ProvisionedThroughputExceeded(Exception)?|PriorRequestNotComplete|RateExceeded)$/;

/** The error codes of AWS services for a missing permission. */
export const deniedCodes =
  /^(AccessDenied(Exception)?|UnauthorizedOperation|UnauthorizedException|NotAuthorized(Exception)?)$/;

/**
 * True when the node's role lacks a permission. An operator must add it. The other nodes of the
 * group lack it too.
 */
export function isDenied(error: unknown): boolean {
  return error instanceof Refused && deniedCodes.test(error.code ?? '');
}

/** A named step failed. Its exit code is that of its cause. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly step: string;

  constructor(step: string, cause: unknown) {
    super(`${step}: ${messageOf(cause)}`, { cause });
    this.step = step;
  }
}

/** The exit code of an error, as in sysexits(3). 70 (EX_SOFTWARE) is a bug of this program. */
export function exitCode(error: unknown): number {
  if (error instanceof StepError) return exitCode(error.cause);
  if (error instanceof UsageError) return 64;
  if (error instanceof Unavailable) return 75;
  if (error instanceof Refused || error instanceof Unfit) return 77;
  if (error instanceof ConfigError) return 78;
  return 70;
}

/** The message of anything that was thrown, for a person. It is never empty. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return redact(String(error));
  // Node.js tries every address of a host. It then throws an error without a text, which holds one
  // error for each address.
  if (error instanceof AggregateError && error.errors.length > 0 && error.message === '') {
    return [...new Set(error.errors.map(messageOf))].join(', ');
  }
  return redact(error.message) || codeIn(error) || error.name;
}

function codeIn(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** One fault as one line: path, problem, source. */
export function renderFault(fault: Fault): string {
  return fault.source === undefined
    ? `${fault.path}: ${fault.problem}`
    : `${fault.path}: ${fault.problem} (from ${fault.source})`;
}
