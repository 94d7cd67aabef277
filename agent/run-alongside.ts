/** Lets something go on beside some work, and ends it with the work. */

/** `background` must not reject; its signal aborts when the work is over, and it is waited for. */
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
    workEnds.abort(new Error('the work that this went on beside is over'));
    await running;
  }
}
