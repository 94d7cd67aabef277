/**
 * A network namespace with nothing in it but what a scenario puts there: addresses on loopback,
 * each led to a server of the test.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

export interface Namespace {
  name: string;
  /** A program that runs another one inside: for `openMachine`. */
  wrap(binary: string): Promise<string>;
  /**
   * Lets `address:port` inside be answered by `answer` outside. Sockets of the file system lead
   * through the wall.
   */
  lead(address: string, port: number, answer: (socket: Socket) => void): Promise<void>;
  /** Writes the `/etc/hosts` of the namespace, which has no DNS. */
  nameHosts(hosts: Readonly<Record<string, string>>): Promise<void>;
  /** Runs `ip` inside. */
  ip(...args: string[]): void;
  close(): Promise<void>;
}

let count = 0;

/** `folder` is the test's own, with a short path. Needs root. */
export async function openNamespace(folder: string): Promise<Namespace> {
  const name = `en-${process.pid}-${++count}`;
  const etc = `/etc/netns/${name}`;
  const leads: { server: Server; relay: ChildProcess; sockets: Set<Socket> }[] = [];
  const ip = (...args: string[]) => must('ip', ['-n', name, ...args]);
  must('ip', ['netns', 'add', name]);
  await mkdir(etc, { recursive: true });
  await writeFile(`${etc}/resolv.conf`, 'nameserver 127.0.0.53\noptions timeout:1 attempts:1\n');
  await writeFile(`${etc}/hosts`, '127.0.0.1 localhost\n::1 localhost\n');
  ip('link', 'set', 'lo', 'up');
  return {
    name,
    ip,
    async wrap(binary) {
      const file = join(folder, `in-${name}`);
      await writeFile(file, `#!/bin/sh\nexec /usr/sbin/ip netns exec ${name} '${binary}' "$@"\n`);
      await chmod(file, 0o755);
      return file;
    },
    async lead(address, port, answer) {
      const path = join(folder, `s${leads.length}-${name}`);
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket)).on('error', () => {});
        answer(socket);
      });
      server.listen(path);
      await once(server, 'listening');
      const family = address.includes(':') ? 'TCP6' : 'TCP4';
      const bind = address.includes(':') ? `[${address}]` : address;
      if (!address.startsWith('127.')) {
        spawnSync('ip', [
          '-n',
          name,
          'address',
          'add',
          address.includes(':') ? `${address}/128` : `${address}/32`,
          'dev',
          'lo',
          ...(address.includes(':') ? ['nodad'] : []),
        ]);
      }
      const listen = `${family}-LISTEN:${port},bind=${bind},fork,reuseaddr,backlog=64`;
      const relay = spawn('ip', ['netns', 'exec', name, 'socat', listen, `UNIX-CONNECT:${path}`], { stdio: 'ignore' });
      leads.push({ server, relay, sockets });
      await listening(name, address, port);
    },
    async nameHosts(hosts) {
      const lines = Object.entries(hosts).map(([host, address]) => `${address} ${host}`);
      await writeFile(`${etc}/hosts`, ['127.0.0.1 localhost', '::1 localhost', ...lines, ''].join('\n'));
    },
    async close() {
      for (const { server, relay, sockets } of leads) {
        relay.kill('SIGKILL');
        server.close();
        for (const socket of sockets) socket.destroy();
      }
      spawnSync('ip', ['netns', 'delete', name]);
      await rm(etc, { recursive: true, force: true });
    },
  };
}

/** Passes everything on, as a wire does. */
export function pipeTo(host: string, port: number): (socket: Socket) => void {
  return (socket) => {
    const far = connect(port, host);
    far.on('error', () => socket.destroy());
    socket.on('error', () => far.destroy());
    socket.pipe(far).pipe(socket);
  };
}

async function listening(name: string, address: string, port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { stdout } = spawnSync('ip', ['netns', 'exec', name, 'ss', '-Hltn', `sport = :${port}`], {
      encoding: 'utf8',
    });
    if (stdout.includes(address)) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nobody listens at ${address}:${port} in ${name}`);
}

function must(file: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr}`);
}
