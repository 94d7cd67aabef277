/**
 * Sends one small HTTP request over node:http. `fetch` would cost 13 MB of resident memory and 75
 * ms of CPU before its first answer.
 */

import type { IncomingHttpHeaders, IncomingMessage, request } from 'node:http';
import type { Agent } from 'node:https';
import { Unavailable, messageOf } from '../../core/errors.ts';
import type { Network } from '../network/network.ts';

export interface HttpRequest {
  /** For messages: `instance metadata`, `ECS agent` … */
  serviceName: string;
  method?: 'GET' | 'POST';
  /** `http:` or `https:`. For a socket only the path counts. */
  url: URL;
  socketPath?: string;
  /** Needed for hosts outside this machine: a proxy, certificate authorities. */
  network?: Network;
  /** Bounds the whole request. Without it only the signal ends the wait. */
  timeoutMs?: number;
  /** A larger answer is refused, and not kept in memory. */
  maxBytes: number;
}

export interface HttpResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/**
 * Throws `Unavailable` without a whole answer; its cause is Node's error. Does not follow
 * redirects.
 */
export async function sendRequest(options: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const { serviceName, maxBytes } = options;
  return openResponse(options, signal, async (response) => ({
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: await collect(response, maxBytes, serviceName),
  }));
}

/** Uses events: asynchronous iteration costs a resident process half a megabyte of memory. */
async function collect(response: IncomingMessage, maxBytes: number, serviceName: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) reject(new Unavailable(`${serviceName}: the answer is larger than ${maxBytes} bytes`));
      else chunks.push(chunk);
    });
    response.on('end', () => resolve(Buffer.concat(chunks)));
    response.on('error', reject);
  });
}

/**
 * Sends the request and passes the response to `use`, under one deadline and one signal. If `use`
 * throws, the connection is closed.
 */
export async function openResponse<T>(
  options: Omit<HttpRequest, 'maxBytes'>,
  signal: AbortSignal,
  use: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  const { url, network } = options;
  signal.throwIfAborted();
  // Loaded at the first use: HTTP is 2 MB, TLS 9.
  const isSecure = url.protocol === 'https:';
  const { request: startRequest } = isSecure ? await import('node:https') : await import('node:http');
  const agent = isSecure ? await network?.openAgent() : undefined;
  try {
    return await sendOnce(options, startRequest, agent, signal, use);
  } finally {
    // The agent serves this request only.
    agent?.destroy();
  }
}

async function sendOnce<T>(
  question: Omit<HttpRequest, 'maxBytes'>,
  send: typeof request,
  agent: Agent | undefined,
  signal: AbortSignal,
  use: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  const { serviceName, method = 'GET', url, socketPath, timeoutMs } = question;
  return new Promise<T>((resolve, reject) => {
    const outgoing = send({
      method,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port,
      path: url.pathname + url.search,
      ...(socketPath !== undefined && { socketPath }),
      // Never Node.js's global agent: with NODE_USE_ENV_PROXY it obeys HTTP_PROXY. Docker and
      // loopback must not use a proxy.
      agent: agent ?? false,
    });
    const fail = (error: unknown) => {
      finish();
      outgoing.destroy();
      reject(explain(error, question, signal));
    };
    const late = () => fail(new Unavailable(`${serviceName}: no answer within ${(timeoutMs ?? 0) / 1000} s`));
    const abort = () => fail(signal.reason);
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    signal.addEventListener('abort', abort);
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      use(response).then((result) => {
        finish();
        response.resume();
        resolve(result);
      }, fail);
    });
    outgoing.end();
  });
}

function explain(
  error: unknown,
  { serviceName, url, network }: Omit<HttpRequest, 'maxBytes'>,
  signal: AbortSignal,
): unknown {
  if (signal.aborted) return signal.reason;
  // Node's own errors carry a code: refused, reset, unknown host, broken TLS. `use` threw all
  // others.
  if (!(error instanceof Error) || error.name === 'Unavailable' || !('code' in error)) return error;
  if (error.name === 'Refused') return error;
  const text = network === undefined ? messageOf(error) : network.tellTrouble(error, url);
  return new Unavailable(`${serviceName}: ${text}`, { cause: error });
}
