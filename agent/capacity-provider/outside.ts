/**
 * Checks whether ECS has this node outside its group's capacity provider, and whether the node may
 * register anew now.
 */

import type { Config } from '../../config/config.ts';
import type { ContainerInstance, Host } from '../../core/host.ts';
import { openLasting, singleErrorMs } from '../../core/lasting.ts';
import type { Clock } from '../../core/retry.ts';
import { paths } from '../../core/state/state.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent } from '../container-instance.ts';
import { findHolder } from '../held.ts';
import { readTarget } from '../joining/target-state.ts';
import { doubtGroup, readGroup, type KnownFacts } from '../known-facts.ts';
import { checkpoint } from './register-anew.ts';

export interface Subject {
  host: Host;
  config: Config;
  knownFacts: KnownFacts;
  /** Aborts when a departure begins; undefined during one. */
  idle(): AbortSignal | undefined;
}

/**
 * ECS may leave the provider out of its answers for a minute. A record that is deregistered loses
 * what a person put there.
 */
export const outsideLastsMs = singleErrorMs;

/**
 * A cluster without a capacity provider is asked about for some five hours. A node in one asks
 * nothing: its own record says so.
 */
const mostSearches = 9;

export interface Search {
  /** Number of times that the node may still ask ECS for the cluster's capacity providers. */
  left: number;
  /** The provider of this group, once ECS has named it. */
  provider?: string;
  group?: string;
  /** Called with the group, and the record of each answer that has it outside. */
  lasts: ReturnType<typeof openLasting>;
  /** Called with each answer whether no person holds the node. EC2 alone may know of a hold. */
  isFree: ReturnType<typeof openLasting>;
}

/** A node outside with tasks looks every few minutes, so no gap between two looks is too long. */
export function openSearch(clock: Clock): Search {
  return {
    left: mostSearches,
    lasts: openLasting(clock, outsideLastsMs, Infinity),
    isFree: openLasting(clock, outsideLastsMs, Infinity),
  };
}

export interface Outside {
  /** The container instance, which is outside the provider. */
  arn: string;
  provider: string;
  /** False: ECS has not had it outside for `outsideLastsMs` yet. */
  isLasting: boolean;
  /** Why it does not register anew yet. */
  obstacle: string | undefined;
}

const tooNew = `it looks again after ${outsideLastsMs / 1000} seconds`;

/** Undefined where the node is in its provider, or its group has none. */
export async function findOutside(subject: Subject, search: Search, signal: AbortSignal): Promise<Outside | undefined> {
  const { host, config, knownFacts } = subject;
  const read = (callSignal: AbortSignal) =>
    host.cloud.readContainerInstance(config.cluster, knownFacts.lastSeen?.instance.arn, callSignal);
  if (search.provider === undefined) search.left -= 1;
  const seen = knownFacts.lastSeen?.instance ?? (await callOnce(host, signal, read));
  const group = await readGroup(host, knownFacts, signal);
  if (seen?.capacityProvider !== undefined || group === undefined) {
    search.left = 0;
    return undefined;
  }
  const find = (callSignal: AbortSignal) => host.cloud.readCapacityProvider(config.cluster, group, callSignal);
  let provider = search.group === group ? search.provider : undefined;
  if (provider === undefined) {
    provider = await callOnce(host, signal, find);
    if (provider === undefined) return undefined;
    Object.assign(search, { provider, group, left: Infinity });
  }
  // The record that joining saw may be hours old.
  const record = await callOnce(host, signal, read);
  if (record === undefined) return undefined;
  if (record.capacityProvider !== undefined) {
    search.left = 0;
    return undefined;
  }
  const isLasting = search.lasts(`${group} ${record.arn}`);
  // The tag alone may have named another group. Before the next look, Auto Scaling tells the name.
  if (!isLasting) doubtGroup(knownFacts, host.clock.uptime());
  const obstacle = isLasting ? await findObstacle(subject, record, signal) : tooNew;
  // At the first look as well, so that the second one knows.
  const hold = isLasting && obstacle !== undefined ? undefined : await findHold(host, search, signal);
  const isReady = isLasting && obstacle === undefined && hold === undefined;
  // One answer may have named it, or it was deleted while the node had tasks, for days perhaps.
  if (isReady && (await callOnce(host, signal, find)) !== provider) {
    search.left = mostSearches;
    delete search.provider;
    return undefined;
  }
  return { arn: record.arn, provider, isLasting, obstacle: obstacle ?? hold };
}

/** The metadata service alone may leave out a hold, and EC2 alone may know of one. */
async function findHold(host: Host, { isFree }: Search, signal: AbortSignal): Promise<string | undefined> {
  const holder = await findHolder(host, true, signal);
  return isFree(holder === undefined) ? undefined : (holder ?? tooNew);
}

async function findObstacle(
  { host, idle }: Subject,
  { arn, status, agentConnected, runningTasks, pendingTasks }: ContainerInstance,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (idle() === undefined) return 'the node drains or leaves';
  if (status !== 'ACTIVE') return `the container instance is ${status}`;
  if (!agentConnected) return 'the ECS agent is not connected';
  const local = await callOnce(host, signal, (callSignal) => host.ecsAgent.readTasks(callSignal));
  const living = (local ?? []).filter(({ knownStatus }) => knownStatus !== 'STOPPED').length;
  const tasks = Math.max(runningTasks + pendingTasks, living);
  if (tasks > 0) return `has ${tasks} tasks; it registers anew once it has none`;
  if ((await readLocalAgent(host, signal))?.containerInstanceArn !== arn)
    return 'the ECS agent on the machine does not name this container instance';
  const target = await readTarget(host, signal);
  if (target !== undefined && target !== 'InService') return `the target state in its group is ${target}`;
  const files = await host.machine.list(paths.ecsData);
  return checkpoint.some((file) => files.includes(file))
    ? undefined
    : `${paths.ecsData} holds no checkpoint of the ECS agent`;
}
