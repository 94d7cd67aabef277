/** OpsWorks Stacks: what `aws opsworks register --local --use-instance-profile` and `assign-instance` did. */

import type { Config } from '../../core/config.ts';
import { Unfit } from '../../core/errors.ts';
import type { Host, Registration } from '../../core/host.ts';
import type { Registered } from '../../core/state.ts';
import type { Outcome, Trail } from '../step.ts';
import { tagName } from '../steps/name-tag.ts';
import { ask, waitAWhile, waitUntil } from '../waiting.ts';
import { openDeed, sureMs } from './opsworks-deed.ts';
import { install } from './opsworks-installer.ts';
import { leaveOpsWorks } from './opsworks-leave.ts';
import { placeOf } from './opsworks-place.ts';
import type { Registrar } from './registrar.ts';

/** Slow enough for a fleet that boots together, fast against the minutes that OpsWorks takes. */
const pollMs = 5_000;

/** The OpsWorks agent pings every minute; after a reboot it needs a few to be heard again. */
const reconnectMs = 180_000;

export const opsworks: Registrar = { register, assign, leave: leaveOpsWorks };

async function register(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome> {
  const before = trail.hostname;
  let record = await findUsable(host, config, trail, signal);
  const outcome: Outcome = record === undefined ? 'changed' : 'unchanged';
  for (let round = 1; record === undefined; round++) {
    // The second round is for a record of a former installation that had to be given up first.
    if (round > 2) {
      throw new Unfit('opsworks-record', 'OpsWorks keeps giving up the record of this node; deregister it by hand');
    }
    const own = await install(host, config, trail, signal);
    record = await settle(host, config, trail, own ?? (await findNew(host, config, trail, signal)), signal);
  }
  if (!isRegistered(record)) await waitUntil(registered(host, trail, record.id), host, config, trail, signal);
  if (trail.hostname !== before) await tagName(host, config, trail, signal);
  return outcome;
}

/**
 * This instance's record, where an earlier run or boot left a usable one. Asks by id where that is known, and lists the
 * stack only when an installer was started whose end nobody saw.
 */
async function findUsable(
  host: Host,
  config: Config,
  trail: Trail,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  const known = trail.registered;
  if (known?.registrar !== 'opsworks') return undefined;
  const { stackId } = placeOf(trail);
  const { id } = known;
  const record = await ask(host, trail, signal, (inner) =>
    id === undefined ? host.cloud.findRegistration(stackId, inner) : host.cloud.readRegistration(id, inner),
  );
  return record === undefined ? undefined : settle(host, config, trail, record, signal);
}

/** Remembers a record and waits for what is about to pass; undefined when it is gone, or had to be given up. */
async function settle(
  host: Host,
  config: Config,
  trail: Trail,
  record: Registration,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  await remember(host, trail, record);
  if (!leaving.has(record.status) && record.status !== 'connection_lost') return record;
  const since = host.clock.uptime();
  const wait = {
    what: `OpsWorks record ${record.id}`,
    remedy: 'deregister the instance in OpsWorks by hand',
    everyMs: pollMs,
    async look(inner: AbortSignal): Promise<{ done: Registration | 'gone' | 'lost' } | { now: string }> {
      const now = await host.cloud.readRegistration(record.id, inner);
      if (now === undefined) return { done: 'gone' };
      if (leaving.has(now.status)) return { now: now.status };
      if (now.status !== 'connection_lost') return { done: now };
      return host.clock.uptime() - since < reconnectMs ? { now: now.status } : { done: 'lost' };
    },
  };
  const settled = await waitUntil(wait, host, config, trail, signal);
  if (typeof settled !== 'string') return settled;
  if (settled === 'lost') {
    // Its agent does not come back: the record belongs to an installation that is gone.
    host.log.warn('giving up a lost OpsWorks record', { id: record.id });
    await leaveOpsWorks(host, { registrar: 'opsworks', id: record.id }, signal);
  }
  delete trail.registered;
  await trail.keep();
  return undefined;
}

/** On their way out: nothing can be done with such a record but to wait for its end. */
const leaving = new Set(['deregistering', 'unassigning', 'shutting_down', 'stopping', 'terminating']);

/** A record that got stuck for good. */
const failed = new Set(['setup_failed', 'start_failed', 'stop_failed', 'stopped', 'terminated']);

/** The record that the installer made. The one time that the whole stack is listed: its id is known from then on. */
async function findNew(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Registration> {
  const { stackId } = placeOf(trail);
  const wait = {
    what: `OpsWorks record of ${host.identity.instanceId}`,
    remedy: "see the OpsWorks agent's log in /var/log/aws/opsworks",
    // Each look costs O(stack), so a late record is looked for seldom.
    everyMs: 30_000,
    async look(inner: AbortSignal) {
      const record = await host.cloud.findRegistration(stackId, inner);
      return record === undefined ? { now: 'absent' } : { done: record };
    },
  };
  // Lists lag behind: these seconds cost less than a second listing.
  await host.clock.sleep(listingLagMs, signal);
  return waitUntil(wait, host, config, trail, signal);
}

const listingLagMs = 2_000;

async function remember(host: Host, trail: Trail, record: Registration): Promise<void> {
  hear(host, trail, record);
  trail.registered = { registrar: 'opsworks', id: record.id, ...placeOf(trail) };
  if (record.hostname !== '') trail.hostname = record.hostname;
  await trail.keep();
  host.log.info('OpsWorks knows this node', { id: record.id, hostname: record.hostname, status: record.status });
}

/** Or already beyond that. */
function isRegistered({ status, layerIds }: Registration): boolean {
  return status === 'registered' || layerIds.length > 0;
}

function registered(host: Host, trail: Trail, id: string) {
  const read = openRecord(host, trail, id);
  return {
    what: `OpsWorks registration ${id}`,
    remedy: "see the OpsWorks agent's log in /var/log/aws/opsworks",
    everyMs: pollMs,
    async look(signal: AbortSignal) {
      const record = await read(signal);
      if (record === undefined) return { now: notFound };
      if (isRegistered(record)) return { done: record };
      if (failed.has(record.status)) throw new Unfit('opsworks-record', `OpsWorks record ${id} is ${record.status}`);
      return { now: record.status };
    },
  };
}

async function assign(host: Host, config: Config, trail: Trail, signal: AbortSignal): Promise<Outcome> {
  const { layerId } = placeOf(trail);
  const id = idOf(trail.registered);
  let outcome: Outcome = 'unchanged';
  const read = openRecord(host, trail, id);
  const unlessMoved = openDeed(host);
  // When OpsWorks was too busy for the next call, it need not repeat what it said before.
  let known: Registration | undefined;
  const wait = {
    what: `OpsWorks assignment of ${id}`,
    remedy: "see the layer's setup log in OpsWorks",
    everyMs: pollMs,
    async look(inner: AbortSignal) {
      const record = known ?? (await read(inner));
      if (record === undefined) return { now: notFound };
      const { status, layerIds } = record;
      if (layerIds.includes(layerId)) return { done: true };
      outcome = 'changed';
      known = record;
      if (layerIds.length > 0 && !leaving.has(status)) {
        host.log.info('leaving another layer', { layerIds: layerIds.join(' ') });
        await unlessMoved('unassign', record, () => host.cloud.unassign(id, inner));
      } else if (status === 'registered') {
        if (await unlessMoved('assign', record, () => host.cloud.assign(id, layerId, inner))) return { done: true };
      }
      known = undefined;
      return { now: status };
    },
  };
  await waitUntil(wait, host, config, trail, signal);
  if (config.opsworks.waitForOnline) await waitOnline(host, config, trail, id, signal);
  return outcome;
}

/** For the steps that follow. */
const restMs = 60_000;

async function waitOnline(host: Host, config: Config, trail: Trail, id: string, signal: AbortSignal): Promise<void> {
  const read = openRecord(host, trail, id);
  const wait = {
    what: `OpsWorks instance ${id} to be online`,
    remedy: "see the layer's setup log in OpsWorks",
    everyMs: pollMs,
    async look(inner: AbortSignal) {
      const record = await read(inner);
      if (record?.status === 'online') return { done: true };
      if (record === undefined || !failed.has(record.status)) return { now: record?.status ?? notFound };
      const why = `OpsWorks instance ${id} is ${record.status}: see its setup log in OpsWorks for the recipe that failed`;
      throw new Unfit('opsworks-record', why);
    },
  };
  if (config.registration.required === true) await waitUntil(wait, host, config, trail, signal);
  else await waitAWhile(wait, trail.leftMs() - restMs, host, trail, signal);
}

const notFound = 'not found';

function hear({ clock }: Host, trail: Trail, record: Registration): void {
  trail.heard = { at: clock.uptime(), record };
}

/** What was heard less than a poll ago is taken for the first answer: OpsWorks answers about once a second, all nodes together. */
function takeHeard({ clock }: Host, trail: Trail, id: string): Registration | undefined {
  const { heard } = trail;
  delete trail.heard;
  return heard?.record.id === id && clock.uptime() - heard.at < pollMs ? heard.record : undefined;
}

/** A record that was listed a moment ago may not be known everywhere yet: throws only when it stays away. */
function openRecord(host: Host, trail: Trail, id: string): (signal: AbortSignal) => Promise<Registration | undefined> {
  const { cloud, clock } = host;
  let missingSince: number | undefined;
  let first = takeHeard(host, trail, id);
  return async (signal) => {
    const record = first ?? (await cloud.readRegistration(id, signal));
    first = undefined;
    if (record !== undefined) {
      missingSince = undefined;
      hear(host, trail, record);
    } else missingSince ??= clock.uptime();
    if (missingSince !== undefined && clock.uptime() - missingSince >= sureMs)
      throw new Unfit('opsworks-record', `OpsWorks record ${id} is gone: somebody deregistered this node`);
    return record;
  };
}

function idOf(registered: Registered | undefined): string {
  if (registered?.id === undefined) throw new Error('register did not keep its id');
  return registered.id;
}
