/** `ecs-node leave` and `ecs-node stay`: ask the agent, and follow what it does. */

import { randomUUID } from 'node:crypto';
import { Refused, Unavailable } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Clock } from '../core/patience.ts';
import { paths, renderState, type Request } from '../core/state.ts';
import { openClock } from '../host/clock.ts';
import { openMachine } from '../host/machine.ts';
import { isSet, textOf, type Caller, type Run, type Words } from './command.ts';
import { followDeparture, followStay } from './follow.ts';
import { isSilent } from './render-status.ts';
import { readStatus } from './status-report.ts';

export const leave: Run = async (caller, words, signal) => {
  const terminate = !isSet(words, 'no-terminate');
  return ask({ action: 'leave', terminate }, caller, words, signal);
};

export const stay: Run = async (caller, words, signal) =>
  ask({ action: 'stay', terminate: false }, caller, words, signal);

async function ask(
  wish: Pick<Request, 'action' | 'terminate'>,
  caller: Caller,
  words: Words,
  signal: AbortSignal,
): Promise<number> {
  const machine = openMachine(caller.root, caller.environment);
  const clock = openClock();
  const request = await writeRequest(machine, clock, wish, reasonOf(caller, words));
  if (isSet(words, 'no-wait')) {
    caller.print(`The agent has been asked (${wish.action}: ${request.reason}); see: ecs-node status\n`);
    return 0;
  }
  const follow = wish.action === 'leave' ? followDeparture : followStay;
  return follow({ machine, clock, print: caller.print }, request, signal);
}

/** Throws Unavailable when nobody will read it soon, and says what to do; the request is kept where an agent may still come. */
export async function writeRequest(
  machine: Machine,
  clock: Pick<Clock, 'now'>,
  wish: Pick<Request, 'action' | 'terminate'>,
  reason: string,
): Promise<Request> {
  const { instanceId, agent, departure } = await readStatus(machine);
  if (instanceId === undefined) {
    throw new Unavailable(
      'neither bootstrap nor agent has run on this machine yet, so there is nobody to ask; see: ecs-node status',
    );
  }
  const now = clock.now();
  if (
    wish.action === 'leave' &&
    departure?.phase === 'done' &&
    departure.undoneAt === undefined &&
    departure.ending !== 'remain'
  ) {
    throw new Refused(`this node has left already (${departure.cause}: ${departure.reason})`);
  }
  const request: Request = { instanceId, id: randomUUID(), reason, at: now, ...wish };
  await machine.writeText(paths.request, renderState(request), 0o600);
  if (agent === undefined || isSilent(agent, now)) {
    const since = agent === undefined ? 'none has run since this boot' : 'it has given no sign of life for minutes';
    throw new Unavailable(`no agent runs (${since}): the request is kept until one does; systemctl start ecs-node`);
  }
  return request;
}

/** One line, and short enough for a tag. */
const longestReason = 200;

function reasonOf({ environment }: Caller, words: Words): string {
  const given = textOf(words, 'reason');
  const who = environment['SUDO_USER'] || environment['USER'] || 'root';
  return (given ?? `asked for by ${who}`).replaceAll(/\s+/g, ' ').trim().slice(0, longestReason);
}
