/**
 * Serves the metadata service at its real address, and answers version 1 too, which the replaced
 * script uses.
 */

import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';

export interface MetadataFront {
  /** The number of requests since the last `reset`, including those for tokens. */
  count: number;
  /** Switches to the metadata of another instance. */
  pointAt(endpoint: string): void;
  reset(): void;
  close(): void;
}

/**
 * Passes every request on. To a request without a token it adds one, which gives the effect of
 * version 1.
 */
export async function openMetadataFront(address: string): Promise<MetadataFront> {
  let endpoint = '';
  let token: Promise<string> | undefined;
  const server = createServer((asked, answer) => {
    front.count++;
    void pass(asked, answer).catch(() => answer.destroy());
  });
  const front: MetadataFront = {
    count: 0,
    pointAt(next) {
      endpoint = next;
      token = undefined;
    },
    reset() {
      front.count = 0;
    },
    close: () => void server.close(),
  };
  async function pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const headers = { ...asked.headers };
    if (asked.method === 'GET' && headers['x-aws-ec2-metadata-token'] === undefined) {
      headers['x-aws-ec2-metadata-token'] = await (token ??= readToken(endpoint));
    }
    const behind = request(new URL(asked.url!, endpoint), { method: asked.method!, headers });
    asked.pipe(behind);
    const [reply] = (await once(behind, 'response')) as [IncomingMessage];
    answer.writeHead(reply.statusCode!, reply.headers);
    reply.pipe(answer);
  }
  const [host, port] = address.split(':');
  server.listen(Number(port), host);
  await once(server, 'listening');
  return front;
}

async function readToken(endpoint: string): Promise<string> {
  const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': '21600' };
  const reply = await fetch(new URL('/latest/api/token', endpoint), { method: 'PUT', headers });
  return reply.text();
}
