/** Waits until ECS has this node in service and the configured checks pass, and completes the launch hook. */

import type { Config } from '../core/config.ts';
import { isLethal } from '../core/essentials.ts';
import { Refused, Unavailable, Unfit, messageOf } from '../core/errors.ts';
import type { Host, LocalAgent } from '../core/host.ts';
import { pauseAfter, spread, within } from '../core/patience.ts';
import { redact } from '../core/secrets.ts';
import { askOnce } from './asking.ts';
import { readLocalAgent } from './container-instance.ts';
import { isFirstBoot } from './first-boot.ts';
import { runHooks } from './hooks.ts';
import { keepingHookAlive } from './keeping-hook-alive.ts';
import { askPool, completeLaunchHook, freshMs, waitOutOfPool, type Sight, type Tell } from './launch.ts';
import type { Sighting } from './sighting.ts';

/** The agent registers within seconds of its start. */
const everyMs = 3_000;

/** While ECS does not answer it is asked less and less often: a cluster that starts at once shares one limit. */
const maxPauseMs = 30_000;

/** Until the agent has an ARN, ECS is asked this often only to know that it answers. */
const cloudEveryMs = 30_000;

/** Most nodes have joined by then, and spare the calls. The shortest hook lasts 30 s, of which the boot has taken some. */
const quietMs = 10_000;

/** All executables in hooks.d/joined together: the node is in service, so nothing hurries but the log. */
const hooksMs = 600_000;

/**
 * Resolves when the node is in service. Throws `Unfit` when it is not within `join.timeoutSeconds` although ECS answers. While AWS
 * does not answer, or refuses to, it goes on waiting.
 */
export async function join(
  host: Host,
  config: Config,
  tell: Tell,
  signal: AbortSignal,
  sighting: Sighting = {},
): Promise<void> {
  do {
    await waitOutOfPool(host, config, tell, signal);
  } while (!(await joinOutOfPool(host, config, tell, sighting, signal)));
  await host.machine.say(`ecs-node: joined the cluster ${config.cluster}`);
  await runHooks(host, config, 'joined', undefined, hooksMs, signal);
}

/** False: it waits in a warm pool after all. */
async function joinOutOfPool(
  host: Host,
  config: Config,
  tell: Tell,
  sighting: Sighting,
  signal: AbortSignal,
): Promise<boolean> {
  const sight: Sight = { waits: await isFirstBoot(host), sighting };
  const work = async () => {
    const began = host.clock.uptime();
    do {
      if (!(await waitInService(host, config, tell, sighting, signal))) return false;
      host.log.info('in service', { ms: Math.round(host.clock.uptime() - began) });
      tell('joining', 'completing the launch hook');
      // While Auto Scaling does not answer the ECS agent may die: what was seen minutes ago counts for nothing.
    } while (!(await completeLaunchHook(host, config, signal, freshMs, sight)));
    return true;
  };
  return keepingHookAlive(host, config, quietMs, signal, work, sighting);
}

/** What is missing, or undefined when nothing is. Throws Unavailable when ECS gave no answer about this node. */
type Look = (signal: AbortSignal) => Promise<string | undefined>;

/** False: it waits in a warm pool, which an answer of the metadata that was lost had hidden. */
async function waitInService(
  host: Host,
  config: Config,
  tell: Tell,
  sighting: Sighting,
  signal: AbortSignal,
): Promise<boolean> {
  const { clock } = host;
  const timeoutMs = config.join.timeoutSeconds * 1000;
  const looks = [
    openRegistration(host, config, sighting),
    ...config.join.checks.map((check) => openCheck(host, check)),
  ];
  const began = clock.uptime();
  // Time out of any pool in which AWS answered: only that may count against the node.
  let heardMs = 0;
  let pauseMs = everyMs;
  for (let last = ''; ;) {
    const asked = clock.uptime();
    const { missing, heard } = await firstMissing(looks, signal);
    if (missing === undefined) return true;
    if (missing !== last) host.log.info('not in service yet', { missing });
    last = missing;
    tell('joining', missing);
    pauseMs = heard ? everyMs : Math.min(pauseMs * 2, pauseAfter(asked - began, maxPauseMs));
    await clock.sleep(heard ? pauseMs : spread(pauseMs), signal);
    const pool = await askPool(host, signal);
    if (pool === 'in') return false;
    if (heard && pool === 'out') heardMs += clock.uptime() - asked;
    if (heardMs >= timeoutMs) {
      const within = `${config.join.timeoutSeconds} s (join.timeoutSeconds)`;
      throw new Unfit('service-in-time', `not in service within ${within}: ${missing}`);
    }
  }
}

async function firstMissing(
  looks: readonly Look[],
  signal: AbortSignal,
): Promise<{ missing: string | undefined; heard: boolean }> {
  for (const look of looks) {
    try {
      const missing = await look(signal);
      if (missing !== undefined) return { missing, heard: true };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Unavailable)) throw error;
      return { missing: error.message, heard: false };
    }
  }
  return { missing: undefined, heard: true };
}

const notRegistered = 'the ECS agent has not registered';

function openRegistration(host: Host, config: Config, sighting: Sighting): Look {
  const { cluster } = config;
  // Most nodes have registered by then, and spare the call; but nobody is given up before ECS itself was asked.
  const firstMs = Math.min(cloudEveryMs, (config.join.timeoutSeconds * 1000) / 3);
  let lastAsked = host.clock.uptime() + firstMs - cloudEveryMs;
  let refusal: Refused | undefined;
  return async (signal) => {
    const local = await readLocalAgent(host, signal);
    // Any program on the machine may answer in the agent's place: ECS itself is asked about this cluster.
    const isElsewhere = local !== undefined && local.cluster !== cluster;
    const arn = isElsewhere ? undefined : local?.containerInstanceArn;
    const missing = isElsewhere ? renderElsewhere(local, cluster) : notRegistered;
    const now = host.clock.uptime();
    const isSoon = now - lastAsked < cloudEveryMs;
    if (refusal !== undefined && (arn !== undefined || isSoon)) return missingUnseen(arn, missing, refusal);
    if (arn === undefined && isSoon) return missing;
    try {
      const known = await askOnce(host, signal, (inner) => host.cloud.readContainerInstance(cluster, arn, inner));
      [lastAsked, refusal] = [now, undefined];
      // The introspection port may be closed on a node that works.
      if (known === undefined) return missing;
      // A person may have drained it before a reboot: it is where it was.
      if (known.status !== 'ACTIVE' && known.status !== 'DRAINING') return `container instance is ${known.status}`;
      if (!known.agentConnected) return 'the ECS agent is not connected';
      sighting.seen = { at: now, instance: known };
      return undefined;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (refusal === undefined) host.log.error('cannot see the container instance', { error: messageOf(error) });
      [lastAsked, refusal] = [now, error];
      return missingUnseen(arn, missing, refusal);
    }
  };
}

/** An agent that kept a checkpoint of another cluster. */
function renderElsewhere({ cluster: other }: LocalAgent, cluster: string): string {
  const how = 'stop ecs, remove /var/lib/ecs/data and start it again, or configure that cluster';
  return `the ECS agent is in the cluster ${other}, not in ${cluster}: ${how}`;
}

/** Where ECS does not let this role look there is only the agent's word, which may let the node in, and never condemns it. */
function missingUnseen(arn: string | undefined, missing: string, refusal: Refused): string | undefined {
  if (arn !== undefined) return undefined;
  const why = `${missing}; ${messageOf(refusal)}`;
  // The cluster does not exist: the reason why the agent cannot register either.
  if (isLethal('readContainerInstance', refusal.code)) return why;
  throw new Unavailable(why);
}

/** The query may hold a key, and many people read the status. */
function withoutQuery(url: string): string {
  return redact(url.replace(/[?#].*$/s, ''));
}

function openCheck(host: Host, check: Config['join']['checks'][number]): Look {
  const ms = check.timeoutSeconds * 1000;
  return async (signal) => {
    try {
      if ('url' in check) {
        const status = await within(ms, (inner) => host.machine.probe(check.url, inner), host.clock, signal);
        return status >= 200 && status < 400 ? undefined : `${withoutQuery(check.url)} answered ${status}`;
      }
      const [file = '', ...args] = check.command;
      const command = { file, args, environment: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' } };
      const { code, tail } = await within(ms, (inner) => host.machine.run(command, inner), host.clock, signal);
      return code === 0 ? undefined : `${file} ended with ${code}: ${tail.trim().slice(-200)}`;
    } catch (error) {
      signal.throwIfAborted();
      // Nobody listening is what the check is there to find: it says nothing about AWS.
      return `${'url' in check ? withoutQuery(check.url) : check.command[0]}: ${redact(messageOf(error))}`;
    }
  };
}
