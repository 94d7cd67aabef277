/**
 * The only file that reads an error of the AWS SDK. `Refused` is AWS's own documented answer to
 * this request. Everything else is `Unavailable`: silence, throttling, a proxy's page, a redirect,
 * an undocumented code.
 */

import { Refused, Unavailable, deniedCodes, messageOf, throttledCodes } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { uptime } from '../clock.ts';
import { documentedRefusals } from './documented-refusals.ts';

/** One call, named by its permission and its resource. */
export type AwsCall = <T>(
  permission: string,
  resource: string,
  signal: AbortSignal,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
) => Promise<T>;

/** The message about a missing permission names `role`. */
export function openAwsCall(role: string | undefined, log: Log): AwsCall {
  return async (permission, resource, signal, send) => {
    signal.throwIfAborted();
    const start = uptime();
    const logCall = (fault?: string) =>
      log.debug('called AWS', { call: permission, ms: Math.round(uptime() - start), fault });
    try {
      const answer = await send({ abortSignal: signal });
      logCall();
      return answer;
    } catch (error) {
      logCall(faultCode(error) ?? clean(messageOf(error)));
      if (signal.aborted) throw signal.reason;
      throw translate(error, permission, resource, role);
    }
  };
}

/**
 * The service is already busy with the same request, or cannot answer yet. A later call finds the
 * request done, or possible.
 */
const busy =
  /^(ResourceContention|ScalingActivityInProgress|UpdateInProgress|TransactionInProgress|ConcurrentModification|ConcurrentUpdate|HealthUnavailable|Conflict|ServiceUnavailable|Unavailable|InternalFailure|InternalError|InternalServerError|InternalServiceError|InternalServiceFault|ServerInternal|Server|RequestTimeout|Timeout)(Fault|Exception|Error)?$/;

/** This program runs on the instance, so the instance exists. The service does not know it yet. */
const notYetKnown = /^InvalidInstanceID\.(NotFound|NotYetKnown)$/;

const skewed = /^(RequestTimeTooSkewed|RequestInTheFuture|RequestExpired)$/;

/**
 * Credentials come from the instance's role. If AWS does not accept them, they are late or old, and
 * new ones will follow.
 */
const credentials =
  /^(ExpiredToken(Exception)?|InvalidClientTokenId|UnrecognizedClient(Exception)?|InvalidAccessKeyId|InvalidToken|AuthFailure|SignatureDoesNotMatch|InvalidSignature(Exception)?|IncompleteSignature(Exception)?|MissingAuthenticationToken(Exception)?|CredentialsProviderError|ProviderError|TokenProviderError|InstanceMetadataV1FallbackError)$/;

/**
 * Refusals that no service model lists. Those of the query services come from the "Common Errors"
 * page of their references. Those of EC2, whose model documents no error at all, come from "Error
 * codes for the Amazon EC2 API".
 */
const furtherRefusals: ReadonlySet<string> = new Set([
  'DryRunOperation',
  'IncorrectInstanceState',
  'IncorrectState',
  'InvalidAction',
  'InvalidID',
  'InvalidInstance',
  'InvalidInstanceAttributeValue',
  'InvalidInstanceID.Malformed',
  'InvalidQueryParameter',
  'InvalidTagKey.Malformed',
  'LimitExceeded',
  'LoadBalancerNotFound',
  'MalformedQueryString',
  'MissingAction',
  'MissingParameter',
  'OperationNotPermitted',
  'Serialization',
  'TagLimitExceeded',
  'TagPolicyViolation',
  'UnknownOperation',
  'UnknownParameter',
  'UnsupportedInstanceAttribute',
  'UnsupportedOperation',
]);

/** True for a code with which AWS refuses this very request. */
function isRefusal(code: string): boolean {
  const bare = code.replace(/(Fault|Exception|Error)$/, '');
  return documentedRefusals.has(bare) || furtherRefusals.has(bare);
}

/**
 * About the account, not about this request, and they pass: the account is blocked, not yet
 * verified, or not subscribed to the service.
 */
const accountCodes = /^(OptInRequired|Blocked|PendingVerification)(Exception)?$/;

/** Enough to explain the failure. EC2 adds 500 characters of encoded context to a denial. */
const maxMessage = 300;

export function translate(error: unknown, permission: string, resource: string, role?: string): Error {
  // The source of the credentials throws it when there are none.
  if (error instanceof Refused) return error;
  // The transport and the credentials have already written a full message
  // (host/aws/session/transport.ts).
  if (error instanceof Unavailable) return new Unavailable(`${permission}: ${error.message}`, { cause: error.cause });
  const code = faultCode(error);
  const message = clean(messageOf(error));
  const cause = slim(error, message);
  const unavailable = (what: string) => new Unavailable(`${permission}: ${what}`, { cause });
  const status = statusOf(error);
  if (isBug(error) && status === undefined) return error;
  if (code === undefined) return unavailable(message);
  if (throttledCodes.test(code)) return unavailable(`throttled (${code})`);
  if (skewed.test(code) || /signature (expired|not yet current)/i.test(message)) {
    return unavailable(`this machine's clock differs from AWS's (${code}); check its time service: ${message}`);
  }
  if (credentials.test(code)) return unavailable(credentialsMessage(code, message));
  if (deniedCodes.test(code)) return new Refused(deniedMessage(permission, resource, role), { cause, code });
  if (notYetKnown.test(code)) return unavailable(`this instance is not known yet (${code})`);
  if (busy.test(code)) return unavailable(`${code}: ${message}`);
  // Without a status there was no answer: connection refused, reset, unknown host, broken TLS,
  // time-out.
  if (status === undefined || status === 429 || status >= 500) return unavailable(`${message} (${code})`);
  if (status < 300 || error instanceof SyntaxError || /deserializ/i.test(message)) {
    return unavailable(`the answer makes no sense: ${message}`);
  }
  if (isRefusal(code)) return new Refused(`${permission} on ${resource}: ${message} (${code})`, { cause, code });
  if (accountCodes.test(code))
    return unavailable(`${message} (${code}): AWS restricts this account; ask its owner or AWS Support to lift that`);
  return unavailable(`${message} (${code}, HTTP ${status}): AWS documents no such answer; look for a proxy on the way`);
}

function deniedMessage(permission: string, resource: string, role: string | undefined): string {
  const holder = role === undefined ? "the instance's role" : `the role ${role}`;
  return `${permission} on ${resource} is not allowed: add it to ${holder} (ecs-node policy prints what is needed)`;
}

/**
 * The SDK's errors hold the whole request with the session token. None of it may reach a log or
 * stay in memory.
 */
function slim(error: unknown, message: string): Error {
  const kept = new Error(message);
  if (!(error instanceof Error)) return kept;
  kept.name = error.name;
  const frames = error.stack?.split('\n').filter((line) => /^ +at /.test(line)) ?? [];
  kept.stack = [`${error.name}: ${message}`, ...frames].join('\n');
  return kept;
}

/**
 * For a signature that does not match, AWS's answer repeats the request that it would have signed,
 * with the session token.
 */
function clean(message: string): string {
  return message.replaceAll(/(x-amz-security-token\W+)[^\s'"]+/gi, '$1…').slice(0, maxMessage);
}

function credentialsMessage(code: string, message: string): string {
  return code.endsWith('ProviderError') || code === 'InstanceMetadataV1FallbackError'
    ? `no credentials: does this instance have an instance profile, and do the metadata answer? (${message})`
    : `the credentials are not accepted (${code}): ${message}`;
}

/** The service's own code from the wire if the SDK keeps it, else the SDK's name for it. */
export function faultCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const fields = error as Error & { Code?: unknown; code?: unknown; Error?: { Code?: unknown } | undefined };
  const found = [fields.Code, fields.Error?.Code, fields.name === 'Error' ? fields.code : fields.name];
  const code = found.find((text): text is string => typeof text === 'string' && text !== '' && text !== 'Error');
  // EC2 sometimes writes the side at fault before the code.
  return code?.replace(/^(Client|Server)\./, '');
}

export function statusOf(error: unknown): number | undefined {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata;
  return (
    metadata?.httpStatusCode ?? (error as { $response?: { statusCode?: number } } | undefined)?.$response?.statusCode
  );
}

/** A bug in this program must be visible with its stack. */
function isBug(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}
