/**
 * The servers on an instance's own machine: a metadata service, and the introspection API of its
 * ECS agent.
 */

import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';

export interface Address {
  host: string;
  port: number;
}

/**
 * A server that can stop and start again at the same address. While it is stopped, the kernel
 * refuses connections.
 */
export interface SwitchedServer {
  readonly address: Address;
  on(): Promise<void>;
  off(): void;
}

export function openSwitchedServer(address: Address, listener: RequestListener): SwitchedServer {
  let server: Server | undefined;
  return {
    address,
    async on() {
      if (server) return;
      // The real servers let idle clients stay, so this server does too.
      server = createServer({ keepAliveTimeout: 60_000 }, listener);
      server.listen(address.port, address.host);
      await once(server, 'listening');
    },
    off() {
      server?.close();
      server?.closeAllConnections();
      server = undefined;
    },
  };
}

export function parseAddress(text: string): Address {
  const found = /^(?:\[([0-9a-f:]+)\]|([^:]+)):(\d{1,5})$/i.exec(text);
  if (!found) throw new Error(`not HOST:PORT: ${text}`);
  return { host: (found[1] ?? found[2])!, port: Number(found[3]) };
}

export const urlOf = ({ host, port }: Address) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

let simulators = 0;

/**
 * Chooses addresses before a server listens there. The loopback address belongs to this process
 * alone, and the ports lie below the range that the kernel assigns itself.
 */
export function openAddresses(pid: number): (index: number) => { imds: Address; introspection: Address } {
  simulators = (simulators % 254) + 1;
  const host = `127.${16 + ((pid >> 8) & 127)}.${pid & 255}.${simulators}`;
  return (index) => {
    const port = 10_000 + 2 * (index % 11_000);
    return { imds: { host, port }, introspection: { host, port: port + 1 } };
  };
}
