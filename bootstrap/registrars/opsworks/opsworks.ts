/**
 * OpsWorks Stacks: replaces `aws opsworks register --local --use-instance-profile` and
 * `assign-instance`.
 */

import type { Config } from '../../../config/config.ts';
import { Unfit } from '../../../core/errors.ts';
import type { Host, Registration } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import type { Registered } from '../../../core/state/state.ts';
import type { StepOutcome, BootstrapContext } from '../../step.ts';
import { tagName } from '../../steps/name-tag.ts';
import { callWithRetry, waitAWhile, waitUntil } from '../../poll.ts';
import { openFailureCheck, openRecordReader, openSureReader, pollMs, rememberRecord } from './record-reader.ts';
import { lethalLastsMs, openUnlessMoved, refusalLastsMs } from './unless-moved.ts';
import { install } from './installer.ts';
import { deregisterFromOpsWorks } from './deregister.ts';
import { opsworksTargetOf, prepareOpsWorksTarget, suggestHostname } from './target.ts';
import type { Registrar } from '../registrar.ts';

/**
 * The OpsWorks agent pings every minute. After a reboot it needs a few minutes to connect again.
 */
const reconnectMs = 180_000;

export const opsworks: Registrar = {
  prepare: prepareOpsWorksTarget,
  suggestHostname,
  isElsewhere: ({ stackId }, context) => stackId !== undefined && stackId !== context.registrarTarget?.stackId,
  register,
  assign,
  deregister: deregisterFromOpsWorks,
};

async function register(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const before = context.hostname;
  let record = await findUsable(host, config, context, signal);
  const outcome: StepOutcome = record === undefined ? 'changed' : 'unchanged';
  let givenUpAt = Infinity;
  for (let round = 1; record === undefined; round++) {
    // The second round follows when the record of a former installation had to be removed first.
    if (round === 2) givenUpAt = host.clock.uptime();
    if (round > 2 && host.clock.uptime() - givenUpAt >= lethalLastsMs(config)) {
      throw new Unfit('opsworks-record', 'OpsWorks keeps giving up the record of this node; deregister it by hand');
    }
    const own = await install(host, config, context, signal);
    record = await waitUntilUsable(
      host,
      config,
      context,
      own ?? (await findNew(host, config, context, signal)),
      signal,
    );
  }
  if (!isRegistered(record))
    await waitUntil(registrationPoll(host, config, context, record.id), host, config, context, signal);
  if (context.hostname !== before) await tagName(host, config, context, signal);
  return outcome;
}

/**
 * This instance's record, if an earlier run or boot left a usable one. Reads it by id where the id
 * is known; lists the stack only after an installer was started and its end was not seen.
 */
async function findUsable(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  const known = context.registered;
  if (known?.registrar !== 'opsworks') return undefined;
  const { stackId } = opsworksTargetOf(context);
  const { id } = known;
  // A listing may lag behind the installer, and another registration would leave two records. To
  // wait costs less than a second listing.
  if (id === undefined) await host.clock.sleep(refusalLastsMs, signal);
  const read =
    id === undefined
      ? (callSignal: AbortSignal) => host.cloud.findRegistration(stackId, callSignal)
      : openSureReader(host.clock, pollMs, (callSignal) => host.cloud.readRegistration(id, callSignal));
  const record = await callWithRetry(host, context, signal, read);
  return record === undefined ? undefined : waitUntilUsable(host, config, context, record, signal);
}

/**
 * Stores a record and waits until its present transition ends. Undefined when the record is gone or
 * had to be removed.
 */
async function waitUntilUsable(
  host: Host,
  config: Config,
  context: BootstrapContext,
  record: Registration,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  await remember(host, context, record);
  if (!leaving.has(record.status) && record.status !== 'connection_lost') return record;
  const since = host.clock.uptime();
  const isGone = openLasting(host.clock, refusalLastsMs);
  const wait = {
    what: `OpsWorks record ${record.id}`,
    remedy: 'deregister the instance in OpsWorks by hand',
    everyMs: pollMs,
    async read(callSignal: AbortSignal): Promise<{ done: Registration | 'gone' | 'lost' } | { now: string }> {
      const now = await host.cloud.readRegistration(record.id, callSignal);
      if (isGone(now === undefined)) return { done: 'gone' };
      if (now === undefined) return { now: notFound };
      if (leaving.has(now.status)) return { now: now.status };
      if (now.status !== 'connection_lost') return { done: now };
      return host.clock.uptime() - since < reconnectMs ? { now: now.status } : { done: 'lost' };
    },
  };
  const outcome = await waitUntil(wait, host, config, context, signal);
  if (typeof outcome !== 'string') return outcome;
  if (outcome === 'lost') {
    // The agent does not reconnect: the record belongs to an installation that is gone.
    host.log.warn('giving up a lost OpsWorks record', { id: record.id });
    await deregisterFromOpsWorks(host, { registrar: 'opsworks', id: record.id }, signal);
  }
  delete context.registered;
  await context.save();
  return undefined;
}

/** Records that are being removed. The node can only wait for their end. */
const leaving = new Set(['deregistering', 'unassigning', 'shutting_down', 'stopping', 'terminating']);

/**
 * The record that the installer made. The whole stack is listed only here; from then on its id is
 * known.
 */
async function findNew(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<Registration> {
  const { stackId } = opsworksTargetOf(context);
  const wait = {
    what: `OpsWorks record of ${host.identity.instanceId}`,
    remedy: "see the OpsWorks agent's log in /var/log/aws/opsworks",
    // Each look lists the whole stack, so it is rare.
    everyMs: 30_000,
    async read(callSignal: AbortSignal) {
      const record = await host.cloud.findRegistration(stackId, callSignal);
      return record === undefined ? { now: 'absent' } : { done: record };
    },
  };
  // Listings lag behind. A wait of 2 s costs less than a second listing.
  await host.clock.sleep(listingLagMs, signal);
  return waitUntil(wait, host, config, context, signal);
}

const listingLagMs = 2_000;

async function remember(host: Host, context: BootstrapContext, record: Registration): Promise<void> {
  rememberRecord(host, context, record);
  context.registered = { registrar: 'opsworks', id: record.id, ...opsworksTargetOf(context) };
  if (record.hostname !== '') context.hostname = record.hostname;
  await context.save();
  if (record.older !== undefined) {
    const ids = record.older.join(' ');
    host.log.warn('OpsWorks has older records of this node', { ids });
    await host.machine.say(`ecs-node: OpsWorks has older records of this node; deregister them by hand: ${ids}`);
  }
  host.log.info('OpsWorks knows this node', { id: record.id, hostname: record.hostname, status: record.status });
}

const notFound = 'not found';

/** A record in a layer has been registered, whatever its status is now. */
function isRegistered({ status, layerIds }: Registration): boolean {
  return status === 'registered' || layerIds.length > 0;
}

function registrationPoll(host: Host, config: Config, context: BootstrapContext, id: string) {
  const read = openRecordReader(host, context, id, lethalLastsMs(config));
  const mustNotFail = openFailureCheck(host, id, lethalLastsMs(config));
  return {
    what: `OpsWorks registration ${id}`,
    remedy: "see the OpsWorks agent's log in /var/log/aws/opsworks",
    everyMs: pollMs,
    async read(signal: AbortSignal) {
      const record = await read(signal);
      if (record === undefined) return { now: notFound };
      if (isRegistered(record)) return { done: record };
      mustNotFail(record);
      return { now: record.status };
    },
  };
}

async function assign(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { layerId } = opsworksTargetOf(context);
  const id = idOf(context.registered);
  let outcome: StepOutcome = 'unchanged';
  const read = openRecordReader(host, context, id, lethalLastsMs(config));
  const unlessMoved = openUnlessMoved(host, lethalLastsMs(config));
  // Leaving a layer runs its shutdown recipes on a node that serves.
  const isElsewhere = openLasting(host.clock, lethalLastsMs(config));
  // If OpsWorks throttled the call that followed, the record need not be read again.
  let known: Registration | undefined;
  const wait = {
    what: `OpsWorks assignment of ${id}`,
    remedy: "see the layer's setup log in OpsWorks",
    everyMs: pollMs,
    async read(callSignal: AbortSignal) {
      const record = known ?? (await read(callSignal));
      if (record === undefined) return { now: notFound };
      const { status, layerIds } = record;
      const isSettled = !leaving.has(status);
      if (isSettled && layerIds.includes(layerId)) return { done: true };
      outcome = 'changed';
      known = record;
      const others = isSettled && layerIds.length > 0 && layerIds.join(' ');
      if (isElsewhere(others)) {
        host.log.info('leaving another layer', { layerIds: layerIds.join(' ') });
        await unlessMoved('unassign', record, () => host.cloud.unassign(id, callSignal));
      } else if (status === 'registered' && others === false) {
        if (await unlessMoved('assign', record, () => host.cloud.assign(id, layerId, callSignal)))
          return { done: true };
      }
      known = undefined;
      return { now: others === false ? status : `${status} in ${others}` };
    },
  };
  await waitUntil(wait, host, config, context, signal);
  if (config.opsworks.waitForOnline) await waitOnline(host, config, context, id, signal);
  return outcome;
}

/** Time left for the steps that follow. */
const restMs = 60_000;

async function waitOnline(
  host: Host,
  config: Config,
  context: BootstrapContext,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const isRequired = config.registration.required === true;
  // Where the node goes on without its recipes, it need not wait longer for that.
  const lastsMs = isRequired ? lethalLastsMs(config) : refusalLastsMs;
  const read = openRecordReader(host, context, id, lastsMs);
  const mustNotFail = openFailureCheck(host, id, lastsMs);
  const wait = {
    what: `OpsWorks instance ${id} to be online`,
    remedy: "see the layer's setup log in OpsWorks",
    everyMs: pollMs,
    async read(callSignal: AbortSignal) {
      const record = await read(callSignal);
      if (record?.status === 'online') return { done: true };
      if (record === undefined) return { now: notFound };
      mustNotFail(record);
      return { now: record.status };
    },
  };
  if (isRequired) await waitUntil(wait, host, config, context, signal);
  else await waitAWhile(wait, context.leftMs() - restMs, host, context, signal);
}

function idOf(registered: Registered | undefined): string {
  if (registered?.id === undefined) throw new Error('register did not save the id of the record');
  return registered.id;
}
