/**
 * The child's side of host/aws/child/child-cloud.ts. It answers one JSON line per call until its
 * input ends.
 */

import type { Readable, Writable } from 'node:stream';
import { Refused, Unavailable, messageOf } from '../../../core/errors.ts';
import type { Cloud } from '../../../core/host.ts';
import { readLines } from './lines.ts';
import { serviceOf, type Verb } from './verbs.ts';

interface ChildRequest {
  id: number;
  verb?: string;
  args?: unknown[];
  abort?: boolean;
}

/** Resolves when `input` has ended and every call is answered. The caller closes the cloud. */
export async function serveCloud(cloud: Cloud, input: Readable, output: Writable): Promise<void> {
  const running = new Map<number, { controller: AbortController; done: Promise<void> }>();
  const say = (message: object) => output.write(`${JSON.stringify(message)}\n`);
  // The parent is gone. The end of `input` ends this process.
  output.on('error', () => {});

  await readLines(input, (line) => {
    const { id, verb, args = [], abort } = JSON.parse(line) as ChildRequest;
    if (abort === true) {
      running.get(id)?.controller.abort(new Error('the caller does not wait any more'));
      return;
    }
    const controller = new AbortController();
    const done = answer(cloud, verb, args, controller.signal)
      .then((result) => void say({ id, ...result }))
      .finally(() => running.delete(id));
    running.set(id, { controller, done });
  });
  await Promise.all([...running.values()].map(({ done }) => done));
}

async function answer(cloud: Cloud, verb: string | undefined, args: unknown[], signal: AbortSignal): Promise<object> {
  try {
    if (verb === undefined || !Object.hasOwn(serviceOf, verb)) throw new TypeError(`no such verb: ${verb}`);
    const call = cloud[verb as Verb] as (...given: unknown[]) => Promise<unknown>;
    // JSON has no `undefined`: an omitted argument arrives as null.
    return { value: await call(...args.map((arg) => arg ?? undefined), signal) };
  } catch (error) {
    if (error instanceof Unavailable) return { error: { name: 'Unavailable', message: error.message } };
    if (error instanceof Refused) return { error: { name: 'Refused', message: error.message, code: error.code } };
    return { error: { name: 'Error', message: error instanceof Error ? error.stack : messageOf(error) } };
  }
}
