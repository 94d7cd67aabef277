/** Runs a background task alongside some work, and ends it with the work. */

/**
 * `background` must not reject. Its signal aborts when the work is over, and this function waits
 * for it.
 */
export async function runAlongside<T>(
  background: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const workEnds = new AbortController();
  const running = background(AbortSignal.any([signal, workEnds.signal]));
  try {
    return await work();
  } finally {
    workEnds.abort(new Error('the work is over'));
    await running;
  }
}
