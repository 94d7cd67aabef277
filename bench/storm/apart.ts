/** Acts that follow one another in a process of their own: it begins with an empty heap, and may fill it. */

import { fork } from 'node:child_process';
import { z } from 'zod';
import { acts, type Result } from './acts.ts';

const order = z.object({ acts: z.array(z.enum(acts)), nodes: z.number(), seed: z.number() });

export type Order = z.infer<typeof order>;

export const parseOrder = (text: string): Order => order.parse(JSON.parse(text));

/** What the process tells the one that started it. */
export type Word = { said: string } | { result: Result };

/** Ten thousand nodes are 2 GB. What lives for a few thousand timers must not be copied at each of them. */
const execArgv = ['--max-old-space-size=12288', '--max-semi-space-size=64'];

export async function performApart(what: Order, say: (text: string) => void): Promise<Result> {
  const child = fork(new URL('act.ts', import.meta.url), [JSON.stringify(what)], { execArgv });
  return new Promise((resolve, reject) => {
    child.on('message', (word: Word) => ('said' in word ? say(word.said) : resolve(word.result)));
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      reject(new Error(`${what.acts.join(', ')} of ${what.nodes} ended: ${signal ?? code}`)),
    );
  });
}
