/**
 * Registers the node anew: ECS puts a container instance into its group's capacity provider only
 * when it registers. The only file in which a node deregisters its own container instance.
 */

import { Unavailable, messageOf } from '../../core/errors.ts';
import type { ContainerInstance, Host } from '../../core/host.ts';
import { openLasting, singleErrorMs } from '../../core/lasting.ts';
import { paths } from '../../core/state/state.ts';
import { callOnce, callWithRetry } from '../calls.ts';
import { readLocalAgent, resumePlacement, stopPlacement } from '../container-instance.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import type { KnownFacts } from '../known-facts.ts';
import { writeRegistration, type Registration, type Stage } from './registration.ts';

/** The ECS agent keeps its container instance in the first file; old versions kept the second. */
export const checkpoint = ['agent.db', 'ecs_agent_data.json'];

const unit = 'ecs.service';

/** Time for systemd, or ECS under throttling. Then the stage is undone or tried again. */
const callsMs = 60_000;

/** systemd kills a unit after 90 s (DefaultTimeoutStopSec). */
const stopMs = 120_000;

/** The ECS agent registers within seconds. After this, its watcher looks after it. */
const registerMs = 600_000;

const pollMs = 2_000;
const askEcsMs = 30_000;

export interface StageContext {
  host: Host;
  registration: Registration;
  knownFacts: KnownFacts;
  /** False: a departure decides whether ECS may place tasks here. */
  mayActivate(): boolean;
  /** A departure has set DRAINING. Before that, its load balancers may still need their time. */
  isDrained(): boolean;
}

interface Next {
  stage: Stage;
  detail?: string;
}

type Play = (context: StageContext, signal: AbortSignal) => Promise<Next>;

const plays: Record<Exclude<Stage, 'over'>, Play> = {
  async draining({ host, registration }, signal) {
    await proveWritable(host);
    return (await drainWithoutTasks(host, registration, signal)) ? { stage: 'stopping' } : placed;
  },
  async stopping({ host }, signal) {
    await stopEcsAgent(host, signal);
    return { stage: 'deregistering' };
  },
  async deregistering({ host, registration: { cluster, arn } }, signal) {
    // Only an answer tells whether a lost call has taken effect, so this waits for one.
    const known = await readRecord(host, cluster, signal);
    const isListed = known !== undefined && [known.arn, ...known.others].includes(arn);
    // A list without the old record may be stale, so ECS is asked for this record alone.
    if (isListed || (await isOurs(host, { cluster, arn }, signal))) {
      await stopEcsAgent(host, signal);
      // An older ACTIVE call arrived late, or a person set ACTIVE: ECS may have placed tasks since.
      const isActive = known === undefined || (known.arn === arn && known.status === 'ACTIVE');
      if (isActive && !(await drainWithoutTasks(host, { cluster, arn }, signal))) return placed;
      await callWithRetry(host, Infinity, signal, (callSignal) =>
        host.cloud.deregisterContainerInstance(cluster, arn, callSignal),
      );
    }
    return { stage: 'forgetting' };
  },
  async forgetting({ host, registration: { cluster, arn } }, signal) {
    if (!(await isStopped(host, signal))) {
      // The machine booted meanwhile. The ECS agent may have registered already, and run tasks.
      if (await hasRegistered(host, { cluster, arn }, signal)) return { stage: 'starting' };
      await stopEcsAgent(host, signal);
    }
    for (const file of checkpoint) await host.machine.remove(`${paths.ecsData}/${file}`);
    return { stage: 'starting' };
  },
  async starting(context, signal) {
    const { host, registration, knownFacts, isDrained } = context;
    await startEcsAgent(host, signal);
    const known = await waitUntilRegistered(host, registration, signal);
    if (known === undefined) return { stage: 'over', detail: 'the ECS agent has not registered again' };
    // A departure that drained the node has drained the old record.
    const { cluster } = registration;
    if (isDrained()) await stopPlacement(host, { cluster, arn: known.arn }, callsMs, signal);
    knownFacts.lastSeen = { at: host.clock.uptime(), instance: known };
    const { capacityProvider: inside } = known;
    const detail = inside === undefined ? 'ECS still has it outside' : `now in ${inside}`;
    host.events.tell({ type: 'registered-anew', capacityProvider: registration.provider, reason: detail });
    return { stage: 'over', detail };
  },
  async restoring({ host, registration: { cluster, arn, detail }, mayActivate }, signal) {
    await startEcsAgent(host, signal);
    if (mayActivate()) {
      await resumePlacement(host, { cluster, arn }, callsMs, signal);
      // A call that set DRAINING may have had no answer. ECS may carry it out late.
      await host.clock.sleep(singleErrorMs, signal);
      const read = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, arn, callSignal);
      const isDraining = (await callWithRetry(host, callsMs, signal, read))?.status === 'DRAINING';
      if (isDraining && mayActivate()) await resumePlacement(host, { cluster, arn }, callsMs, signal);
    }
    return { stage: 'over', detail: `given up: ${detail ?? 'unknown reason'}` };
  },
};

const placed: Next = { stage: 'restoring', detail: 'ECS placed a task just before the node drained' };

/** False: ECS had placed a task before. */
async function drainWithoutTasks(
  host: Host,
  { cluster, arn }: Pick<Registration, 'cluster' | 'arn'>,
  signal: AbortSignal,
): Promise<boolean> {
  await stopPlacement(host, { cluster, arn }, callsMs, signal);
  const read = (callSignal: AbortSignal) => host.cloud.readTasks(cluster, arn, callSignal);
  return (await callWithRetry(host, callsMs, signal, read)).length === 0;
}

/** After a failure in one of these stages, the node puts back what it has changed. */
const revocable: readonly Stage[] = ['draining', 'stopping', 'deregistering'];

/** Plays the present stage. Throws when it must be played again. */
export async function playStage(context: StageContext, signal: AbortSignal): Promise<Registration> {
  const { host, registration } = context;
  const { stage } = registration;
  if (stage === 'over') return registration;
  const next = await plays[stage](context, signal).catch((error: unknown): Next => {
    signal.throwIfAborted();
    if (!revocable.includes(stage)) throw error;
    return { stage: 'restoring', detail: messageOf(error) };
  });
  const written = { ...registration, ...next };
  await writeRegistration(host, written);
  host.log.info('registers anew', { stage: next.stage, ...(next.detail !== undefined && { detail: next.detail }) });
  return written;
}

/** Comes first: the unit's sandbox may not let this process remove the checkpoint. */
async function proveWritable({ machine }: Host): Promise<void> {
  const probe = `${paths.ecsData}/ecs-node.probe`;
  await machine.writeText(probe, '');
  await machine.remove(probe);
}

function readUnit(host: Host, signal: AbortSignal): Promise<string> {
  return callWithRetry(host, callsMs, signal, (callSignal) => host.machine.readUnitState(unit, callSignal));
}

async function isStopped(host: Host, signal: AbortSignal): Promise<boolean> {
  return /^(inactive|failed)$/.test(await readUnit(host, signal));
}

async function stopEcsAgent(host: Host, signal: AbortSignal): Promise<void> {
  await callWithRetry(host, callsMs, signal, (callSignal) => host.machine.stopUnit(unit, callSignal));
  for (const end = host.clock.uptime() + stopMs; !(await isStopped(host, signal));) {
    if (host.clock.uptime() >= end) throw new Error(`${unit} does not stop`);
    await host.clock.sleep(pollMs, signal);
  }
}

async function startEcsAgent(host: Host, signal: AbortSignal): Promise<void> {
  if (/^(active|activating|reloading)$/.test(await readUnit(host, signal))) return;
  await callWithRetry(host, callsMs, signal, (callSignal) => host.machine.restartUnit(unit, callSignal));
}

function readRecord(host: Host, cluster: string, signal: AbortSignal): Promise<ContainerInstance | undefined> {
  return callWithRetry(host, Infinity, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, undefined, callSignal),
  );
}

function isOurs(host: Host, { cluster, arn }: ContainerInstanceRef, signal: AbortSignal): Promise<boolean> {
  return callWithRetry(host, Infinity, signal, (callSignal) =>
    host.cloud.ownsContainerInstance(cluster, arn, callSignal),
  );
}

/** An ECS agent registers within half a minute of a boot, and ECS's list may be a minute behind. */
const notRegisteredMs = 90_000;

/**
 * Whether the ECS agent has a record after the old one. False only where ECS repeats that it lists
 * none and the introspection port names none. Throws while the port names a record that ECS does
 * not say is ours: the list is not yet true, or another process listens on the port.
 */
async function hasRegistered(
  host: Host,
  { cluster, arn: old }: ContainerInstanceRef,
  signal: AbortSignal,
): Promise<boolean> {
  const lasts = openLasting(host.clock, notRegisteredMs);
  for (;;) {
    const arn = (await readLocalAgent(host, signal))?.containerInstanceArn;
    if (arn !== undefined && arn !== old) {
      if (await isOurs(host, { cluster, arn }, signal)) return true;
      throw new Unavailable(`the introspection port names ${arn}, and ECS does not say that it is ours`);
    }
    const known = await readRecord(host, cluster, signal);
    if (known !== undefined && known.arn !== old) return true;
    if (lasts(true)) return false;
    await host.clock.sleep(pollMs, signal);
  }
}

/** Asks ECS when the ECS agent names another record, and now and then. Undefined: not in time. */
async function waitUntilRegistered(
  host: Host,
  { cluster, arn }: Registration,
  signal: AbortSignal,
): Promise<ContainerInstance | undefined> {
  const { clock } = host;
  let askAt = clock.uptime() + askEcsMs;
  for (const end = clock.uptime() + registerMs; clock.uptime() < end;) {
    const local = (await readLocalAgent(host, signal))?.containerInstanceArn;
    if ((local !== undefined && local !== arn) || clock.uptime() >= askAt) {
      askAt = clock.uptime() + askEcsMs;
      const read = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, local, callSignal);
      const known = await callOnce(host, signal, read).catch(() => undefined);
      signal.throwIfAborted();
      if (known !== undefined && known.arn !== arn && known.agentConnected) return known;
    }
    await clock.sleep(pollMs, signal);
  }
  return undefined;
}
