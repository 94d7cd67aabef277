/** Follows a departure through the agent's state files, and prints its progress. */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { Machine } from '../../core/host.ts';
import type { Clock } from '../../core/retry.ts';
import { parseState, paths, phases, type DepartureState, type OperatorRequest } from '../../core/state/state.ts';
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
  const printLine = ([at, line]: ProgressLine) => {
    if (printed.has(line)) return;
    printed.add(line);
    print(`${new Date(at).toISOString().slice(11, 19)} ${line}\n`);
  };
  for (;;) {
    const departure = await readDeparture(follower, request);
    // A departure that ended or was called off before this request says nothing about it.
    const isOurs = departure !== undefined && (departure.key === request.id || isUnderWay(departure));
    if (isOurs) {
      for (const line of linesOf(departure, clock.now())) printLine(line);
      if (departure.undoneAt !== undefined) return 1;
      if (departure.phase === 'done') return 0;
    } else if (clock.uptime() > until) {
      throw new Unavailable(`the agent has not taken it up within ${acceptMs / 1000} s; see: ecs-node status`);
    }
    await clock.sleep(pollMs, signal);
  }
}

/** Resolves with 0 when no reason to leave remains. Throws Refused when it is too late. */
export async function followStay(follower: Follower, request: OperatorRequest, signal: AbortSignal): Promise<number> {
  const { machine, clock, print } = follower;
  const until = clock.uptime() + acceptMs + 60_000;
  while (
    parseState<OperatorRequest>(await machine.readText(paths.request), request.instanceId, isRequest)?.id === request.id
  ) {
    if (clock.uptime() > until)
      throw new Unavailable('the agent has not brought the node back yet; see: ecs-node status');
    await clock.sleep(pollMs, signal);
  }
  const departure = await readDeparture(follower, request);
  if (departure !== undefined && isUnderWay(departure)) {
    throw new Refused(
      `too late to stay: the node is leaving (${departure.cause}: ${departure.reason}), phase ${departure.phase}`,
    );
  }
  print('The node stays.\n');
  return 0;
}

async function readDeparture(
  { machine }: Follower,
  { instanceId }: OperatorRequest,
): Promise<DepartureState | undefined> {
  return parseState<DepartureState>(await machine.readText(paths.departure), instanceId, isDepartureState);
}

function isUnderWay({ undoneAt, phase }: DepartureState): boolean {
  return undoneAt === undefined && phase !== 'done';
}

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
