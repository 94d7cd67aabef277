/** The instance metadata service, version 2 only: one kept token, short requests, and a clear word about every answer that makes no sense. */

import { ConfigError, Unavailable } from '../core/errors.ts';
import type { Metadata } from '../core/host.ts';
import type { Clock } from '../core/patience.ts';
import type { Environment } from './environment.ts';
import type { HttpAnswer } from './http-answer.ts';
import { openLocalService } from './local-service.ts';
import { isLinkLocal, isLoopback } from './near.ts';
import {
  parseIdentity,
  parseMaintenance,
  parseRebalanceNotice,
  parseSpotNotice,
  parseTagKeys,
  parseTargetState,
} from './imds-answers.ts';

const who = 'instance metadata';

/** One for all: a new one for each answer would cost as much as reading it. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** It answers within a few ms; one that needs longer is in trouble, and a spot notice must not wait behind it (the notice is polled every 2 s). */
const requestTimeoutMs = 2_000;

/** The longest that AWS grants, so that a node asks for four tokens a day. */
const tokenSeconds = 21_600;

/** Renewed so long before the end: no request may start with a token that ends on its way. */
const tokenMarginMs = 300_000;

/** User data is at most 16 kB, every other answer far less. */
const maxBytes = 65_536;

const token = /^[\x21-\x7e]{1,1024}$/;

/** What the metadata service accepts as a key in a path; a tag with another key does not show up there. */
const tagKey = /^(?!\.{1,2}$)[0-9A-Za-z\-_+=,.@:]{1,128}$/;

/** Throws ConfigError when the environment names an endpoint that is none. */
export function openMetadata(environment: Environment, clock: Clock): Metadata {
  const read = openReader(readEndpoint(environment), clock);
  const readText = async (path: string, signal: AbortSignal) => decode(await read(path, signal), path);
  const meta = (path: string, signal: AbortSignal) => readText(`meta-data/${path}`, signal);
  const readTag = async (key: string, signal: AbortSignal) =>
    tagKey.test(key) ? meta(`tags/instance/${key}`, signal) : undefined;
  return {
    async readIdentity(signal) {
      const document = await readText('dynamic/instance-identity/document', signal);
      if (document === undefined) throw new Unavailable(`${who}: no identity document yet`);
      return parseIdentity(document, {
        partition: await meta('services/partition', signal),
        hostname: await meta('local-hostname', signal),
        role: await meta('iam/security-credentials/', signal),
        purchase: await meta('instance-life-cycle', signal),
      });
    },
    async readTags(signal, prefix = '') {
      const list = await meta('tags/instance/', signal);
      if (list === undefined) return undefined;
      const tags: Record<string, string> = {};
      // One after the other: at most 50, and the service throttles bursts.
      for (const key of parseTagKeys(list).filter((each) => each.startsWith(prefix))) {
        const value = await readTag(key, signal);
        if (value !== undefined) tags[key] = value;
      }
      return tags;
    },
    readTag,
    readUserData: (signal) => read('user-data', signal),
    readSpotNotice: async (signal) => parseSpotNotice(await meta('spot/instance-action', signal)),
    readRebalanceNotice: async (signal) => parseRebalanceNotice(await meta('events/recommendations/rebalance', signal)),
    readMaintenance: async (signal) => parseMaintenance(await meta('events/maintenance/scheduled', signal)),
    readTargetState: async (signal) => parseTargetState(await meta('autoscaling/target-lifecycle-state', signal)),
  };
}

/** AWS_EC2_METADATA_SERVICE_ENDPOINT, else the well-known address of AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE. */
export function readEndpoint(environment: Environment): URL {
  const text = environment['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
  if (text) {
    const url = URL.parse(text);
    if (url?.protocol === 'http:' && (isLoopback(url.hostname) || isLinkLocal(url.hostname))) return url;
    const problem = `must be an http URL on loopback or a link-local address, as that of EC2; found ${JSON.stringify(text)}`;
    throw new ConfigError([{ path: 'AWS_EC2_METADATA_SERVICE_ENDPOINT', problem }]);
  }
  const mode = environment['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'] || 'IPv4';
  if (/^ipv4$/i.test(mode)) return new URL('http://169.254.169.254');
  if (/^ipv6$/i.test(mode)) return new URL('http://[fd00:ec2::254]');
  throw new ConfigError([
    { path: 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE', problem: `must be IPv4 or IPv6; found ${JSON.stringify(mode)}` },
  ]);
}

/** Reads a path below `latest/`: the body, or undefined where there is nothing. */
function openReader(endpoint: URL, clock: Clock) {
  const service = openLocalService(endpoint, { who, timeoutMs: requestTimeoutMs, maxBytes });
  const neverAborted = new AbortController().signal;
  const base = endpoint.pathname.replace(/\/$/, '');
  const send = (method: 'GET' | 'PUT', path: string, headers: Record<string, string>, signal: AbortSignal) =>
    service.ask({ method, path: `${base}/latest/${path}`, headers }, signal);

  let kept: { token: string; until: number } | undefined;
  const askToken = async (): Promise<string> => {
    const asked = clock.uptime();
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) };
    const answer = await send('PUT', 'api/token', headers, neverAborted).catch(hopLimitHint);
    if (answer.status !== 200) throw refusal(answer, 'api/token');
    const text = answer.body.toString('latin1').trim();
    if (isHtml(answer) || !token.test(text)) throw new Unavailable(`${who}: api/token answered with no token`);
    const ttl = Number(answer.header('x-aws-ec2-metadata-token-ttl-seconds') ?? tokenSeconds);
    const lifeMs = (Number.isFinite(ttl) ? ttl : tokenSeconds) * 1000;
    kept = { token: text, until: asked + lifeMs - Math.min(tokenMarginMs, lifeMs / 2) };
    return text;
  };
  // Shared by everybody who asks meanwhile, so no single asker's signal may end it; its own time-out does.
  let pending: Promise<string> | undefined;
  const readToken = async (signal: AbortSignal): Promise<string> => {
    if (kept && clock.uptime() < kept.until) return kept.token;
    pending ??= askToken().finally(() => (pending = undefined));
    return heed(pending, signal);
  };

  return async (path: string, signal: AbortSignal): Promise<Uint8Array | undefined> => {
    const get = async () => send('GET', path, { 'x-aws-ec2-metadata-token': await readToken(signal) }, signal);
    let answer = await get();
    if (answer.status === 401) {
      // Ended early: the machine slept (hibernation), or the service lost its memory. Once: a second 401 is something else.
      kept = undefined;
      answer = await get();
    }
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusal(answer, path);
    if (isHtml(answer))
      throw new Unavailable(`${who}: ${path} answered with a web page; something else listens at ${endpoint.host}`);
    return answer.body;
  };
}

/** What the promise says, unless the signal aborts first. */
async function heed<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
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

function refusal({ status }: HttpAnswer, path: string): Unavailable {
  const hint =
    status === 403
      ? '; is it switched off for this instance (metadata option HttpEndpoint)?'
      : status === 404 || status === 405
        ? '; version 2 of the service is needed'
        : status === 429
          ? '; too many requests'
          : '';
  return new Unavailable(`${who}: ${path} answered ${status}${hint}`);
}

/** A token's answer may not travel further than the hop limit: silence there, while connecting works, is its sign. */
function hopLimitHint(error: unknown): never {
  if (!(error instanceof Unavailable) || !error.message.includes('no answer')) throw error;
  throw new Unavailable(`${error.message}; inside a container the metadata option HttpPutResponseHopLimit must be 2`, {
    cause: error,
  });
}

function isHtml({ header, body }: HttpAnswer): boolean {
  return (
    /^text\/html/i.test(header('content-type') ?? '') || /^\s*<(!doctype|html)/i.test(body.toString('latin1', 0, 64))
  );
}

function decode(body: Uint8Array | undefined, path: string): string | undefined {
  if (body === undefined) return undefined;
  try {
    return utf8.decode(body);
  } catch (cause) {
    throw new Unavailable(`${who}: ${path} answered with something that is not text`, { cause });
  }
}
