/**
 * Says on standard error what long work does, how far it is and what is left: on a terminal as one
 * line that moves, elsewhere as plain lines, of which a log can bear only a few.
 */

/** A plain line at most this often while nothing but the count changes, milliseconds. */
const plainEveryMs = 15_000;
/** A terminal shows no more than this in a second. */
const movesEveryMs = 100;

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
  return {
    at(text, done) {
      const elapsed = now() - startedAt;
      const pause = output.isTTY ? movesEveryMs : plainEveryMs;
      // Without a count, each text is a new step of the work and worth a line.
      const isNews = done === undefined ? text !== shownText : output.isTTY === true && text !== shownText;
      if (!isNews && elapsed - shownAt < pause) return;
      shownAt = elapsed;
      shownText = text;
      const line = `${name}: ${text}${renderCount(elapsed, done, total)}`;
      output.write(output.isTTY ? `\r\u001b[K${line.slice(0, (output.columns ?? 80) - 1)}` : `${line}\n`);
    },
    clear() {
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
