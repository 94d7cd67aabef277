/**
 * The one endpoint of all services: identifies the request and its sender, injects faults, and
 * answers.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { Call } from '../calls.ts';
import type { FaultEffect } from '../faults.ts';
import { refuseUnlessAllowed } from '../iam/authorize.ts';
import { Refusal } from '../refusal.ts';
import { maxBodyBytes } from '../services/cloudwatch.ts';
import type { CallContext, IdentityKeys, Service } from '../services/service.ts';
import type { Instance, World } from '../world/state.ts';
import type { Answer } from './answer.ts';
import { renderAnswer, renderRefusal } from './answers.ts';
import { authenticate, type AuthContext } from './authenticate.ts';
import { readTypedScalar } from './json.ts';
import { readFormScalar } from './query.ts';
import { findRoute, type Route } from './route.ts';
import { readInput } from './shapes.ts';

export interface Gateway {
  world: World;
  authContext: AuthContext;
  keys: IdentityKeys;
  endpoint: string;
  choose(subject: { service: string; operation: string; instanceId: string | undefined }): {
    latencyMs: number;
    effect?: FaultEffect;
  };
  log(call: Call): void;
}

const html = '<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>';

/** Answers an AWS request. Never rejects. */
export async function answerAws(gateway: Gateway, request: IncomingMessage, response: ServerResponse, body: Buffer) {
  const target = request.url ?? '/';
  const plain = unpack(request.headers['content-encoding'], body);
  const route = findRoute({ method: request.method ?? 'POST', target, headers: request.headers, body: plain ?? body });
  if (!route) return sendUnknown(response);
  const signed = { method: request.method ?? 'POST', target, headers: request.headers, body };
  const exchange: Exchange = { at: gateway.world.clock.now(), route, caller: undefined, params: {}, outcome: 'ok' };
  const authorize = () => {
    if (plain === undefined) throw new Refusal('SerializationException', 'the body is not what content-encoding says');
    if (plain.length > maxBodyBytes) throw new Refusal('RequestEntityTooLarge', 'Request size exceeded', 413);
    const { instanceId } = authenticate(signed, route, gateway.authContext);
    return instanceId === undefined ? undefined : gateway.world.instances.get(instanceId);
  };
  const answer = await handle(gateway, exchange, authorize, route.parse);
  finish(gateway, exchange, response, answer);
}

interface Exchange {
  at: number;
  route: Route;
  caller: Instance | undefined;
  params: Record<string, unknown>;
  outcome: string;
}

type Ending = Answer | 'refused' | 'hang' | 'cut';

async function handle(
  gateway: Gateway,
  exchange: Exchange,
  authorize: () => Instance | undefined,
  parse: () => unknown,
): Promise<Ending> {
  const { route } = exchange;
  const { service, operation } = route;
  const requestId = gateway.world.random.uuid();
  try {
    exchange.caller = authorize();
    const { latencyMs, effect } = gateway.choose({ service: service.id, operation, instanceId: exchange.caller?.id });
    if (latencyMs > 0) await new Promise<void>((resolve) => void gateway.world.clock.after(latencyMs, resolve));
    if (effect?.kind === 'refuse') return 'refused';
    if (effect?.kind === 'hang') return 'hang';
    if (effect?.kind === 'html') {
      exchange.outcome = 'html';
      return { status: effect.status ?? 503, headers: { 'content-type': 'text/html' }, body: html };
    }
    if (effect?.kind === 'answer') {
      const type = effect.type ?? (effect.body.startsWith('<') ? 'text/xml' : 'application/x-amz-json-1.1');
      exchange.outcome = 'answer';
      return { status: effect.status ?? 200, headers: { 'content-type': type }, body: effect.body };
    }
    if (effect?.kind === 'throttle') throw service.throttle();
    if (effect?.kind === 'error') throw new Refusal(effect.code, effect.message ?? 'Injected fault', effect.status);
    const output = perform(gateway, exchange, requestId, parse);
    return effect?.kind === 'cut' ? 'cut' : renderAnswer(route, output, requestId);
  } catch (error) {
    const refusal = error instanceof Refusal ? error : bug(error);
    exchange.outcome = refusal.code;
    return renderRefusal(route, refusal, requestId);
  }
}

function bug(error: unknown): Refusal {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Refusal('InternalFailure', `a bug of the simulator: ${text}`, 500);
}

function perform(gateway: Gateway, exchange: Exchange, requestId: string, parse: () => unknown): object | void {
  const { route, caller } = exchange;
  const { service, operation: name } = route;
  const operation = service.operations[name];
  if (!operation) throw unknownOperation(service, name);
  const raw = parseBody(parse);
  exchange.params = summarize(raw);
  const readScalar =
    route.wire === 'ec2' || route.wire === 'query' || route.wire === 's3' ? readFormScalar : readTypedScalar;
  if (service.protocol === 'ec2') refuseUnknown(raw, operation.input);
  const input = readInput(raw, operation.input, service.complain, readScalar) as never;
  const call: CallContext = {
    world: gateway.world,
    caller,
    requestId,
    endpoint: gateway.endpoint,
    keys: gateway.keys,
  };
  const accesses = operation.access?.(input, call) ?? [{}];
  const refusal = refuseUnlessAllowed(gateway.world, service, name, accesses, caller);
  if (refusal) throw refusal;
  if (service.protocol === 'ec2' && (raw as { DryRun?: string }).DryRun === 'true') {
    throw new Refusal('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
  }
  return operation.run(input, call);
}

function parseBody(parse: () => unknown): unknown {
  try {
    return parse();
  } catch {
    throw new Refusal('SerializationException', 'the body could not be read');
  }
}

/** Only EC2 refuses unknown parameters. */
function refuseUnknown(raw: unknown, known: object): void {
  for (const name of Object.keys(raw as object)) {
    if (name in known || name === 'Action' || name === 'Version' || name === 'DryRun') continue;
    throw new Refusal('UnknownParameter', `The parameter ${name} is not recognized`);
  }
}

function unknownOperation(service: Service, name: string): Refusal {
  if (service.protocol === 'json') return new Refusal('UnknownOperationException', `Unknown operation ${name}`);
  const message = `The action ${name} is not valid for this web service.`;
  return new Refusal('InvalidAction', message);
}

/** Shortens long texts for the people who read the log. */
function summarize(raw: unknown): Record<string, unknown> {
  const shorten = (value: unknown): unknown => {
    if (typeof value === 'string') return value.length > 120 ? `${value.slice(0, 117)}…` : value;
    if (Array.isArray(value)) return value.length > 20 ? [...value.slice(0, 20).map(shorten), '…'] : value.map(shorten);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shorten(each)]));
  };
  const { Action: _action, Version: _version, ...params } = shorten(raw) as Record<string, unknown>;
  return params;
}

function finish(gateway: Gateway, exchange: Exchange, response: ServerResponse, ending: Ending): void {
  const { at, route, caller, params } = exchange;
  const outcome = typeof ending === 'string' ? ending : exchange.outcome;
  const ms = gateway.world.clock.now() - at;
  const { service, operation } = route;
  gateway.log({ at, service: service.id, operation, instanceId: caller?.id, params, outcome, ms });
  if (ending === 'hang') return;
  if (ending === 'refused' || ending === 'cut') return void response.destroy();
  // The SDK signs by this clock once AWS has refused a signature of another time.
  const date = new Date(gateway.world.clock.now()).toUTCString();
  send(response, { ...ending, headers: { date, ...ending.headers } });
}

export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
}

function sendUnknown(response: ServerResponse): void {
  const body = '<UnknownOperationException/>\n';
  send(response, { status: 404, headers: { 'content-type': 'text/xml' }, body });
}

/** Returns undefined if the body claims to be gzip but is not. */
function unpack(encoding: string | undefined, body: Buffer): Buffer | undefined {
  if (encoding !== 'gzip') return body;
  try {
    return gunzipSync(body, { maxOutputLength: 16 * 1024 * 1024 });
  } catch {
    return undefined;
  }
}

/** Answers a request whose sender proves itself without a signature: the installer's. */
export async function answerFor(
  gateway: Gateway,
  route: Route,
  response: ServerResponse,
  authorize: () => Instance | undefined,
): Promise<void> {
  const exchange: Exchange = { at: gateway.world.clock.now(), route, caller: undefined, params: {}, outcome: 'ok' };
  const answer = await handle(gateway, exchange, authorize, route.parse);
  finish(gateway, exchange, response, answer);
}
