/** Follows a departure through the agent's state files, and prints its progress. */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import type { Clock } from '../../core/retry.ts';
import { visibleLine } from '../../core/visible.ts';
import {
  parseState,
  paths,
  phases,
  type Cause,
  type DepartureState,
  type OperatorRequest,
} from '../../core/state/state.ts';
import { isDepartureState, isRequest } from '../../core/state/state-shape.ts';

export interface Follower {
  machine: Machine;
  clock: Clock;
  print(text: string): void;
}

/** A fraction of the 2 s in which the agent looks for requests. */
const pollMs = 500;

/** The time in which the agent sees the request and begins, even while AWS is slow. */
const acceptMs = 30_000;

/** A person who sees nothing for longer takes the command for hung. */
const reminderMs = 60_000;

/**
 * Resolves with the exit code when the departure is over: 0, or 1 when it was called off. Throws
 * Unavailable when no agent starts it.
 */
export async function followDeparture(
  follower: Follower,
  request: OperatorRequest,
  signal: AbortSignal,
): Promise<number> {
  const { clock, print } = follower;
  const until = clock.uptime() + acceptMs;
  const printed = new Set<string>();
  let printedAt = clock.uptime();
  /** The start of the departure that was under way: its end is the answer, whatever its cause. */
  let followed: number | undefined;
  const printLine = ([at, line]: ProgressLine) => {
    printed.add(line);
    printedAt = clock.uptime();
    print(`${timeOf(at)} ${visibleLine(line)}\n`);
  };
  for (;;) {
    const departure = await readDeparture(follower, request);
    // A departure that ended or was called off before this request says nothing about it.
    const isSeen = departure !== undefined && departure.startedAt === followed;
    if (departure !== undefined && (departure.key === request.id || isUnderWay(departure) || isSeen)) {
      followed = departure.startedAt;
      const now = clock.now();
      // A request to terminate takes over from a departure in which the node only drains.
      const isAnothers = departure.key !== request.id && departure.ending !== 'remain';
      if (printed.size === 0 && isAnothers) printLine([now, alreadyLeaving(departure)]);
      for (const line of linesOf(departure, now)) if (!printed.has(line[1])) printLine(line);
      if (departure.undoneAt !== undefined) return 1;
      if (departure.phase === 'done') return 0;
      if (clock.uptime() - printedAt >= reminderMs) printLine([now, stillLeaving(departure, now)]);
    } else if (clock.uptime() > until) {
      throw new Unavailable(`the agent has not taken it up within ${acceptMs / 1000} s; see: ecs-node status`);
    }
    await clock.sleep(pollMs, signal);
  }
}

/** Resolves with 0 when no reason to leave remains. Throws Refused when it is too late. */
export async function followStay(follower: Follower, request: OperatorRequest, signal: AbortSignal): Promise<number> {
  const { clock, print } = follower;
  const until = clock.uptime() + acceptMs + 60_000;
  while (await isPending(follower, request)) {
    if (clock.uptime() > until)
      throw new Unavailable('the agent has not brought the node back yet; see: ecs-node status');
    await clock.sleep(pollMs, signal);
  }
  const departure = await readDeparture(follower, request);
  if (departure !== undefined && isUnderWay(departure)) {
    const { cause, reason, phase } = departure;
    const why = isEndedByAws(cause) ? '; AWS ends this machine, and no command can undo that' : '';
    throw new Refused(`too late to stay: the node is leaving (${cause}: ${reason}), phase ${phase}${why}`);
  }
  print('The node stays.\n');
  return 0;
}

async function isPending({ machine }: Follower, { instanceId, id }: OperatorRequest): Promise<boolean> {
  const readId = async (path: string) =>
    parseState<OperatorRequest>(await machine.readText(path), instanceId, isRequest)?.id;
  return (await readId(paths.requestInMemory)) === id || (await readId(paths.request)) === id;
}

/** The causes that AWS decides. */
const isEndedByAws = (cause: Cause) => cause === 'spot' || cause === 'scale-in';

async function readDeparture(
  { machine }: Follower,
  { instanceId }: OperatorRequest,
): Promise<DepartureState | undefined> {
  return parseState<DepartureState>(await machine.readText(paths.departure), instanceId, isDepartureState);
}

function isUnderWay({ undoneAt, phase }: DepartureState): boolean {
  return undoneAt === undefined && phase !== 'done';
}

/** The departure of a node that was leaving before the operator asked. */
function alreadyLeaving({ cause, deadline }: DepartureState): string {
  const end = `deadline ${timeOf(deadline)}`;
  return `already leaving for ${cause}; this command only watches, and Ctrl-C does not stop the departure; ${end}`;
}

function stillLeaving({ phase, deadline, blockers }: DepartureState, now: number): string {
  const left = deadline > now ? `${Math.ceil((deadline - now) / 60_000)} min to the deadline` : 'past the deadline';
  const waiting = blockers.length === 0 ? '' : `; waiting for ${blockers.join(', ')}`;
  return `still in the phase ${phase}, ${left}${waiting}`;
}

const timeOf = (at: number) => new Date(at).toISOString().slice(11, 19);

type ProgressLine = readonly [at: number, line: string];

/** The phases with the times at which they began: several may pass between two reads. */
function linesOf(departure: DepartureState, now: number): ProgressLine[] {
  const { cause, reason, startedAt, entered, blockers, troubles, undoneAt } = departure;
  const seen = phases.flatMap((phase): ProgressLine[] => {
    const at = entered[phase];
    return at === undefined ? [] : [[at, phase === 'done' ? 'done' : `phase ${phase}`]];
  });
  return [
    [startedAt, `leaving (${cause}): ${reason}`],
    ...seen.filter(([, line]) => line !== 'done'),
    ...[
      ...blockers.map((blocker) => `waiting for ${blocker}`),
      ...troubles.map((trouble) => `trouble: ${trouble}`),
    ].map((line): ProgressLine => [now, line]),
    ...(undoneAt === undefined ? [] : [[undoneAt, 'called off: the node stays'] as const]),
    ...seen.filter(([, line]) => line === 'done'),
  ];
}
