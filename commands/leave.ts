/** `ecs-node leave` and `ecs-node stay`: write a request for the agent, and follow its progress. */

import { randomUUID } from 'node:crypto';
import { Refused, Unavailable } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';
import type { Clock } from '../core/retry.ts';
import type { OperatorRequest } from '../core/state/state.ts';
import { writeRequest } from '../agent/request.ts';
import { openClock } from '../host/clock.ts';
import { openMachine } from '../host/machine.ts';
import { isSet, textOf, type CommandContext, type Run, type ParsedArgs } from '../cli/command.ts';
import { followDeparture, followStay } from './node/follow-departure.ts';
import { isSilent } from './status/render-status.ts';
import { readStatus } from './status/status-report.ts';

export const leave: Run = async (context, args, signal) => {
  const terminate = !isSet(args, 'no-terminate');
  return submitRequest({ action: 'leave', terminate }, context, args, signal);
};

export const stay: Run = async (context, args, signal) =>
  submitRequest({ action: 'stay', terminate: false }, context, args, signal);

async function submitRequest(
  action: Pick<OperatorRequest, 'action' | 'terminate'>,
  context: CommandContext,
  args: ParsedArgs,
  signal: AbortSignal,
): Promise<number> {
  const machine = openMachine(context.root, context.environment);
  const clock = openClock();
  const request = await placeRequest(machine, clock, action, reasonOf(context, args));
  if (isSet(args, 'no-wait')) {
    context.print(`The agent has been asked (${action.action}: ${request.reason}); see: ecs-node status\n`);
    return 0;
  }
  const follow = action.action === 'leave' ? followDeparture : followStay;
  return follow({ machine, clock, print: context.print }, request, signal);
}

/**
 * Throws Unavailable with a remedy when no agent will read it soon. The request stays where an
 * agent may still start.
 */
export async function placeRequest(
  machine: Machine,
  clock: Pick<Clock, 'now'>,
  action: Pick<OperatorRequest, 'action' | 'terminate'>,
  reason: string,
): Promise<OperatorRequest> {
  const { instanceId, agent, departure } = await readStatus(machine);
  if (instanceId === undefined) {
    throw new Unavailable(
      'neither bootstrap nor agent has run on this machine yet, so nothing can take the request; see: ecs-node status',
    );
  }
  const now = clock.now();
  if (departure?.phase === 'done' && departure.undoneAt === undefined && departure.ending !== 'remain') {
    const why = `this node has left already (${departure.cause}: ${departure.reason})`;
    throw new Refused(action.action === 'leave' ? why : `${why}: its instance ends, and no command can undo that`);
  }
  const request: OperatorRequest = { instanceId, id: randomUUID(), reason, at: now, ...action };
  await writeRequest({ machine }, request);
  if (agent === undefined || isSilent(agent, now)) {
    const since = agent === undefined ? 'none has run since this boot' : 'it has given no sign of life for minutes';
    throw new Unavailable(`no agent runs (${since}): the request is kept until one does; systemctl start ecs-node`);
  }
  return request;
}

/** One line, short enough for the value of a tag. */
const longestReason = 200;

function reasonOf({ environment }: CommandContext, args: ParsedArgs): string {
  const given = textOf(args, 'reason');
  const who = environment['SUDO_USER'] || environment['USER'] || 'root';
  return (given ?? `asked for by ${who}`).replaceAll(/\s+/g, ' ').trim().slice(0, longestReason);
}
