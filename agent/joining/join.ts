/**
 * Waits until ECS has this node in service and the configured checks pass. Then completes the
 * launch hook.
 */

import type { Config } from '../../config/config.ts';
import { isLethal } from '../../core/essentials.ts';
import { Refused, Unavailable, Unfit, messageOf } from '../../core/errors.ts';
import type { Host, LocalAgent } from '../../core/host.ts';
import { longestGapMs } from '../../core/lasting.ts';
import { longestPauseAfter, jitter, withTimeout } from '../../core/retry.ts';
import { redact } from '../../core/secrets.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent } from '../container-instance.ts';
import { isFirstBoot } from './first-boot.ts';
import { runHooks } from '../hooks.ts';
import { withLaunchHookHeartbeats } from './launch-hook-heartbeats.ts';
import { completeLaunchHook, freshMs, type LaunchProgress, type UnfinishedHook } from './launch-hook.ts';
import { openAgentRestarter } from './restart-ended-agent.ts';
import { readPoolState, waitUntilOutOfPool, type ReportJoin } from './warm-pool.ts';
import type { KnownFacts } from '../known-facts.ts';

/** The ECS agent registers within seconds of its start. */
const everyMs = 3_000;

/**
 * While ECS does not answer, the node asks less and less often: a cluster that starts together
 * shares one limit.
 */
const maxPauseMs = 30_000;

/**
 * While the introspection port names no container instance, the node asks ECS this often: the port
 * may be closed on a node that is in service.
 */
const cloudEveryMs = 30_000;

/**
 * Most nodes have joined by then and need no heartbeat. The shortest hook lasts 30 s, and the boot
 * has used part of it.
 */
const quietMs = 10_000;

/**
 * Time for all executables in hooks.d/joined together. The node is already in service, so this
 * limit is generous.
 */
const hooksMs = 600_000;

/**
 * In service, also where only Auto Scaling says that no launch hook waits (`told`), or in service
 * with a launch hook that the group may still wait for.
 */
export type Joined = 'joined' | 'told' | UnfinishedHook;

/**
 * Resolves when the node is in service. Throws `Unfit` when it is not in service within
 * `join.timeoutSeconds` although ECS answers. While AWS does not answer, or refuses to, it keeps
 * waiting. The refusal that the cluster does not exist counts as an answer.
 */
export async function join(
  host: Host,
  config: Config,
  report: ReportJoin,
  signal: AbortSignal,
  knownFacts: KnownFacts = {},
): Promise<Joined> {
  let joined: Joined | 'in pool';
  do {
    // In a warm pool, the ECS agent is silent on purpose.
    knownFacts.waitsForCheck = false;
    await waitUntilOutOfPool(host, config, report, knownFacts, signal);
    joined = await joinOutsidePool(host, config, report, knownFacts, signal);
  } while (joined === 'in pool');
  await host.machine.say(`ecs-node: joined the cluster ${config.cluster}`);
  await runHooks(host, config, 'joined', undefined, hooksMs, signal);
  return joined;
}

/**
 * Completes the launch hook of a node that has joined, in one round. It first checks that the node
 * is still in service, because a completed hook lets tasks and requests in.
 */
export async function finishJoining(
  host: Host,
  config: Config,
  knownFacts: KnownFacts,
  withinMs: number,
  signal: AbortSignal,
): Promise<Joined> {
  const { missing } = await firstMissing([openRegistrationCheck(host, config, knownFacts, 0)], signal);
  if (missing !== undefined) return { unfinished: missing };
  let why = 'Auto Scaling does not answer';
  const progress: LaunchProgress = { knownFacts, report: (detail) => (why = detail) };
  const outcome = await completeLaunchHook(host, config, signal, withinMs, progress);
  if (outcome === 'over') return 'joined';
  if (outcome === 'none') return 'told';
  return outcome === 'later' ? { unfinished: why } : outcome;
}

/** `in pool`: the node is in a warm pool after all. */
async function joinOutsidePool(
  host: Host,
  config: Config,
  report: ReportJoin,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<Joined | 'in pool'> {
  const progress: LaunchProgress = {
    hookWaits: await isFirstBoot(host),
    knownFacts,
    report: (detail) => report('joining', detail),
  };
  const work = async () => {
    const began = host.clock.uptime();
    for (;;) {
      if (!(await waitInService(host, config, report, knownFacts, signal))) return 'in pool';
      if (progress.told === undefined) {
        host.log.info('in service', { ms: Math.round(host.clock.uptime() - began) });
        report('joining', 'completing the launch hook');
      }
      // The ECS agent may die while Auto Scaling does not answer, so a check from minutes ago no
      // longer counts.
      const outcome = await completeLaunchHook(host, config, signal, freshMs, progress);
      if (typeof outcome === 'object') return outcome;
      if (outcome !== 'later') return outcome === 'over' ? 'joined' : 'told';
    }
  };
  return withLaunchHookHeartbeats(host, config, quietMs, signal, work, knownFacts);
}

/**
 * Returns the missing condition, or undefined when the check passes. Throws Unavailable when ECS
 * gave no answer about this node, or a program may not run: neither counts against the node.
 */
type JoinCheck = (signal: AbortSignal) => Promise<string | undefined>;

/** False: the node waits in a warm pool, which a lost answer of the metadata service had hidden. */
async function waitInService(
  host: Host,
  config: Config,
  report: ReportJoin,
  knownFacts: KnownFacts,
  signal: AbortSignal,
): Promise<boolean> {
  const { clock } = host;
  const timeoutMs = config.join.timeoutSeconds * 1000;
  // The configured checks may take longer than a gap.
  const checksMs = config.join.checks.reduce((ms, check) => ms + check.timeoutSeconds * 1000, 0);
  const checks = [
    openRegistrationCheck(host, config, knownFacts),
    ...config.join.checks.map((check) => openConfiguredCheck(host, check)),
  ];
  const began = clock.uptime();
  // The time outside a pool during which AWS answered. Only that time may count against the node.
  let answeredMs = 0;
  let pauseMs = everyMs;
  for (let last = ''; ;) {
    const checkedAt = clock.uptime();
    const { missing, answered, isRegistered } = await firstMissing(checks, signal);
    // Such a wait has no end, and a full disk must be noticed meanwhile.
    if (answered || isRegistered) knownFacts.waitsForCheck = !answered;
    if (missing === undefined) return true;
    if (missing !== last) host.log.info('not in service yet', { missing });
    last = missing;
    report('joining', missing);
    // Only now: the last look may be as old as the time that the machine has just stood still.
    if (answered && answeredMs >= timeoutMs) {
      const within = `${config.join.timeoutSeconds} s (join.timeoutSeconds)`;
      throw new Unfit('service-in-time', `not in service within ${within}: ${missing}`);
    }
    pauseMs = answered ? everyMs : Math.min(pauseMs * 2, longestPauseAfter(checkedAt - began, maxPauseMs));
    await clock.sleep(answered ? pauseMs : jitter(pauseMs), signal);
    const pool = await readPoolState(host, signal);
    if (pool === 'in') return false;
    const roundMs = clock.uptime() - checkedAt;
    const isGap = roundMs > longestGapMs + checksMs;
    if (answered && pool === 'out' && !isGap) answeredMs += roundMs;
  }
}

interface Look {
  missing: string | undefined;
  answered: boolean;
  /** The first check has passed: ECS has this node in service. */
  isRegistered: boolean;
}

async function firstMissing(checks: readonly JoinCheck[], signal: AbortSignal): Promise<Look> {
  for (const [at, check] of checks.entries()) {
    const isRegistered = at > 0;
    try {
      const missing = await check(signal);
      if (missing !== undefined) return { missing, answered: true, isRegistered };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Unavailable)) throw error;
      return { missing: error.message, answered: false, isRegistered };
    }
  }
  return { missing: undefined, answered: true, isRegistered: true };
}

/**
 * After ECS answered that the node is not in service, a refusal counts only once it has lasted: a
 * proxy or a policy may refuse for seconds.
 */
const refusedMs = 60_000;

const notRegistered = 'the ECS agent has not registered';

/** Without the local agent's answer, ECS is asked after `firstMs`. */
function openRegistrationCheck(
  host: Host,
  config: Config,
  knownFacts: KnownFacts,
  // Most nodes have registered by then and need no call. No node is given up before ECS itself was
  // asked.
  firstMs = Math.min(cloudEveryMs, (config.join.timeoutSeconds * 1000) / 3),
): JoinCheck {
  const { cluster } = config;
  let lastAskedAt = host.clock.uptime() + firstMs - cloudEveryMs;
  let refusal: Refused | undefined;
  let answer: { at: number; missing: string } | undefined;
  const restartEndedAgent = openAgentRestarter(host);
  return async (signal) => {
    const local = await readLocalAgent(host, signal);
    if (local === undefined) await restartEndedAgent(signal);
    // Any program on the machine may answer in the ECS agent's place, so ECS itself is asked about
    // this cluster.
    const isElsewhere = local !== undefined && local.cluster !== cluster;
    const arn = isElsewhere ? undefined : local?.containerInstanceArn;
    const missing = isElsewhere ? renderElsewhere(local, cluster) : notRegistered;
    const now = host.clock.uptime();
    const lacking = (what: string) => {
      answer = { at: now, missing: what };
      return what;
    };
    const isSoon = now - lastAskedAt < cloudEveryMs;
    if (refusal !== undefined && (arn !== undefined || isSoon)) return missingWithoutEcs(arn, missing, refusal);
    if (arn === undefined && isSoon) return missing;
    try {
      const known = await callOnce(host, signal, (callSignal) =>
        host.cloud.readContainerInstance(cluster, arn, callSignal),
      );
      [lastAskedAt, refusal] = [now, undefined];
      if (known === undefined && isElsewhere) await refuseOtherCluster(host, local, missing, signal);
      // The introspection port may be closed on a working node.
      if (known === undefined) return lacking(missing);
      // A person may have drained the node before a reboot. It returns to that state.
      if (known.status !== 'ACTIVE' && known.status !== 'DRAINING')
        return lacking(`container instance is ${known.status}`);
      if (!known.agentConnected) return lacking('the ECS agent is not connected');
      knownFacts.lastSeen = { at: now, instance: known };
      return undefined;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (answer !== undefined && now - answer.at < refusedMs)
        throw new Unavailable(`${answer.missing}; ${messageOf(error)}`, { cause: error });
      if (refusal === undefined) host.log.error('cannot see the container instance', { error: messageOf(error) });
      [lastAskedAt, refusal] = [now, error];
      return missingWithoutEcs(arn, missing, refusal);
    }
  };
}

/** The ECS agent kept a checkpoint of another cluster. */
function renderElsewhere({ cluster: other }: LocalAgent, cluster: string): string {
  const how = 'stop ecs, remove /var/lib/ecs/data and start it again, or configure that cluster';
  return `the ECS agent is in the cluster ${other}, not in ${cluster}: ${how}`;
}

/** Throws `Unfit` when ECS itself says that this instance is registered in the other cluster. */
async function refuseOtherCluster(
  host: Host,
  { cluster: other, containerInstanceArn: arn }: LocalAgent,
  missing: string,
  signal: AbortSignal,
): Promise<void> {
  const look = (callSignal: AbortSignal) => host.cloud.readContainerInstance(other, arn, callSignal);
  const there = await callOnce(host, signal, look).catch(() => undefined);
  signal.throwIfAborted();
  if (there !== undefined) throw new Unfit('right-cluster', missing);
}

/**
 * Without permission to ask ECS, only the local ECS agent's answer is left. It may let the node in,
 * and never condemns it.
 */
function missingWithoutEcs(arn: string | undefined, missing: string, refusal: Refused): string | undefined {
  if (arn !== undefined) return undefined;
  const why = `${missing}; ${messageOf(refusal)}`;
  // The cluster does not exist, which is also why the ECS agent cannot register.
  if (isLethal('readContainerInstance', refusal.code)) return why;
  throw new Unavailable(why);
}

/** The query may contain a key, and many people read the status. */
function withoutQuery(url: string): string {
  return redact(url.replace(/[?#].*$/s, ''));
}

function openConfiguredCheck(host: Host, check: Config['join']['checks'][number]): JoinCheck {
  const ms = check.timeoutSeconds * 1000;
  return async (signal) => {
    // A file system that hangs says nothing about this node, and a new node would not differ.
    if ('command' in check) await host.machine.mustAnswer(check.command[0] ?? '');
    try {
      if ('url' in check) {
        const status = await withTimeout(
          ms,
          (callSignal) => host.machine.probe(check.url, callSignal),
          host.clock,
          signal,
        );
        return status >= 200 && status < 400 ? undefined : `${withoutQuery(check.url)} answered ${status}`;
      }
      const [file = '', ...args] = check.command;
      const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
      const command = { file, args, environment, rootOwned: true as const };
      const { code, tail } = await withTimeout(
        ms,
        (callSignal) => host.machine.run(command, callSignal),
        host.clock,
        signal,
      );
      return code === 0 ? undefined : `${file} ended with ${code}: ${tail.trim().slice(-200)}`;
    } catch (error) {
      signal.throwIfAborted();
      const what = 'url' in check ? withoutQuery(check.url) : check.command[0];
      const missing = `${what}: ${redact(messageOf(error))}`;
      // The program did not run. A person must change its owner, and a new node would not differ.
      if (error instanceof Refused && error.code === 'Unguarded') throw new Unavailable(missing, { cause: error });
      // A closed port is the very failure that the check looks for. It says nothing about AWS.
      return missing;
    }
  };
}
