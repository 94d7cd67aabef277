/**
 * The metadata service at its own address, answering version 1 too, as the script that is replaced
 * needs it.
 */

import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';

export interface MetadataFront {
  /** What was asked since the last `reset`, tokens too. */
  count: number;
  /** The instance whose metadata are told from now on. */
  pointAt(endpoint: string): void;
  reset(): void;
  close(): void;
}

/**
 * Passes everything on; a request without a token is given one, which is what version 1 comes down
 * to.
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
