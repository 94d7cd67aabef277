/**
 * Puts TLS before a plain endpoint: AWS uses https, and loading TLS costs a client about 9 MB and a
 * tenth of a second.
 */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificate {
  /** The certificate, both for trusting and for serving. */
  file: string;
  key: string;
}

export interface Front {
  url: string;
  /** Counts since the start or the last `reset`. */
  counts: { connections: number; bytesOut: number; bytesIn: number };
  reset(): void;
  close(): void;
}

/**
 * Makes a certificate for 127.0.0.1, valid for a day. Needs openssl, because Node.js can read
 * certificates but not make them.
 */
export async function makeCertificate(folder: string): Promise<Certificate> {
  const [file, key] = [join(folder, 'front.pem'), join(folder, 'front.key')];
  const subject = ['-subj', '/CN=ecs-node bench', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'];
  await run('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', file]);
  return { file, key };
}

/**
 * Passes the bytes on unchanged, so that signatures over the host name stay valid. `bytesIn` counts
 * the answers to the client.
 */
export async function openTlsFront(target: string, { file, key }: Certificate): Promise<Front> {
  const { hostname, port } = new URL(target);
  const front: Front = { url: '', counts: zero(), reset, close };
  const open = new Set<TLSSocket>();
  const server = createServer({ cert: await readFile(file), key: await readFile(key) }, (socket) => {
    front.counts.connections++;
    open.add(socket);
    const behind = connect(Number(port), hostname);
    socket.on('data', (bytes) => (front.counts.bytesOut += bytes.length));
    behind.on('data', (bytes) => (front.counts.bytesIn += bytes.length));
    socket.pipe(behind).pipe(socket);
    socket.on('error', () => behind.destroy()).on('close', () => (open.delete(socket), behind.destroy()));
    behind.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  front.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;

  function reset(): void {
    front.counts = zero();
  }
  function close(): void {
    for (const socket of open) socket.destroy();
    server.close();
  }
  return front;
}

function zero(): Front['counts'] {
  return { connections: 0, bytesOut: 0, bytesIn: 0 };
}
