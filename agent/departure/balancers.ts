/**
 * Deregisters the node from its load balancers before its tasks stop, so that no request meets a
 * closed port.
 */

import { Refused, messageOf } from '../../core/errors.ts';
import { openLasting } from '../../core/lasting.ts';
import { poll } from '../../core/poll.ts';
import { propagationMs } from '../../core/retry.ts';
import { callWithRetry, callOnce } from '../calls.ts';
import { mustStillStand } from './confirm.ts';
import type { Departure } from './departure.ts';
import { isUrgent } from './order.ts';

interface Balancer {
  name: string;
  deregister(signal: AbortSignal): Promise<void>;
  isDraining(signal: AbortSignal): Promise<boolean>;
  /** It deregisters what a list shows, and one list may lack a target of this node. */
  needsList?: true;
}

/**
 * Deregistering is one call. A load balancer that does not answer in this time must rely on its
 * health checks.
 */
const callsMs = 60_000;

/** Connections drain for minutes. Asking more often only costs calls. */
const everyMs = 5_000;

/**
 * A target that is gone before it was seen draining for `drainedForMs` must be gone for
 * `goneEarlyMs`. A list without the target for ten seconds stopped the tasks under open
 * connections. Deregistration delays are rarely shorter than 30 seconds.
 */
const drainedForMs = 20_000;
const goneEarlyMs = 15_000;

/** Waits for the connections to drain. If time is short, they drain while the tasks stop. */
export async function deregisterFromBalancers(departure: Departure, signal: AbortSignal): Promise<void> {
  const balancers = balancersOf(departure);
  if (balancers.length === 0) return;
  await mustStillStand(departure, signal);
  await departure.noteDeed('leftBalancersAt');
  // The machine may have stood still while that was written to disk.
  await mustStillStand(departure, signal);
  const gone = await Promise.all(balancers.map((balancer) => deregister(departure, balancer, signal)));
  const draining = balancers.filter((_, index) => gone[index]);
  const listed = draining.filter(({ needsList }) => needsList === true);
  departure.background.push(deregisterAgain(departure, listed, signal).catch(() => {}));
  if (isUrgent(departure.state, departure.config, departure.leftMs())) return;
  await waitForConnections(departure, draining, signal);
}

function balancersOf({ host: { cloud }, config: { leave } }: Departure): Balancer[] {
  return [
    ...leave.targetGroups.map((arn) => ({
      name: arn,
      deregister: (signal: AbortSignal) => cloud.deregisterTarget(arn, signal),
      isDraining: (signal: AbortSignal) => cloud.isTargetDraining(arn, signal),
      needsList: true as const,
    })),
    ...leave.loadBalancers.map((name) => ({
      name,
      deregister: (signal: AbortSignal) => cloud.deregisterFromLoadBalancer(name, signal),
      isDraining: (signal: AbortSignal) => cloud.isLoadBalancerDraining(name, signal),
    })),
  ];
}

/** A refusal of one load balancer must not keep the node in the others. */
async function deregister(departure: Departure, balancer: Balancer, signal: AbortSignal): Promise<boolean> {
  try {
    const ms = Math.min(callsMs, Math.max(departure.leftMs(), 5_000));
    await callWithRetry(departure.host, ms, signal, (callSignal) => balancer.deregister(callSignal));
    departure.host.log.info('deregistered from load balancer', { balancer: balancer.name });
    return true;
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble(`deregistering from ${balancer.name}`, error);
    return false;
  }
}

/** A target that the first list lacked would get requests while its tasks stop. */
async function deregisterAgain(departure: Departure, balancers: Balancer[], signal: AbortSignal): Promise<void> {
  if (balancers.length === 0) return;
  await departure.host.clock.sleep(propagationMs, signal);
  await Promise.all(balancers.map((balancer) => deregister(departure, balancer, signal)));
}

async function waitForConnections(departure: Departure, balancers: Balancer[], signal: AbortSignal): Promise<void> {
  const { host, config } = departure;
  const withinMs = Math.min(config.leave.deregistrationSeconds * 1000, departure.leftMs());
  // One answer without the target may be stale, and the tasks would stop under its connections.
  const pending = new Map(balancers.map((balancer) => [balancer, openLasting(host.clock, propagationMs)]));
  const earlyMs = withinMs < 2 * goneEarlyMs ? propagationMs : goneEarlyMs;
  const began = host.clock.uptime();
  const drained = new Set<Balancer>();
  const read = async (callSignal: AbortSignal): Promise<true | undefined> => {
    for (const [balancer, lasts] of pending) {
      try {
        const draining = await callOnce(host, callSignal, (innerSignal) => balancer.isDraining(innerSignal));
        if (draining && host.clock.uptime() - began >= drainedForMs) drained.add(balancer);
        if (lasts(!draining, drained.has(balancer) ? propagationMs : earlyMs)) pending.delete(balancer);
      } catch (error) {
        // Without the permission to look, the node waits for the whole time.
        if (!(error instanceof Refused)) throw error;
        host.log.debug('connections not seen', { balancer: balancer.name, error: messageOf(error) });
      }
    }
    return pending.size === 0 ? true : undefined;
  };
  if (pending.size === 0 || withinMs === 0) return;
  // Right after deregistration, a target may still be reported as healthy, which looks as if it had
  // drained.
  await host.clock.sleep(Math.min(propagationMs, withinMs), signal);
  try {
    const restMs = Math.max(0, withinMs - propagationMs);
    await poll('connection draining', read, { clock: host.clock, signal, withinMs: restMs, everyMs });
  } catch (error) {
    signal.throwIfAborted();
    await departure.trouble('waiting for connections', error);
  }
}
