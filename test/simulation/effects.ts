/** Injects faults and crashes between a node's program and its fakes. */

import type { Host } from '../../core/host.ts';
import type { Chance } from './faults/chance.ts';
import type { SimulatedClock } from './clock.ts';
import type { Replicas } from './world/replicas.ts';
import type { Anomaly, Inconsistency } from './faults/inconsistency.ts';
import type { CallFate, Service, FaultInjector } from './faults/fault-injector.ts';
import type { Lie, Lies } from './faults/lies.ts';

/** One run of one of ecs-node's programs, from its start to its end. */
export interface Process {
  name: 'bootstrap' | 'agent';
  node: string;
  alive: boolean;
  /** Aborts as systemd's SIGTERM does. */
  stop: AbortController;
  /**
   * The program dies at its n-th call from now, before or after the effect: alone, or because the
   * machine loses power.
   */
  crash: { countdown: number; when: 'before' | 'after'; strike(): void } | undefined;
  /** Called when the program is killed. */
  onDeath: () => void;
  sleepers: number;
  /**
   * Set while the machine hibernates, with the time since. Timers that came due meanwhile fire when
   * it wakes.
   */
  asleep: { since: number; due: (() => void)[] } | undefined;
  /** The hibernated time, which its uptime does not include. */
  sleptMs: number;
  calls: number;
}

export interface Call {
  process: Process;
  service: Service;
  verb: string;
  args: readonly unknown[];
}

export interface CallObserver {
  /** Called just before the effect takes place. */
  before(call: Call): void;
  /** Called just after the effect; `error` is set if the world refused. */
  after(call: Call, result: unknown, error: unknown): void;
  /** Called when the program receives the result, which can be lost after the effect. */
  answered(call: Call): void;
  /** Called just before an effect for which the caller no longer waits. */
  late(call: Call): void;
  /** Called when the call fails on its way. */
  fault(call: Call, name: string, fate: CallFate): void;
  /** Called when the call succeeds, but with an anomaly of a distributed system. */
  twist(call: Call, anomaly: Anomaly): void;
  /** Called when the answer is not true. */
  lie(call: Call, lie: Lie): void;
}

export interface Conditions {
  /** The factor by which short sleeps are longer. */
  slowness: number;
  clock: SimulatedClock;
  chance: Chance;
  faults: FaultInjector;
  /** Present only in some lives. */
  inconsistency: Inconsistency | undefined;
  lies: Lies | undefined;
  replicas: Replicas | undefined;
  observer: CallObserver;
}

/** The promise on which a dead process waits. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

export function kill(process: Process): void {
  if (!process.alive) return;
  process.alive = false;
  process.onDeath();
}

function whenAwake({ asleep }: Process, act: () => void): void {
  if (asleep === undefined) act();
  else asleep.due.push(act);
}

export function fallAsleep(process: Process, { clock }: Pick<Conditions, 'clock'>): void {
  process.asleep ??= { since: clock.uptime(), due: [] };
}

export function wakeUp(process: Process, { clock }: Pick<Conditions, 'clock'>): void {
  const { asleep } = process;
  if (asleep === undefined) return;
  process.asleep = undefined;
  process.sleptMs += clock.uptime() - asleep.since;
  for (const act of asleep.due) act();
}

/** Wraps each method so that its calls get a fate. */
export function expose<T extends object>(verbs: T, service: Service, process: Process, conditions: Conditions): T {
  const exposed: Record<string, unknown> = {};
  for (const [verb, effect] of Object.entries(verbs)) {
    exposed[verb] = (...all: unknown[]) => {
      const last = all.at(-1);
      const signal = last instanceof AbortSignal ? last : undefined;
      const args = signal === undefined ? all : all.slice(0, -1);
      const take = () => (effect as (...given: unknown[]) => unknown)(...all);
      return perform({ process, service, verb, args }, take, signal, conditions);
    };
  }
  return exposed as T;
}

/** By their contract these methods never fail and are never late. */
const neverFail = new Set(['say', 'notify', 'close']);

async function perform(
  call: Call,
  effect: () => unknown,
  signal: AbortSignal | undefined,
  conditions: Conditions,
): Promise<unknown> {
  const { process } = call;
  const { clock, faults, observer } = conditions;
  if (!process.alive) return never();
  signal?.throwIfAborted();
  process.calls += 1;
  const crash = process.crash !== undefined && --process.crash.countdown === 0 ? process.crash : undefined;
  if (crash?.when === 'before') {
    crash.strike();
    return never();
  }
  const fate: CallFate = neverFail.has(call.verb)
    ? { delayMs: 0 }
    : faults.decide(process.node, call.service, call.verb);
  if (fate.fault !== undefined) observer.fault(call, fate.fault, fate);
  if (fate.lateMs !== undefined) clock.schedule(fate.lateMs, () => void takeLate(call, effect, observer));
  if (fate.hangs === true) return hang(process, signal);
  if (fate.delayMs > 0) await pause(clock, fate.delayMs, process, signal ?? process.stop.signal);
  if (fate.fails !== undefined) throw fate.fails;
  if (!process.alive) return never();
  const isPlain = fate.fault === undefined;
  const lie = isPlain ? conditions.lies?.about(call) : undefined;
  const anomaly = isPlain && lie === undefined ? conditions.inconsistency?.decide(call.service, call.verb) : undefined;
  const twisted =
    lie === undefined ? twistEffect(call, effect, anomaly, conditions) : tellLie(call, effect, lie, conditions);
  observer.before(call);
  let result: unknown;
  try {
    result = await twisted();
  } catch (error) {
    observer.after(call, undefined, error);
    if (!process.alive) return never();
    throw error;
  }
  if (lie === undefined) conditions.lies?.remember(call, result);
  observer.after(call, result, undefined);
  if (crash?.when === 'after') crash.strike();
  if (!process.alive) return never();
  if (anomaly?.answerMs !== undefined) await pause(clock, anomaly.answerMs, process, signal ?? process.stop.signal);
  if (fate.lost !== undefined) throw fate.lost;
  observer.answered(call);
  return result;
}

function tellLie(call: Call, effect: () => unknown, lie: Lie, { observer, lies }: Conditions): () => unknown {
  observer.lie(call, lie);
  return lies?.twist(lie, call, effect) ?? effect;
}

/** Applies the anomaly to the effect. */
function twistEffect(
  call: Call,
  effect: () => unknown,
  anomaly: Anomaly | undefined,
  conditions: Conditions,
): () => unknown {
  if (anomaly === undefined) return effect;
  const { observer, clock, replicas } = conditions;
  const { behindMs, againMs } = anomaly;
  if (behindMs !== undefined) {
    const older = replicas?.recall(call.process.node, call.verb, behindMs);
    if (older === undefined) return effect;
    observer.twist(call, anomaly);
    return () => older(...call.args);
  }
  observer.twist(call, anomaly);
  if (againMs === undefined) return effect;
  if (againMs > 0) {
    clock.schedule(againMs, () => void takeLate(call, effect, observer));
    return effect;
  }
  return async () => {
    await effect();
    return effect();
  };
}

/**
 * The caller has given up or died, but AWS does not know this and still applies the call. No
 * program receives a refusal.
 */
async function takeLate(call: Call, effect: () => unknown, observer: CallObserver): Promise<void> {
  observer.late(call);
  try {
    observer.after(call, await effect(), undefined);
  } catch (error) {
    observer.after(call, undefined, error);
  }
}

function hang(process: Process, signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => {
      if (process.alive) reject(signal!.reason as Error);
    };
    if (signal?.aborted === true) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
}

/**
 * Sleeps as fakes/clock.ts does, but a dead process never wakes. It omits those wrappers, because
 * half of all events are sleeps.
 */
function pause(clock: SimulatedClock, ms: number, process: Process, signal: AbortSignal, sleepers = 0): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason as Error);
    process.sleepers += sleepers;
    const stop = () => {
      forget();
      process.sleepers -= sleepers;
      if (process.alive) reject(signal.reason as Error);
    };
    const wake = () => {
      signal.removeEventListener('abort', stop);
      process.sleepers -= sleepers;
      if (process.alive) resolve();
    };
    const forget = clock.schedule(ms, () => whenAwake(process, wake));
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** Programs sleep at most this long between two polls; deadlines and timeouts are longer. */
const shortMs = 2_000;

/** The clock of one machine: its wall time can jump, and its uptime restarts with each boot. */
export function openNodeClock(
  process: Process,
  conditions: Conditions,
  wallOffset: () => number,
  bootedAt: number,
): Host['clock'] {
  const { clock } = conditions;
  return {
    now: () => clock.now() + wallOffset(),
    uptime: () => (process.asleep?.since ?? clock.uptime()) - bootedAt - process.sleptMs,
    sleep(ms, signal, slackMs = 0) {
      if (!process.alive) return never();
      const awakeMs = slackMs === 0 ? ms : ms - conditions.chance.between(0, slackMs);
      return pause(clock, ms <= shortMs ? awakeMs * conditions.slowness : awakeMs, process, signal, 1);
    },
    schedule(ms, act) {
      if (!process.alive) return () => {};
      process.sleepers += 1;
      let isWaiting = true;
      const end = () => {
        if (isWaiting) process.sleepers -= 1;
        isWaiting = false;
        forget();
      };
      const wake = () => {
        if (!isWaiting) return;
        end();
        // A dead process never wakes.
        if (process.alive) act();
      };
      const forget = clock.schedule(ms <= shortMs ? ms * conditions.slowness : ms, () => whenAwake(process, wake));
      return end;
    },
  };
}
