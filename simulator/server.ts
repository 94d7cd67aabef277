/**
 * The HTTP server behind the AWS endpoint: AWS calls, the OpsWorks installer, and the simulator's
 * control paths.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { answerControl, type Controlled } from './control.ts';
import { parseRegistration, renderInstaller } from './installer/installer.ts';
import { Refusal } from './refusal.ts';
import { opsworks } from './services/opsworks.ts';
import { answerAws, answerFor, send, type Gateway } from './wire/gateway.ts';
import type { Instance } from './world/state.ts';

export interface Served {
  gateway: Gateway;
  publicKey: string;
  imdsEndpoint(instanceId: string): string;
  controlled: Controlled;
}

/** Large enough for every AWS call. */
const maxBytes = 16 * 1024 * 1024;

export async function listen(host: string, port: number): Promise<{ server: Server; endpoint: string }> {
  const server = createServer({ keepAliveTimeout: 60_000 });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const actual = typeof address === 'object' && address ? address.port : port;
  return { server, endpoint: `http://${host.includes(':') ? `[${host}]` : host}:${actual}` };
}

export function serve(server: Server, served: Served): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    read(request)
      .then((body) => answer(served, request, response, body))
      .catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(500);
        response.end(String(error));
      });
  });
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error('request too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function answer(served: Served, request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
  const path = (request.url ?? '/').split('?')[0]!;
  if (path.startsWith('/_simulator/')) return answerControl(served.controlled, request, response, body);
  const installer = /^\/opsworks\/([\w-]+)\/(opsworks-agent-installer\.tgz|register)$/.exec(path);
  if (!installer) return answerAws(served.gateway, request, response, body);
  if (installer[2] === 'register') return register(served, installer[1]!, response, body);
  return download(served, installer[1]!, response);
}

function download({ gateway, publicKey, imdsEndpoint }: Served, whose: string, response: ServerResponse): void {
  const metadata = gateway.world.instances.has(whose) ? imdsEndpoint(whose) : 'http://169.254.169.254';
  const { installer } = gateway.world.settings.opsworks;
  const urls = { metadata, register: `${gateway.endpoint}/opsworks/${whose}/register`, publicKey };
  const tarball = renderInstaller(installer, urls);
  const headers = { 'content-type': 'application/x-gzip' };
  if (tarball) send(response, { status: 200, headers, body: tarball });
  else
    send(response, {
      status: 403,
      headers: { 'content-type': 'application/xml' },
      body: '<Error><Code>AccessDenied</Code></Error>',
    });
}

/** The installer does not sign. RegisterInstance checks its proof, the identity document. */
async function register({ gateway }: Served, whose: string, response: ServerResponse, body: Buffer): Promise<void> {
  const authorize = (): Instance | undefined => {
    if (whose === 'any') return undefined;
    const instance = gateway.world.instances.get(whose);
    if (!instance) throw new Refusal('UnrecognizedClientException', `There is no instance ${whose}`);
    return instance;
  };
  const parse = () => parseRegistration(body.toString());
  const route = {
    service: opsworks,
    operation: 'RegisterInstance',
    wire: 'json',
    contentType: 'application/x-amz-json-1.1',
    parse,
  } as const;
  await answerFor(gateway, route, response, authorize);
}
