/** Records every call of a node, in order, and injects the faults that a test sets. */

import type { FakeClock } from './clock.ts';

export type Area = 'metadata' | 'machine' | 'ecsAgent' | 'docker' | 'cloud';

export interface Call {
  area: Area;
  verb: string;
  /** The arguments without the signal. */
  args: unknown[];
  /** The clock's uptime at the start of the call. */
  at: number;
}

/**
 * A method (`drain`), a method with its area if two share the name (`ecsAgent.readTasks`), an area
 * (`cloud.*`) or all (`*`).
 */
export type Target = string;

type Fault = { kind: 'fail'; error: Error; lost: boolean } | { kind: 'hang' } | { kind: 'delay'; ms: number };

export interface Calls {
  list: Call[];
  /** Returns the names of the called methods, in order; with `area`, only those of that area. */
  verbs(area?: Area): string[];
  /** Returns the calls of one method. */
  of(target: Target): Call[];
  /** The next `times` calls have no effect and fail with `error`. */
  fails(target: Target, error: Error, times?: number): void;
  /** The next `times` calls have their effect, but the answer is `error`. */
  losesAnswer(target: Target, error: Error, times?: number): void;
  /** The next `times` calls never get an answer. */
  hangs(target: Target, times?: number): void;
  /** The next `times` calls take this long. */
  delays(target: Target, ms: number, times?: number): void;
  /** Removes all faults. */
  heals(target?: Target): void;
  /** Runs before each call. If it throws, the call fails with that error. */
  onCall: ((call: Call) => void) | undefined;
  /**
   * The process dies at its n-th call from now (counted from 1), before or after the call's effect.
   */
  crashAt(n: number, when: 'before' | 'after'): void;
  /** Resolves when the process has died. */
  crashed(): Promise<'crashed'>;
}

export interface Process {
  alive: boolean;
  /** Aborts when the process dies. */
  death: AbortController;
}

export interface Recorder extends Calls {
  /** Returns the process that runs now. */
  process(): Process;
  start(): Process;
  wrap<T extends object>(area: Area, verbs: T, process: Process): T;
}

/** The promise on which a dead process waits. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

function hits(target: Target, call: Call): boolean {
  return (
    target === '*' || target === call.verb || target === `${call.area}.${call.verb}` || target === `${call.area}.*`
  );
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted === true) return void reject(signal.reason as Error);
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

export function openCalls(clock: FakeClock): Recorder {
  const list: Call[] = [];
  const faults: { target: Target; left: number; fault: Fault }[] = [];
  let process: Process = { alive: true, death: new AbortController() };
  let crash: { countdown: number; when: 'before' | 'after' } | undefined;
  let tellCrash: (word: 'crashed') => void = () => {};
  let crashed = new Promise<'crashed'>((resolve) => (tellCrash = resolve));

  const take = (call: Call): Fault[] => {
    const hit = faults.filter(({ target, left }) => left > 0 && hits(target, call));
    // If a method has several failures, a call uses up only the first of them. Delays apply in
    // addition.
    const first = hit.find(({ fault }) => fault.kind !== 'delay');
    const taken = hit.filter((entry) => entry === first || entry.fault.kind === 'delay');
    for (const entry of taken) entry.left -= 1;
    // Delays come first, then the failure.
    return taken.map(({ fault }) => fault).toSorted((a, b) => Number(b.kind === 'delay') - Number(a.kind === 'delay'));
  };
  const die = (of: Process) => {
    of.alive = false;
    crash = undefined;
    of.death.abort(new Error('the process died'));
    tellCrash('crashed');
  };

  const perform = async (call: Call, effect: () => unknown, signal: AbortSignal | undefined, of: Process) => {
    if (!of.alive) return never();
    signal?.throwIfAborted();
    list.push(call);
    recorder.onCall?.(call);
    const doomed = crash !== undefined && --crash.countdown === 0 ? crash.when : undefined;
    if (doomed === 'before') {
      die(of);
      return never();
    }
    let lost: Error | undefined;
    for (const fault of take(call)) {
      if (fault.kind === 'hang') return aborted(signal);
      if (fault.kind === 'delay') await clock.sleep(fault.ms, signal ?? new AbortController().signal);
      else if (fault.lost) lost = fault.error;
      else throw fault.error;
    }
    if (!of.alive) return never();
    const result = await effect();
    if (doomed === 'after' && of.alive) die(of);
    if (!of.alive) return never();
    if (lost !== undefined) throw lost;
    return call.area === 'cloud' ? structuredClone(result) : result;
  };

  const recorder: Recorder = {
    list,
    onCall: undefined,
    verbs: (area) => list.filter((call) => area === undefined || call.area === area).map(({ verb }) => verb),
    of: (target) => list.filter((call) => hits(target, call)),
    fails: (target, error, times = Infinity) =>
      void faults.push({ target, left: times, fault: { kind: 'fail', error, lost: false } }),
    losesAnswer: (target, error, times = Infinity) =>
      void faults.push({ target, left: times, fault: { kind: 'fail', error, lost: true } }),
    hangs: (target, times = Infinity) => void faults.push({ target, left: times, fault: { kind: 'hang' } }),
    delays: (target, ms, times = Infinity) => void faults.push({ target, left: times, fault: { kind: 'delay', ms } }),
    heals: (target) => {
      for (const entry of faults) if (target === undefined || entry.target === target) entry.left = 0;
    },
    crashAt: (n, when) => void (crash = { countdown: n, when }),
    crashed: () => crashed,
    process: () => process,
    start: () => {
      if (process.alive) die(process);
      crash = undefined;
      crashed = new Promise((resolve) => (tellCrash = resolve));
      process = { alive: true, death: new AbortController() };
      return process;
    },
    wrap<T extends object>(area: Area, verbs: T, of: Process): T {
      const wrapped = Object.entries(verbs).map(([verb, effect]) => [
        verb,
        (...all: unknown[]) => {
          const signal = all.findLast((arg) => arg instanceof AbortSignal);
          const args = all.filter((arg) => !(arg instanceof AbortSignal));
          const call = { area, verb, args: structuredClone(args), at: clock.uptime() };
          return perform(call, () => (effect as (...given: unknown[]) => unknown)(...all), signal, of);
        },
      ]);
      return Object.fromEntries(wrapped) as T;
    },
  };
  return recorder;
}
