/**
 * Calls that wait for a line from the child process. Each has its own deadline and its own signal.
 */

import { Refused, Unavailable } from '../../../core/errors.ts';
import type { Verb } from './verbs.ts';

/** The longest sensible call: some pages, each tried twice, 13 s each. */
const callMs = 60_000;

/** A healthy child answers an abort within milliseconds. */
const abortMs = 2_000;

export interface Reply {
  id: number;
  value?: unknown;
  error?: { name: string; message: string; code?: string };
}

export interface Calls {
  add(verb: Verb, args: unknown[], signal: AbortSignal): Promise<unknown>;
  deliver(reply: Reply): void;
  /** The child is gone: it is unknown whether these calls had their effect. */
  failAll(why: string): void;
}

interface ChildChannel {
  send(message: object): void;
  /** The child answered neither a call in time nor its abort: it hangs. */
  onSilence(verb: Verb): void;
  /** The number of calls that now wait. */
  onCount(count: number): void;
}

export function openCalls({ send, onSilence, onCount }: ChildChannel): Calls {
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  const deliver = (reply: Reply) => waiting.get(reply.id)?.(reply);
  return {
    deliver,
    failAll(message) {
      for (const id of waiting.keys()) deliver({ id, error: { name: 'Unavailable', message } });
    },
    async add(verb, args, signal) {
      const id = ++lastId;
      return await new Promise<unknown>((resolve, reject) => {
        let timer = setTimeout(onSilence, callMs, verb);
        const abort = () => {
          reject(signal.reason as Error);
          send({ id, abort: true });
          clearTimeout(timer);
          timer = setTimeout(onSilence, abortMs, verb);
        };
        signal.addEventListener('abort', abort, { once: true });
        waiting.set(id, (reply) => {
          waiting.delete(id);
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          onCount(waiting.size);
          if (reply.error) reject(reviveError(reply.error));
          else resolve(reply.value);
        });
        onCount(waiting.size);
        send({ id, verb, args });
      });
    },
  };
}

/** Undefined when the line is not a reply. */
export function parseReply(line: string): Reply | undefined {
  try {
    const reply = JSON.parse(line) as Reply | null;
    return typeof reply?.id === 'number' ? reply : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Everything except Unavailable and Refused is a bug in the child, and stays one here. Its message
 * carries the child's stack.
 */
function reviveError({ name, message, code }: NonNullable<Reply['error']>): Error {
  if (name === 'Unavailable') return new Unavailable(message);
  if (name === 'Refused') return new Refused(message, code === undefined ? {} : { code });
  return new Error(message);
}
