/**
 * Says on standard error what long work does, how far it is and what is left: on a terminal as one
 * line that moves, elsewhere as plain lines, of which a log can bear only a few.
 */

/** A plain line at most this often while nothing but the count changes, milliseconds. */
const plainEveryMs = 15_000;
/** A terminal shows no more than this in a second. */
const movesEveryMs = 100;
/** A step that lasts longer than this without news is shown again: a person takes it for hung. */
const signOfLifeMs = { terminal: 1_000, log: 60_000 };

export interface Progress {
  /** The work is now at `text`, with `done` of the total behind it. */
  at(text: string, done?: number): void;
  /** Removes the moving line. Call it before other output, and at the end. */
  clear(): void;
}

interface Output {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

interface Work {
  /** The command, such as `build`. */
  name: string;
  /** The number of steps, where it is known. */
  total?: number;
  output?: Output;
  now?: () => number;
}

export function openProgress({ name, total, output = process.stderr, now = Date.now }: Work): Progress {
  const startedAt = now();
  let shownAt = -Infinity;
  let shownText = '';
  let shownDone: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  const show = (elapsed: number) => {
    shownAt = elapsed;
    const line = `${name}: ${shownText}${renderCount(elapsed, shownDone, total)}`;
    output.write(output.isTTY ? `\r\u001b[K${line.slice(0, (output.columns ?? 80) - 1)}` : `${line}\n`);
  };
  const pauseMs = output.isTTY ? signOfLifeMs.terminal : signOfLifeMs.log;
  const showAgain = () => {
    const elapsed = now() - startedAt;
    if (elapsed - shownAt >= pauseMs) show(elapsed);
  };
  return {
    at(text, done) {
      timer ??= setInterval(showAgain, pauseMs).unref();
      const elapsed = now() - startedAt;
      const pause = output.isTTY ? movesEveryMs : plainEveryMs;
      // Without a count, each text is a new step of the work and worth a line.
      const isNews = done === undefined ? text !== shownText : output.isTTY === true && text !== shownText;
      if (!isNews && elapsed - shownAt < pause) return;
      shownText = text;
      shownDone = done;
      show(elapsed);
    },
    clear() {
      clearInterval(timer);
      timer = undefined;
      if (output.isTTY) output.write('\r\u001b[K');
    },
  };
}

function renderCount(elapsedMs: number, done: number | undefined, total: number | undefined): string {
  const spent = `${renderSpan(elapsedMs)} so far`;
  if (done === undefined) return ` (${spent})`;
  if (total === undefined || !Number.isFinite(total)) return ` (${done} done, ${spent})`;
  // The first step tells too little about the others.
  const left = done === 0 ? '' : `, about ${renderSpan((elapsedMs / done) * (total - done))} left`;
  return ` (${done} of ${total}, ${spent}${left})`;
}

function renderSpan(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
