/** The only place that reads an error of the AWS SDK: it becomes `Unavailable` (time heals) or `Refused` (would be refused again). */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { uptime } from '../clock.ts';

/** One call, named by the permission that it needs and what it acts on. */
export type Ask = <T>(
  permission: string,
  resource: string,
  signal: AbortSignal,
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
) => Promise<T>;

/** `role` is named in the message about a missing permission. */
export function openAsk(role: string | undefined, log: Log): Ask {
  return async (permission, resource, signal, send) => {
    signal.throwIfAborted();
    const start = uptime();
    const tell = (fault?: string) =>
      log.debug('called AWS', { call: permission, ms: Math.round(uptime() - start), fault });
    try {
      const answer = await send({ abortSignal: signal });
      tell();
      return answer;
    } catch (error) {
      tell(faultCode(error) ?? clean(messageOf(error)));
      if (signal.aborted) throw signal.reason;
      throw translate(error, permission, resource, role);
    }
  };
}

/** Every service has its own word for "too fast". LimitExceededException is not among them: that is a quota. */
const throttled =
  /^(Throttl(ing|ed)(Exception)?|EC2ThrottledException|RequestThrottled(Exception)?|RequestLimitExceeded|TooManyRequests(Exception)?|BandwidthLimitExceeded|SlowDown|ProvisionedThroughputExceeded(Exception)?|PriorRequestNotComplete|RateExceeded)$/;

/** Busy with the same thing, or not told yet: a later try finds it done or possible. */
const busy =
  /^(ResourceContention|ScalingActivityInProgress|UpdateInProgress|TransactionInProgress|ConcurrentModification|Conflict|ServiceUnavailable|Unavailable|InternalFailure|InternalError|InternalServerError|InternalServiceError|InternalServiceFault|ServerInternal|Server|RequestTimeout|Timeout)(Fault|Exception|Error)?$/;

/** This instance exists, since we run on it: a service that does not know it has not been told yet. */
const notYetKnown = /^InvalidInstanceID\.(NotFound|NotYetKnown)$/;

const denied = /^(AccessDenied(Exception)?|UnauthorizedOperation|UnauthorizedException|NotAuthorized(Exception)?)$/;

const skewed = /^(RequestTimeTooSkewed|RequestInTheFuture|RequestExpired)$/;

/** Credentials come from the instance's role: when they are not accepted they are late or old, and new ones are under way. */
const credentials =
  /^(ExpiredToken(Exception)?|InvalidClientTokenId|UnrecognizedClient(Exception)?|InvalidAccessKeyId|InvalidToken|AuthFailure|SignatureDoesNotMatch|InvalidSignature(Exception)?|IncompleteSignature(Exception)?|MissingAuthenticationToken(Exception)?|CredentialsProviderError|ProviderError|TokenProviderError|InstanceMetadataV1FallbackError)$/;

/** Long enough for what happened; EC2 adds 500 characters of encoded context to a denial. */
const maxMessage = 300;

export function translate(error: unknown, permission: string, resource: string, role?: string): Error {
  // Said by ourselves on the SDK's behalf: who has no credentials.
  if (error instanceof Refused) return error;
  // The transport and the credentials have said it in full (host/aws/transport.ts).
  if (error instanceof Unavailable) return new Unavailable(`${permission}: ${error.message}`, { cause: error.cause });
  const code = faultCode(error);
  const message = clean(messageOf(error));
  const cause = slim(error, message);
  const unavailable = (what: string) => new Unavailable(`${permission}: ${what}`, { cause });
  const status = statusOf(error);
  if (isBug(error) && status === undefined) return error;
  if (code === undefined) return unavailable(message);
  if (throttled.test(code)) return unavailable(`throttled (${code})`);
  if (skewed.test(code) || /signature (expired|not yet current)/i.test(message)) {
    return unavailable(`this machine's clock differs from AWS's (${code}); check its time service: ${message}`);
  }
  if (credentials.test(code)) return unavailable(credentialsMessage(code, message));
  if (denied.test(code)) {
    const who = role === undefined ? "the instance's role" : `the role ${role}`;
    const why = `${permission} on ${resource} is not allowed: add it to ${who} (ecs-node policy prints what is needed)`;
    return new Refused(why, { cause, code });
  }
  if (notYetKnown.test(code)) return unavailable(`this instance is not known yet (${code})`);
  if (busy.test(code)) return unavailable(`${code}: ${message}`);
  // Without a status nobody answered: refused, reset, unknown host, broken TLS, time-out.
  if (status === undefined || status === 429 || status >= 500) return unavailable(`${message} (${code})`);
  // An answer that is no AWS answer (a proxy's page) could not be read.
  if (status < 300 || error instanceof SyntaxError || /deserializ/i.test(message)) {
    return unavailable(`the answer makes no sense: ${message}`);
  }
  return new Refused(`${permission} on ${resource}: ${message} (${code})`, { cause, code });
}

/** The SDK's errors hold the whole request, session token and all: none of that may end up in a log, or in memory for long. */
function slim(error: unknown, message: string): Error {
  const kept = new Error(message);
  if (!(error instanceof Error)) return kept;
  kept.name = error.name;
  const frames = error.stack?.split('\n').filter((line) => /^ +at /.test(line)) ?? [];
  kept.stack = [`${error.name}: ${message}`, ...frames].join('\n');
  return kept;
}

/** A signature that does not match is answered with the whole request that AWS would have signed, the session token in it. */
function clean(message: string): string {
  return message.replaceAll(/(x-amz-security-token\W+)[^\s'"]+/gi, '$1…').slice(0, maxMessage);
}

function credentialsMessage(code: string, message: string): string {
  return code.endsWith('ProviderError') || code === 'InstanceMetadataV1FallbackError'
    ? `no credentials: does this instance have an instance profile, and do the metadata answer? (${message})`
    : `the credentials are not accepted (${code}): ${message}`;
}

/** The service's own code, as it was on the wire where the SDK keeps it, else the SDK's name for it. */
export function faultCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const fields = error as Error & { Code?: unknown; code?: unknown; Error?: { Code?: unknown } | undefined };
  const found = [fields.Code, fields.Error?.Code, fields.name === 'Error' ? fields.code : fields.name];
  const code = found.find((text): text is string => typeof text === 'string' && text !== '' && text !== 'Error');
  // EC2 sometimes says whose fault it was.
  return code?.replace(/^(Client|Server)\./, '');
}

export function statusOf(error: unknown): number | undefined {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata;
  return (
    metadata?.httpStatusCode ?? (error as { $response?: { statusCode?: number } } | undefined)?.$response?.statusCode
  );
}

/** What is neither AWS's nor the network's doing must be seen with its stack. */
function isBug(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}
