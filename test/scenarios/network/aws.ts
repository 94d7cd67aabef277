/**
 * AWS as a network sees it: TLS in front of the simulator, under AWS's own host names, and a proxy
 * that leads there.
 */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { createServer as createProxy, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeTo } from './namespace.ts';

export interface Front {
  /** PEM file of the authority that signed AWS's certificates here. */
  authority: string;
  /** The hosts that were asked, each once. */
  hosts(): string[];
  /** For `Namespace.lead`. */
  answer(socket: Socket): void;
  port: number;
  /** Answers some requests itself: true where it did. */
  instead: (
    request: IncomingMessage,
    respond: (status: number, headers: Record<string, string>, body: string) => void,
  ) => boolean;
  /** Changes the JSON that comes back. */
  rewrite?: (text: string) => string;
  /** For a proxy that speaks TLS itself. */
  identity: { key: Buffer; cert: Buffer };
  close(): void;
}

const names = [
  '*.us-east-1.amazonaws.com',
  '*.us-east-1.api.aws',
  '*.s3.us-east-1.amazonaws.com',
  's3.dualstack.us-east-1.amazonaws.com',
  '10.0.0.2',
];

/** `backend` is the simulator's endpoint. */
export async function openFront(folder: string, backend: () => string): Promise<Front> {
  const { key, cert, authority } = await makeSignedCertificate(await mkdtemp(join(folder, 'tls-')));
  const asked = new Set<string>();
  const front: Omit<Front, 'port' | 'close' | 'answer'> = {
    identity: { key, cert },
    authority,
    hosts: () => [...asked].toSorted(),
    instead: () => false,
  };
  const server: Server = createServer({ key, cert }, (request, response) => {
    asked.add(request.headers.host ?? '');
    const respond = (status: number, headers: Record<string, string>, body: string) => {
      request.resume();
      response.writeHead(status, headers).end(body);
    };
    if (front.instead(request, respond)) return;
    const { hostname, port } = new URL(backend());
    const onward = ask(
      { hostname, port, method: request.method, path: request.url, headers: request.headers },
      (answer) => {
        const { rewrite } = front;
        if (rewrite === undefined || !/json/.test(answer.headers['content-type'] ?? '')) {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
          return;
        }
        void text(answer).then((body) => {
          const changed = Buffer.from(rewrite(body));
          response
            .writeHead(answer.statusCode ?? 500, { ...answer.headers, 'content-length': changed.length })
            .end(changed);
        });
      },
    );
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(front, {
    port,
    answer: pipeTo('127.0.0.1', port),
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
}

export interface Proxy {
  /** `host:port` of each tunnel that was asked for. */
  tunnels: string[];
  /** The Proxy-Authorization of each of them. */
  keys: (string | undefined)[];
  /** Requests that are no tunnels: a node sends none. */
  others: string[];
  answer(socket: Socket): void;
  close(): void;
}

export interface ProxyOptions {
  /** Other than 200 refuses every tunnel. */
  status?: number | undefined;
  speaksTls?: boolean | undefined;
}

/** Leads every tunnel to AWS's port 443 to `front`. */
export async function openProxy(front: Front, { status = 200, speaksTls = false }: ProxyOptions = {}): Promise<Proxy> {
  const proxy = { tunnels: [] as string[], keys: [] as (string | undefined)[], others: [] as string[] };
  const sockets = new Set<Socket>();
  const other = (request: IncomingMessage, response: ServerResponse) => {
    proxy.others.push(request.url ?? '');
    response.writeHead(502).end();
  };
  const server = speaksTls ? createServer(front.identity, other) : createProxy(other);
  server.on('connection', (socket: Socket) => void sockets.add(socket.on('close', () => sockets.delete(socket))));
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    proxy.tunnels.push(request.url ?? '');
    proxy.keys.push(request.headers['proxy-authorization']);
    socket.on('error', () => {});
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    front.answer(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(proxy, {
    answer: pipeTo('127.0.0.1', port),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
}

/** Made by openssl: a certificate authority, and one certificate for all of AWS. */
async function makeSignedCertificate(folder: string): Promise<{ key: Buffer; cert: Buffer; authority: string }> {
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
  };
  const subject = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const hosts = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
  openssl(
    'req',
    '-x509',
    ...subject,
    '-subj',
    '/CN=Our own authority',
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
  );
  openssl(
    'req',
    '-x509',
    ...subject,
    '-subj',
    '/CN=amazonaws.com',
    '-addext',
    `subjectAltName=${hosts}`,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
    '-CA',
    path('ca.pem'),
    '-CAkey',
    path('ca.key'),
    '-keyout',
    path('key.pem'),
    '-out',
    path('cert.pem'),
  );
  return { key: await readFile(path('key.pem')), cert: await readFile(path('cert.pem')), authority: path('ca.pem') };
}
