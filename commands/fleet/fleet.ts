/** `ecs-node fleet`: every node of a cluster in one table, the worst first; once or repeated. */

import { Unavailable, UsageError, messageOf } from '../../core/errors.ts';
import { everyInterval, exactlyAt } from '../../core/interval.ts';
import type { Clock } from '../../core/retry.ts';
import type { FleetView } from '../../fleet/table/rows.ts';
import { openView } from '../../fleet/table/view.ts';
import { openFleetNodes } from '../../host/aws/fleet/open.ts';
import { openFleetSession } from '../../host/aws/session/fleet-session.ts';
import { openClock } from '../../host/clock.ts';
import { isSet, listOf, textOf, type CommandContext, type Run, type ParsedArgs } from '../../cli/command.ts';
import { findRegion } from './find-region.ts';
import { renderFleet } from './render-fleet.ts';

/** Short enough to watch a deployment, long enough to spare the account's API limits. */
const watchSeconds = 15;

/** One table of a thousand nodes takes some seconds by itself. */
const minSeconds = 1;
const maxSeconds = 86_400;

export const fleet: Run = async (context, args, signal) => {
  if (isSet(args, 'history')) {
    if (isSet(args, 'watch')) throw new UsageError('--history and --watch exclude each other');
    const { printHistory } = await import('./history.ts');
    return printHistory(context, args, signal);
  }
  for (const flag of ['days', 'log-group']) {
    if (textOf(args, flag) !== undefined) throw new UsageError(`--${flag} belongs to --history`);
  }
  const everyMs = readInterval(args);
  const region = await findRegion(context, args, signal);
  const clock = openClock();
  const nodes = openFleetNodes(
    openFleetSession(region, context.environment, context.log),
    { region },
    clock,
    context.log,
  );
  const view = openView(nodes, {
    cluster: textOf(args, 'cluster') ?? '',
    groups: listOf(args, 'group'),
    metricsNamespace: textOf(args, 'metrics-namespace') ?? 'System/Linux',
  });
  const read = (callSignal: AbortSignal) => view(clock.now(), callSignal);
  const render = isSet(args, 'json')
    ? renderJson
    : (found: FleetView, width?: number) => renderFleet(found, width).join('\n');
  try {
    if (everyMs !== undefined) {
      await watch({ context, clock, read, render, everyMs, inPlace: !isSet(args, 'json') }, signal);
    } else context.print(`${render(await read(signal))}\n`);
    return 0;
  } finally {
    nodes.close();
  }
};

/** Undefined without --watch. Throws UsageError. */
export function readInterval(args: ParsedArgs): number | undefined {
  const [given] = args.operands;
  if (!isSet(args, 'watch')) {
    if (given === undefined) return undefined;
    throw new UsageError(`${given}: only --watch takes seconds, as in --watch ${given}`);
  }
  const seconds = given === undefined ? watchSeconds : Number(/^\d{1,5}$/.exec(given)?.[0]);
  if (seconds >= minSeconds && seconds <= maxSeconds) return seconds * 1000;
  throw new UsageError(`--watch ${given}: must be whole seconds from ${minSeconds} to ${maxSeconds}`);
}

/** One line for each table, so that programs can read a watch as well. */
function renderJson(view: FleetView): string {
  return JSON.stringify(view);
}

interface FleetWatch {
  context: Pick<CommandContext, 'print' | 'output'>;
  clock: Clock;
  read(signal: AbortSignal): Promise<FleetView>;
  render(view: FleetView, width?: number): string;
  everyMs: number;
  /** On a terminal, each table replaces the one before. */
  inPlace: boolean;
}

/** Ends with the signal, which is no failure. While AWS does not answer, the last table stays. */
export async function watch(watching: FleetWatch, signal: AbortSignal): Promise<void> {
  const { context, clock, read, everyMs, inPlace } = watching;
  const terminal = context.output as { isTTY?: boolean };
  const isTerminal = terminal.isTTY === true && inPlace;
  let last: FleetView | undefined;
  if (isTerminal) context.print(hideCursor);
  try {
    await everyInterval(clock, { everyMs, next: (at) => exactlyAt(at + everyMs) }, signal, async () => {
      let trouble: string | undefined;
      try {
        last = await read(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Unavailable)) throw error;
        trouble = messageOf(error);
      }
      draw(watching, last, trouble, isTerminal);
    });
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  } finally {
    if (isTerminal) context.print(showCursor);
  }
}

const clear = '\u001B[2J\u001B[H';
const hideCursor = '\u001B[?25l';
const showCursor = '\u001B[?25h\n';

function draw(
  { context, render }: FleetWatch,
  view: FleetView | undefined,
  trouble: string | undefined,
  isTerminal: boolean,
) {
  const { columns, rows } = context.output as { columns?: number; rows?: number };
  const note = trouble === undefined ? [] : [`not up to date: ${trouble}`];
  if (!isTerminal) {
    context.print(trouble === undefined && view !== undefined ? `${render(view)}\n` : '');
    return;
  }
  // The worst come first, so only nodes that are well do not fit on the screen.
  const lines = view === undefined ? [] : render(view, columns).split('\n');
  context.print(clear + [...note, ...lines].slice(0, (rows ?? lines.length + 2) - 1).join('\n'));
}
