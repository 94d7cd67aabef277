/**
 * Sends events to EventBridge in the background. An event lies on disk until EventBridge has
 * accepted it, so one survives a crash or a reboot, and may arrive twice.
 */

import { ConfigError, messageOf } from '../../core/errors.ts';
import type { Events, Host } from '../../core/host.ts';
import { jitter, withTimeout } from '../../core/retry.ts';
import { recordOf, shaped, text, time, type Is } from '../../core/shape.ts';
import { parseState, paths } from '../../core/state/state.ts';
import { readGroupTag } from '../group-tag.ts';
import { renderDetail } from './render-detail.ts';

/** An event as it lies on disk. */
interface StoredEvent {
  instanceId: string;
  id: string;
  type: string;
  at: number;
  detail: Record<string, unknown>;
}

const anything: Is<unknown> = () => true;

const isStoredEvent = shaped<StoredEvent>({
  instanceId: text,
  id: text,
  type: text,
  at: time,
  detail: recordOf(anything),
});

export interface OutboxSettings {
  cluster: string;
  /** Undefined: nothing is sent, and nothing is written. */
  bus: string | undefined;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/** One call. A person reads the event minutes later, so a lost answer is tried again. */
const callMs = 10_000;

/** A kilobyte takes milliseconds. A disk that needs longer may be what the event tells of. */
const fileMs = 2_000;

/**
 * The pauses before further tries. Together they outlast an outage of some hours. After the last
 * one, the journal alone has the event.
 */
const pausesMs = [60_000, 300_000, 1_800_000, 7_200_000];

/** More wait only when EventBridge is away for hours and the node is in trouble. */
const maxWaiting = 50;

const silent: Events = { tell: () => {}, resume: () => {}, close: async () => {} };

export function openOutbox(host: Omit<Host, 'events'>, settings: OutboxSettings): Events {
  const { cluster, bus, random = Math.random } = settings;
  if (bus === undefined) return silent;
  const { clock, log, identity } = host;
  const stop = new AbortController();
  /** By id: the delivery, and how to wake it from its pause. */
  const waiting = new Map<string, { done: Promise<void>; hurry: AbortController }>();
  let count = 0;
  const start = (event: StoredEvent, isKept: boolean) => {
    if (waiting.has(event.id)) return;
    if (waiting.size >= maxWaiting) return log.error('event not sent: too many wait', { type: event.type });
    const hurry = new AbortController();
    const done = deliver(host, bus, event, { isKept, random, stop: stop.signal, hurry: hurry.signal })
      .catch((error: unknown) => {
        if (!stop.signal.aborted) log.error('event not sent', { type: event.type, error: messageOf(error) });
      })
      .finally(() => waiting.delete(event.id));
    waiting.set(event.id, { done, hurry });
  };
  return {
    tell(event) {
      const at = clock.now();
      const id = `${identity.instanceId}-${at.toString(36)}-${(++count).toString(36)}-${Math.floor(random() * 36 ** 4).toString(36)}`;
      const detail = renderDetail(event, { id, at, cluster, identity });
      start({ instanceId: identity.instanceId, id, type: event.type, at, detail }, false);
    },
    resume: () => void readWaiting(host, stop.signal).then((events) => events.forEach((event) => start(event, true))),
    async close(withinMs) {
      for (const { hurry } of waiting.values()) hurry.abort(new Error('now'));
      const all = Promise.all([...waiting.values()].map(({ done }) => done));
      const never = new AbortController().signal;
      if (waiting.size > 0) await withTimeout(withinMs, async () => all, clock, never).catch(() => {});
      stop.abort(new Error('the process ends'));
    },
  };
}

interface Delivery {
  /** It lies on disk already. */
  isKept: boolean;
  random: () => number;
  stop: AbortSignal;
  /** Aborts when the process is about to end: there is no time for a pause. */
  hurry: AbortSignal;
}

/** Rejects only when stopped. */
async function deliver(host: Omit<Host, 'events'>, bus: string, event: StoredEvent, how: Delivery): Promise<void> {
  const { log, machine, clock } = host;
  const { stop, hurry, isKept, random } = how;
  const file = `${paths.events}/${event.id}.json`;
  const onDisk = async (work: () => Promise<unknown>) => {
    try {
      await withTimeout(fileMs, work, clock, stop);
    } catch (error) {
      stop.throwIfAborted();
      log.warn('event not kept on disk', { type: event.type, error: messageOf(error) });
    }
  };
  if (!isKept) await onDisk(() => machine.writeText(file, `${JSON.stringify(event)}\n`, 0o600));
  for (const pauseMs of [...pausesMs, undefined]) {
    try {
      await send(host, bus, event, stop);
      log.info('event sent', { type: event.type, bus });
      break;
    } catch (error) {
      stop.throwIfAborted();
      log.warn('event not sent', { type: event.type, error: messageOf(error), again: pauseMs !== undefined });
    }
    // The next process tries again.
    if (hurry.aborted) return;
    if (pauseMs !== undefined)
      await clock.sleep(jitter(pauseMs, random), AbortSignal.any([stop, hurry])).catch(() => {});
    stop.throwIfAborted();
  }
  await onDisk(() => machine.remove(file));
}

async function send(
  host: Omit<Host, 'events'>,
  bus: string,
  { type, at, detail }: StoredEvent,
  signal: AbortSignal,
): Promise<void> {
  const group = await readGroupTag(host, signal);
  const named = group === undefined ? detail : { ...detail, group };
  const put = (callSignal: AbortSignal) => host.cloud.putEvent(bus, { type, at, detail: named }, callSignal);
  await withTimeout(callMs, put, host.clock, signal);
}

/** The events of this instance that an earlier process could not send. Removes all other files. */
async function readWaiting(
  { machine, identity, log }: Omit<Host, 'events'>,
  stop: AbortSignal,
): Promise<StoredEvent[]> {
  const found: StoredEvent[] = [];
  try {
    for (const name of await machine.list(paths.events)) {
      if (stop.aborted) return [];
      const file = `${paths.events}/${name}`;
      const event = await readEvent(machine, file, identity.instanceId);
      if (name === `${event?.id}.json` && event !== undefined) found.push(event);
      else await machine.remove(file);
    }
  } catch (error) {
    log.warn('events on disk not read', { error: messageOf(error) });
  }
  return found;
}

/** Undefined for a file of another form, which must not keep the others from being sent. */
async function readEvent(machine: Host['machine'], file: string, instanceId: string): Promise<StoredEvent | undefined> {
  try {
    return parseState<StoredEvent>(await machine.readText(file), instanceId, isStoredEvent);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return undefined;
  }
}
