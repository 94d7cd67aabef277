/**
 * A child as the binary's hidden command would be, over a Cloud that does what its name for a
 * cluster says.
 */

import { stdin, stdout, env, kill, pid } from 'node:process';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Cloud } from '../../../../core/host.ts';
import { cloudOf } from '../../../../host/aws/child/verbs.ts';
import { serveCloud } from '../../../../host/aws/child/serve-cloud.ts';

const answers: Record<string, (args: unknown[], signal: AbortSignal) => unknown> = {
  echo: (args) => ({ args, missing: args.map((arg) => arg === undefined) }),
  environment: () => ({ ...env, pid }),
  nothing: () => undefined,
  unavailable: () => {
    throw new Unavailable('ecs:X: throttled');
  },
  refused: () => {
    throw new Refused('ecs:X is not allowed', { code: 'AccessDenied' });
  },
  bug: () => {
    throw new TypeError('x is undefined');
  },
  waits: (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  dies: () => kill(pid, 'SIGKILL'),
  hangs: () => {
    for (;;);
  },
  rubbish: () => void stdout.write('not JSON\n'),
};

const cloud: Cloud = cloudOf(
  () =>
    async (...args) =>
      answers[String(args[0])]!(args.slice(0, -1), args.at(-1) as AbortSignal),
  async () => {},
);
await serveCloud(cloud, stdin, stdout);
