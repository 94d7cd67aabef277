/** Reads one HTTP answer out of the bytes of a connection. */

import { HTTPParser } from 'http-parser-js';

export interface LocalResponse {
  status: number;
  /** Undefined when no header has that name. */
  header(name: string): string | undefined;
  body: Buffer;
}

export interface Reader {
  /** Returns the fault in the bytes, if there is one. */
  add(bytes: Buffer): Error | undefined;
  end(): Error | undefined;
}

/**
 * Reads one answer, and tells whether its connection may be kept. Refuses a body of more than
 * `maxBytes`, and does not keep it in memory.
 */
export function openReader(maxBytes: number, onAnswer: (answer: LocalResponse, mayStay: boolean) => void): Reader {
  const parser = new HTTPParser(HTTPParser.RESPONSE);
  const chunks: Buffer[] = [];
  let size = 0;
  let head = { statusCode: 0, headers: [] as string[], shouldKeepAlive: false };
  let isWhole = false;
  parser[HTTPParser.kOnHeadersComplete] = (info) => {
    // After a second answer to one request, the connection cannot be trusted with another request.
    head = isWhole ? { ...head, shouldKeepAlive: false } : info;
  };
  parser[HTTPParser.kOnBody] = (chunk) => {
    size += chunk.length;
    if (!isWhole && size <= maxBytes) chunks.push(chunk);
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    // An interim response (100 Continue) is not the answer.
    isWhole ||= head.statusCode >= 200;
  };
  const check = (result: unknown): Error | undefined => {
    const problem = result instanceof Error ? result : undefined;
    if (size > maxBytes) return new Error(`the answer is larger than ${maxBytes} bytes`);
    if (!isWhole) return problem && new Error('answered with something that is not HTTP', { cause: problem });
    const { statusCode: status, headers, shouldKeepAlive } = head;
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    onAnswer({ status, header: (name) => find(headers, name), body }, shouldKeepAlive && problem === undefined);
    return undefined;
  };
  return {
    add: (bytes) => check(parser.execute(bytes)),
    end: () => check(head.statusCode === 0 ? undefined : parser.finish()),
  };
}

/** The list alternates names and values. */
function find(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at]!.toLowerCase() === name) return headers[at + 1];
  return undefined;
}
