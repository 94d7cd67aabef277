/**
 * Calls the instance metadata service, version 2 only: one kept token, short requests, by IPv4 or
 * by IPv6.
 */

import { ConfigError, Unavailable } from '../../core/errors.ts';
import type { Clock } from '../../core/retry.ts';
import type { Environment } from '../environment.ts';
import { codeOf } from '../files/error-code.ts';
import type { LocalResponse } from '../http/local-response.ts';
import { openLocalService, type LocalService } from '../http/local-service.ts';
import { isLinkLocal, isLoopback } from '../http/endpoint-safety.ts';
import { isIpv6Only } from '../network/routes.ts';

export const metadataService = 'instance metadata';

/**
 * The service answers within a few ms. If it needs longer, it is in trouble. A spot notice, read
 * every 2 s, must not wait for it.
 */
const requestTimeoutMs = 2_000;

/** The longest time that AWS grants: a node then requests four tokens a day. */
const tokenSeconds = 21_600;

/** A token is renewed this long before its end, so that it cannot expire during a request. */
const tokenMarginMs = 300_000;

/** User data has at most 16 kB, and every other answer far less. */
const maxBytes = 65_536;

const token = /^[\x21-\x7e]{1,1024}$/;

/**
 * The body of a path below `latest/`. Undefined when it does not exist (404). `onAnswer` sees the
 * headers. Throws Unavailable.
 */
export type ReadMetadata = (
  path: string,
  signal: AbortSignal,
  onAnswer?: (answer: LocalResponse) => void,
) => Promise<Uint8Array | undefined>;

/** Throws ConfigError when the environment names an invalid endpoint. */
export function openMetadataReader(environment: Environment, clock: Clock): ReadMetadata {
  const addresses = readEndpoints(environment).map((endpoint) => openAddress(endpoint, clock));
  let chosen = addresses.length === 1 ? addresses[0] : undefined;
  return async (path, signal, onAnswer) => {
    if (chosen !== undefined) return chosen(path, signal, onAnswer);
    const troubles: unknown[] = [];
    for (const read of addresses) {
      try {
        const body = await read(path, signal, onAnswer);
        chosen = read;
        return body;
      } catch (error) {
        if (signal.aborted || !isUnreached(error)) throw error;
        troubles.push(error);
      }
    }
    throw nowhere(troubles);
  };
}

/** True if no service answered at this address. An answer of any kind shows that it exists. */
function isUnreached(error: unknown): boolean {
  return error instanceof Unavailable && (codeOf(error) !== undefined || error.message.includes('no answer'));
}

/**
 * The fault at the usual address comes first. The fault at the other address follows only if it
 * says more than "no route".
 */
function nowhere([first, second]: unknown[]): Unavailable {
  const { message } = first as Unavailable;
  const hasNoRoute = ['ENETUNREACH', 'EADDRNOTAVAIL', 'EHOSTUNREACH'].includes(codeOf(second) ?? '');
  const also = hasNoRoute
    ? ''
    : `; nor by the other address family (${(second as Unavailable).message}): in an IPv6-only subnet the metadata option HttpProtocolIpv6 must be enabled`;
  return new Unavailable(`${message}${also}`, { cause: first });
}

const ipv4 = 'http://169.254.169.254';
const ipv6 = 'http://[fd00:ec2::254]';

/**
 * The addresses to try, in order: that of AWS_EC2_METADATA_SERVICE_ENDPOINT, or of
 * AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE. Without either, both well-known addresses: an instance in
 * an IPv6-only subnet has no route to the first one.
 */
export function readEndpoints(environment: Environment): URL[] {
  const text = environment['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
  if (text) return [parseEndpoint(text)];
  const mode = environment['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'];
  if (!mode) return (isIpv6Only() ? [ipv6, ipv4] : [ipv4, ipv6]).map((url) => new URL(url));
  if (/^ipv4$/i.test(mode)) return [new URL(ipv4)];
  if (/^ipv6$/i.test(mode)) return [new URL(ipv6)];
  throw new ConfigError([
    { path: 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE', problem: `must be IPv4 or IPv6; found ${JSON.stringify(mode)}` },
  ]);
}

function parseEndpoint(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'http:' && (isLoopback(url.hostname) || isLinkLocal(url.hostname))) return url;
  const problem = `must be an http URL on loopback or a link-local address, as that of EC2; found ${JSON.stringify(text)}`;
  throw new ConfigError([{ path: 'AWS_EC2_METADATA_SERVICE_ENDPOINT', problem }]);
}

function openAddress(endpoint: URL, clock: Clock): ReadMetadata {
  const options = { serviceName: metadataService, timeoutMs: requestTimeoutMs, maxBytes };
  const send = openSender(openLocalService(endpoint, options), endpoint);
  const keeper = openTokens(send, clock);
  return async (path, signal, onAnswer) => {
    const get = async () => send('GET', path, { 'x-aws-ec2-metadata-token': await keeper.read(signal) }, signal);
    let answer = await get();
    if (answer.status === 401) {
      // The token ended early: the machine slept (hibernation), or the service lost its memory. A
      // second 401 has another cause.
      keeper.forget();
      answer = await get();
    }
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusal(answer, path);
    if (isHtml(answer)) {
      const what = `${path} answered with a web page; something else listens at ${endpoint.host}`;
      throw new Unavailable(`${metadataService}: ${what}`);
    }
    onAnswer?.(answer);
    return answer.body;
  };
}

type Send = (
  method: 'GET' | 'PUT',
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal,
) => Promise<LocalResponse>;

function openSender(service: LocalService, endpoint: URL): Send {
  const base = endpoint.pathname.replace(/\/$/, '');
  return async (method, path, headers, signal) =>
    service.send({ method, path: `${base}/latest/${path}`, headers }, signal);
}

function openTokens(send: Send, clock: Clock) {
  const neverAborted = new AbortController().signal;
  let kept: { token: string; until: number } | undefined;
  const requestToken = async (): Promise<string> => {
    const asked = clock.uptime();
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) };
    const answer = await send('PUT', 'api/token', headers, neverAborted).catch(hopLimitHint);
    if (answer.status !== 200) throw refusal(answer, 'api/token');
    const text = answer.body.toString('latin1').trim();
    if (isHtml(answer) || !token.test(text))
      throw new Unavailable(`${metadataService}: api/token answered with no token`);
    const ttl = Number(answer.header('x-aws-ec2-metadata-token-ttl-seconds') ?? tokenSeconds);
    const lifeMs = (Number.isFinite(ttl) ? ttl : tokenSeconds) * 1000;
    kept = { token: text, until: asked + lifeMs - Math.min(tokenMarginMs, lifeMs / 2) };
    return text;
  };
  // All readers share one request for a token, so no reader's signal may end it. Its own time-out
  // does.
  let pending: Promise<string> | undefined;
  return {
    forget: () => (kept = undefined),
    async read(signal: AbortSignal): Promise<string> {
      if (kept && clock.uptime() < kept.until) return kept.token;
      pending ??= requestToken().finally(() => (pending = undefined));
      return rejectOnAbort(pending, signal);
    },
  };
}

/** The promise's result, unless the signal aborts first. */
async function rejectOnAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function refusal({ status }: LocalResponse, path: string): Unavailable {
  const hint =
    status === 403
      ? ', as where the metadata option HttpEndpoint is off'
      : status === 404 || status === 405
        ? '; version 2 of the service is needed'
        : status === 429
          ? '; too many requests'
          : '';
  return new Unavailable(`${metadataService}: ${path} answered ${status}${hint}`);
}

/**
 * The answer with a token may not travel further than the hop limit. A connection that works but
 * stays silent is the sign of that.
 */
function hopLimitHint(error: unknown): never {
  if (!(error instanceof Unavailable) || !error.message.includes('no answer')) throw error;
  throw new Unavailable(`${error.message}; inside a container the metadata option HttpPutResponseHopLimit must be 2`, {
    cause: error,
  });
}

function isHtml({ header, body }: LocalResponse): boolean {
  return (
    /^text\/html/i.test(header('content-type') ?? '') || /^\s*<(!doctype|html)/i.test(body.toString('latin1', 0, 64))
  );
}
