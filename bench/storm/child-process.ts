/**
 * Runs consecutive acts in a process of their own, which starts with an empty heap that the acts
 * may fill.
 */

import { fork } from 'node:child_process';
import { z } from 'zod';
import { acts, type Result } from './acts.ts';

const stormJob = z.object({ acts: z.array(z.enum(acts)), nodes: z.number(), seed: z.number() });

export type StormJob = z.infer<typeof stormJob>;

export const parseStormJob = (text: string): StormJob => stormJob.parse(JSON.parse(text));

/** The messages from the child process to its parent. */
export type ActMessage = { said: string } | { result: Result };

/**
 * Ten thousand nodes take 2 GB. The large young generation keeps V8 from copying objects that live
 * for a few thousand timers.
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
