/**
 * Acts that follow one another in a process of their own: it begins with an empty heap, and may
 * fill it.
 */

import { fork } from 'node:child_process';
import { z } from 'zod';
import { acts, type Result } from './acts.ts';

const stormJob = z.object({ acts: z.array(z.enum(acts)), nodes: z.number(), seed: z.number() });

export type StormJob = z.infer<typeof stormJob>;

export const parseStormJob = (text: string): StormJob => stormJob.parse(JSON.parse(text));

/** What the process tells the one that started it. */
export type ActMessage = { said: string } | { result: Result };

/**
 * Ten thousand nodes are 2 GB. What lives for a few thousand timers must not be copied at each of
 * them.
 */
const execArgv = ['--max-old-space-size=12288', '--max-semi-space-size=64'];

export async function performInChildProcess(what: StormJob, say: (text: string) => void): Promise<Result> {
  const child = fork(new URL('act.ts', import.meta.url), [JSON.stringify(what)], { execArgv });
  return new Promise((resolve, reject) => {
    child.on('message', (word: ActMessage) => ('said' in word ? say(word.said) : resolve(word.result)));
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      reject(new Error(`${what.acts.join(', ')} of ${what.nodes} ended: ${signal ?? code}`)),
    );
  });
}
