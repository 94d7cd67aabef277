/** Serves one instance's metadata, version 2 only, with the failures that the service can show. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FaultEffect } from '../faults.ts';
import { readPath, type MetadataContext } from './paths.ts';

export interface ImdsOptions extends MetadataContext {
  choose(operation: string): { latencyMs: number; effect?: FaultEffect };
  log(operation: string, outcome: string, startedAt: number): void;
}

const html =
  '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>';

const maxTtlSeconds = 21_600;

interface Answer {
  status: number;
  body: string;
  headers?: Record<string, string>;
}

/** Returns a listener for `createServer`. */
export function openImds(options: ImdsOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const { world, instance } = options;
  const tokens = new Map<string, number>();
  const answer = (request: IncomingMessage): Answer => {
    const { metadata, launchedAt } = instance;
    const path = (request.url ?? '/').split('?')[0]!.replaceAll(/\/{2,}/g, '/');
    if (metadata.html) return { status: 200, body: html, headers: { 'content-type': 'text/html' } };
    if (metadata.lateMs > 0 && world.clock.now() - launchedAt < metadata.lateMs) return { status: 503, body: '' };
    if (request.method === 'PUT' && path === '/latest/api/token') return issueToken(request);
    if (request.method !== 'GET') return { status: 405, body: '' };
    const token = request.headers['x-aws-ec2-metadata-token'];
    const until = typeof token === 'string' ? tokens.get(token) : undefined;
    if (metadata.always401 || until === undefined || until <= world.clock.now()) return { status: 401, body: '' };
    const body = readPath(path.replace(/^\/(latest|\d{4}-\d\d-\d\d)\//, ''), options);
    return body === undefined ? { status: 404, body: '' } : { status: 200, body };
  };
  const issueToken = ({ headers }: IncomingMessage): Answer => {
    // A forwarding proxy must not get a token on behalf of another client.
    if (headers['x-forwarded-for'] !== undefined) return { status: 403, body: '' };
    const ttl = Number(headers['x-aws-ec2-metadata-token-ttl-seconds']);
    if (!Number.isInteger(ttl) || ttl < 1 || ttl > maxTtlSeconds) return { status: 400, body: '' };
    const token = `AQAEA${Buffer.from(world.random.hex(48)).toString('base64url')}==`;
    const now = world.clock.now();
    for (const [known, until] of tokens) if (until <= now) tokens.delete(known);
    tokens.set(token, now + ttl * 1000);
    return { status: 200, body: token, headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(ttl) } };
  };
  return (request, response) => {
    const startedAt = world.clock.now();
    const operation = `${request.method} ${(request.url ?? '/').replace(/^\/latest\/(meta-data\/)?/, '')}`;
    const { latencyMs, effect } = options.choose(operation);
    const wait = latencyMs + instance.metadata.slowMs;
    const reply = () => {
      if (effect?.kind === 'hang') return options.log(operation, 'hang', startedAt);
      if (effect?.kind === 'cut' || effect?.kind === 'refuse') {
        options.log(operation, effect.kind, startedAt);
        return void response.destroy();
      }
      const { status, body, headers } = effect ? faultAnswer(effect) : answer(request);
      options.log(operation, status === 200 ? 'ok' : String(status), startedAt);
      const date = new Date(world.clock.now()).toUTCString();
      response.writeHead(status, { 'content-type': 'text/plain', server: 'EC2ws', date, ...headers }).end(body);
    };
    if (wait > 0) world.clock.after(wait, reply);
    else reply();
  };
}

function faultAnswer(effect: FaultEffect): Answer {
  if (effect.kind === 'throttle') return { status: 429, body: '' };
  if (effect.kind === 'answer') return { status: effect.status ?? 200, body: effect.body };
  if (effect.kind === 'html')
    return { status: effect.status ?? 200, body: html, headers: { 'content-type': 'text/html' } };
  return { status: effect.kind === 'error' ? (effect.status ?? 500) : 500, body: '' };
}
