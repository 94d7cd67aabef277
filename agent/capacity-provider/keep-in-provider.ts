/**
 * Notices that ECS registered this node outside its group's capacity provider, and registers it
 * anew while it has no task: once in the life of the instance.
 */

import { messageOf } from '../../core/errors.ts';
import { openGrowingPause } from '../../core/interval.ts';
import type { StatusBook } from '../status.ts';
import { findOutside, openSearch, outsideLastsMs, type Outside, type Subject } from './outside.ts';
import { playStage } from './register-anew.ts';
import { readRegistration, writeRegistration, type Registration } from './registration.ts';

/** A stack makes its capacity provider about a minute after its first nodes. */
const lookPauses = { firstMs: 30_000, longestMs: 3_600_000, factor: 4 };

/** A node outside waits until it has no task. */
const outsidePauseMs = 300_000;

/** The pauses after a failed stage. */
const retryPauses = { firstMs: 5_000, longestMs: 300_000 };

export interface ProviderKeeper {
  /** Finishes a new registration that a crash, a reboot or a departure has interrupted. */
  resume(signal: AbortSignal): Promise<void>;
  /** For a node in service: looks, less and less often, and registers anew. */
  look(signal: AbortSignal): Promise<void>;
}

export interface KeeperOptions extends Subject {
  book: StatusBook;
  /** A departure under way has set DRAINING. */
  isDrained(): boolean;
}

/** No verb of it throws, except when its signal aborts. */
export function openProviderKeeper(options: KeeperOptions): ProviderKeeper {
  const { clock, log } = options.host;
  const player = openPlayer(options);
  const look = openLook(options, player);
  const retryPause = openGrowingPause(clock, retryPauses);
  let lookPause = openGrowingPause(clock, lookPauses);
  let earliestLookAt = clock.uptime() + Math.random() * lookPauses.firstMs;
  let told = '';
  return {
    async resume(signal) {
      if (!retryPause.isOver()) return;
      try {
        await player.finish(signal);
        retryPause.reset();
      } catch (error) {
        signal.throwIfAborted();
        log.warn('new registration not finished', { error: messageOf(error) });
        retryPause.begin();
      }
    },
    async look(signal) {
      if (clock.uptime() < earliestLookAt || !lookPause.isOver()) return;
      lookPause.begin();
      try {
        const found = await look(signal);
        if (found?.isLasting === true) lookPause.reset(outsidePauseMs);
        if (found?.isLasting === false) {
          // The pause after a late look lasts up to an hour, and the second look must come soon.
          lookPause = openGrowingPause(clock, lookPauses);
          earliestLookAt = clock.uptime() + outsideLastsMs;
        }
      } catch (error) {
        signal.throwIfAborted();
        const why = messageOf(error);
        if (why !== told) log.warn('not known whether the node is in its capacity provider', { error: why });
        told = why;
      }
    },
  };
}

interface Player {
  /** The one new registration of this instance, in whatever stage it is. */
  read(): Promise<Registration | undefined>;
  begin(registration: Registration, signal: AbortSignal): Promise<void>;
  finish(signal: AbortSignal): Promise<void>;
}

function openPlayer(options: KeeperOptions): Player {
  const { host, knownFacts, idle, isDrained } = options;
  const mayActivate = () => idle() !== undefined;
  let known: { registration: Registration | undefined } | undefined;
  const read = async () => (known ??= { registration: await readRegistration(host) }).registration;
  const play = async (begun: Registration, signal: AbortSignal) => {
    let registration = begun;
    knownFacts.registersAnew = true;
    try {
      while (registration.stage !== 'over') {
        tell(options, registration.provider, `registers anew: ${registration.stage}`);
        registration = await playStage(
          { host, registration, knownFacts, mayActivate, isDrained },
          earlyOr(registration, signal),
        );
        known = { registration };
      }
      tell(options, registration.provider, registration.detail ?? 'over');
    } finally {
      knownFacts.registersAnew = false;
    }
  };
  /** While the node can still go back, a departure that only drains it interrupts. */
  const earlyOr = (registration: Registration, signal: AbortSignal) => {
    const idleSignal = idle();
    return isEarly(registration) && idleSignal !== undefined ? AbortSignal.any([signal, idleSignal]) : signal;
  };
  return {
    read,
    async begin(registration, signal) {
      await writeRegistration(host, registration);
      known = { registration };
      await play(registration, signal);
    },
    async finish(signal) {
      const registration = await read();
      if (registration === undefined || registration.stage === 'over') return;
      const isOvertaken = isEarly(registration) && idle() === undefined;
      await play(
        isOvertaken ? { ...registration, stage: 'restoring', detail: 'the node drains' } : registration,
        signal,
      );
    },
  };
}

function isEarly({ stage }: Registration): boolean {
  return stage === 'draining' || stage === 'stopping';
}

/** Undefined where the node is not outside, or has registered anew before. */
function openLook(options: KeeperOptions, player: Player): (signal: AbortSignal) => Promise<Outside | undefined> {
  const { host, config } = options;
  const search = openSearch(host.clock);
  return async (signal) => {
    if (search.left === 0) return undefined;
    // Its one new registration is over, and `resume` finishes one that is not.
    if ((await player.read()) !== undefined) {
      search.left = 0;
      return undefined;
    }
    const found = await findOutside(options, search, signal);
    if (found === undefined) {
      tell(options, undefined, '');
      return undefined;
    }
    const { arn, provider, obstacle } = found;
    tell(options, provider, `the node is outside: ${obstacle ?? 'it registers anew'}`);
    if (obstacle !== undefined) return found;
    host.log.warn('ECS registered this node outside its capacity provider: it registers anew', { provider });
    const { instanceId } = host.identity;
    const startedAt = host.clock.now();
    const begun = { instanceId, cluster: config.cluster, arn, provider, startedAt, stage: 'draining' } as const;
    await player.begin(begun, signal);
    return found;
  };
}

/** Shows the state in `ecs-node status`. */
function tell({ book, host }: KeeperOptions, provider: string | undefined, detail: string): void {
  book.change((status) => {
    const { registration: before, ...rest } = status;
    if (provider === undefined) return before === undefined ? status : rest;
    if (before?.provider === provider && before.detail === detail) return status;
    return { ...rest, registration: { provider, detail, since: host.clock.now() } };
  });
}
