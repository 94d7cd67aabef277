/**
 * AbortController and AbortSignal as far as the product uses them, without events, weak references
 * and stack traces. Node's own take half of a simulation's time. A composite signal listens to its
 * sources only while it has listeners itself, so nothing accumulates on a long-lived signal.
 */

type Listener = () => void;

class LightSignal {
  #reason: unknown;
  #aborted = false;
  readonly #sources: readonly LightSignal[];
  /** A signal has few listeners, mostly one, so a list is quicker than a set. */
  #listeners: Listener[] | undefined;
  readonly #relay = () => this.settle();

  constructor(sources: readonly LightSignal[] = []) {
    this.#sources = sources;
    this.settle();
  }

  get aborted(): boolean {
    return this.#aborted || this.settle();
  }

  get reason(): unknown {
    return this.aborted ? this.#reason : undefined;
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.#reason;
  }

  addEventListener(_type: 'abort', listener: Listener): void {
    if (this.aborted) return;
    if (this.#listeners === undefined) {
      this.#listeners = [];
      for (const source of this.#sources) source.addEventListener('abort', this.#relay);
    }
    if (!this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    const at = this.#listeners?.indexOf(listener) ?? -1;
    if (this.#listeners === undefined || at < 0) return;
    if (this.#listeners.length === 1) this.#release();
    else this.#listeners.splice(at, 1);
  }

  /** Takes over a source's aborted state. */
  settle(): boolean {
    if (this.#aborted) return true;
    const source = this.#sources.find(({ aborted }) => aborted);
    if (source === undefined) return false;
    this.abort(source.reason);
    return true;
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#release();
    for (const listener of listeners ?? []) listener();
  }

  #release(): void {
    this.#listeners = undefined;
    for (const source of this.#sources) source.removeEventListener('abort', this.#relay);
  }

  static any(sources: Iterable<LightSignal>): LightSignal {
    return new LightSignal([...sources]);
  }
}

/** The same error as Node's. */
const plainReason = Object.assign(new Error('This operation was aborted'), { name: 'AbortError' });

class LightController {
  readonly signal = new LightSignal();

  abort(reason: unknown = plainReason): void {
    this.signal.abort(reason);
  }
}

/** Replaces Node's classes by the light ones; returns a function that restores Node's. */
export function lightenAborts(): () => void {
  const heavy = { AbortController: globalThis.AbortController, AbortSignal: globalThis.AbortSignal };
  Object.assign(globalThis, { AbortController: LightController, AbortSignal: LightSignal });
  return () => void Object.assign(globalThis, heavy);
}
