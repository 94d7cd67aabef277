/** A web server on loopback for one test, that keeps what it was asked. */

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Asked {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

/** `answer` may also take the response into its own hands, and return undefined. */
export type Answer = (asked: Asked, response: ServerResponse) => Reply | undefined;

export interface LocalServer {
  url: string;
  asked: Asked[];
  close(): void;
}

export async function serve(answer: Answer, listenAt?: string): Promise<LocalServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      const question = { method, path, headers, body };
      asked.push(question);
      const reply = answer(question, response);
      if (reply) response.writeHead(reply.status ?? 200, reply.headers).end(reply.body ?? '');
    });
  });
  if (listenAt === undefined) server.listen(0, '127.0.0.1');
  else server.listen(listenAt);
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  onTestFinished(close);
  const { port } = (listenAt === undefined ? server.address() : { port: 0 }) as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked, close };
}

/** Without a listener. The kernel gives such a low port to no other test, unlike a freed one. */
export const nowhere = 'http://127.0.0.1:1';
