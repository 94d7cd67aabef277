/** Lets something go on beside some work, and ends it with the work. */

/** `side` must not reject; its signal aborts when the work is over, and it is waited for. */
export async function beside<T>(
  side: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const running = side(AbortSignal.any([signal, over.signal]));
  try {
    return await work();
  } finally {
    over.abort(new Error('the work that this went on beside is over'));
    await running;
  }
}
