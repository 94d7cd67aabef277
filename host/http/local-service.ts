/**
 * Sends short requests to a service on this machine, several times a second for years. Connections
 * are kept. node:http would cost a resident agent two megabytes and two thirds of the CPU time of a
 * request (docs/decisions/0012).
 */

import { connect, type Socket } from 'node:net';
import { Unavailable, messageOf } from '../../core/errors.ts';
import { openReader, type LocalResponse } from './local-response.ts';

export interface LocalRequest {
  /** Default `GET`. Each method can be sent twice with the effect of once. */
  method?: 'GET' | 'PUT' | 'DELETE';
  /** Begins with a slash; sent as it is. */
  path: string;
  headers?: Readonly<Record<string, string>>;
  /** For a request that takes longer than others to its service. */
  timeoutMs?: number;
}

export interface LocalService {
  /**
   * Throws `Unavailable` without a whole answer; its cause is Node's error. Does not follow
   * redirects.
   */
  send(question: LocalRequest, signal: AbortSignal): Promise<LocalResponse>;
}

export interface LocalServiceOptions {
  /** For messages: `instance metadata`, `ECS agent`. */
  serviceName: string;
  /** Bounds a whole request. */
  timeoutMs: number;
  /** A larger answer is refused, and not kept in memory. */
  maxBytes: number;
}

/**
 * The agent sends up to four questions at the same time: spot notice, target state, maintenance and
 * rebalance. A new connection costs as much CPU time as the question itself.
 */
const maxIdle = 4;

interface Connection {
  socket: Socket;
  /** Undefined while the connection is idle. */
  exchange: Exchange | undefined;
}

/** Receives what the socket delivers while a request waits for its answer. */
interface Exchange {
  take(bytes: Buffer): void;
  end(error?: Error): void;
}

/** The service closed an idle connection, as it may at any time between two requests. */
class ConnectionClosed extends Error {}

/** A Unix socket, by its path. It is looked up for each connection. */
export interface LocalSocket {
  readPath(): string;
}

/** `endpoint` is an `http:` URL, whose path is not used, or a socket. */
export function openLocalService(endpoint: URL | LocalSocket, usual: LocalServiceOptions): LocalService {
  const idle: Connection[] = [];
  const open = () => openConnection(endpoint, (gone) => forget(idle, gone));
  return {
    async send(question, signal) {
      signal.throwIfAborted();
      const options = { ...usual, timeoutMs: question.timeoutMs ?? usual.timeoutMs };
      const text = render(question, endpoint instanceof URL ? endpoint.host : 'localhost');
      // In turn: otherwise the service would close a connection that stayed idle too long.
      const kept = idle.shift();
      if (kept === undefined) return exchange(open(), text, idle, options, signal);
      try {
        return await exchange(kept, text, idle, options, signal);
      } catch (error) {
        if (!(error instanceof Unavailable && error.cause instanceof ConnectionClosed)) throw error;
        return exchange(open(), text, idle, options, signal);
      }
    },
  };
}

function openConnection(endpoint: URL | LocalSocket, onGone: (connection: Connection) => void): Connection {
  const socket = connect(endpoint instanceof URL ? addressOf(endpoint) : { path: endpoint.readPath() });
  socket.setNoDelay(true);
  const connection: Connection = { socket, exchange: undefined };
  socket.on('data', (bytes: Buffer) => {
    // Bytes on an idle connection must not become the answer to the next request.
    if (connection.exchange === undefined) socket.destroy();
    else connection.exchange.take(bytes);
  });
  socket.on('error', (error) => connection.exchange?.end(error));
  socket.on('close', () => {
    onGone(connection);
    connection.exchange?.end();
  });
  return connection;
}

function addressOf({ hostname, port }: URL): { host: string; port: number } {
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 80 : Number(port) };
}

function forget(idle: Connection[], connection: Connection): void {
  const at = idle.indexOf(connection);
  if (at >= 0) idle.splice(at, 1);
}

async function exchange(
  connection: Connection,
  text: string,
  idle: Connection[],
  { serviceName, timeoutMs, maxBytes }: LocalServiceOptions,
  signal: AbortSignal,
): Promise<LocalResponse> {
  const { socket } = connection;
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      connection.exchange = undefined;
    };
    const fail = (error: unknown) => {
      finish();
      socket.destroy();
      reject(error);
    };
    const trouble = (error: Error) => fail(new Unavailable(`${serviceName}: ${messageOf(error)}`, { cause: error }));
    const abort = () => fail(signal.reason);
    const late = () => fail(new Unavailable(`${serviceName}: no answer within ${timeoutMs / 1000} s`));
    const reader = openReader(maxBytes, (answer, mayStay) => {
      finish();
      if (mayStay && idle.length < maxIdle) idle.push(connection);
      else socket.destroy();
      resolve(answer);
    });
    let hasBegun = false;
    const timer = setTimeout(late, timeoutMs);
    signal.addEventListener('abort', abort);
    connection.exchange = {
      take(bytes) {
        hasBegun = true;
        const problem = reader.add(bytes);
        if (problem !== undefined) trouble(problem);
      },
      end(error) {
        // An answer without a length ends with its connection.
        const problem = error ?? reader.end();
        if (connection.exchange === undefined) return;
        const cause = problem ?? new Error('the connection was closed');
        trouble(hasBegun ? cause : new ConnectionClosed(messageOf(cause), { cause }));
      },
    };
    socket.write(text, 'latin1');
  });
}

/**
 * Throws TypeError if a path or a header would end its line. Callers check values from elsewhere.
 */
function render({ method = 'GET', path, headers = {} }: LocalRequest, host: string): string {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`];
  if (method === 'PUT') lines.push('content-length: 0');
  for (const name in headers) lines.push(`${name}: ${headers[name]}`);
  // The path must hold printable characters only, since a space ends it.
  if (/[^!-~]/.test(path) || lines.some((line) => /[^ -~]/.test(line))) throw new TypeError(`not a question: ${path}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
