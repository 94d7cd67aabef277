import { paths } from '../../../core/state/state.ts';
import { lasting, reasons, type Reason } from '../faults/causes.ts';
import type { Call } from '../effects.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

const deadly = new Set(['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff']);

/** True where the call ends the node, or begins to. */
export function isDeadly({ verb, args }: Call): boolean {
  return deadly.has(verb) || (verb === 'completeHook' && args[2] === 'ABANDON');
}

/**
 * A departure that has reached the point of no return goes on for so long after its cause is gone.
 */
const irrevocableMs = 3_600_000;

/**
 * A call that was under way when the cause ended, or a departure that could not be called off while
 * AWS was silent.
 */
const underWayMs = 900_000;

/** Ask for DRAINING, but never for the end. */
const mild: readonly Reason[] = ['drain-only', 'rebalance', 'lie'];

export const healthyStays: Invariant = {
  name: 'a healthy node stays',
  sentence:
    'A node that nobody told to go, and with which nothing is wrong for long, never leaves and never ends itself.',
  onCall(region, node, call) {
    const now = region.clock.uptime();
    if (isDeadly(call)) {
      const why = reasons(node, now, irrevocableMs).filter((reason) => !mild.includes(reason));
      if (why.length === 0) return `${call.verb} though nothing was wrong with it`;
      return hasty(region, node, call, why, now);
    }
    // Once more changes nothing.
    if (call.verb !== 'drain' || ownInstance(region, node)?.status !== 'ACTIVE') return undefined;
    const why = reasons(node, now, underWayMs);
    if (why.length === 0) return 'drain though nothing was wrong with it';
    return hasty(region, node, call, why, now);
  },
  afterCall(region, { truth }, { verb, args }) {
    if (verb !== 'writeText' || args[0] !== paths.departure) return undefined;
    const isOver = String(args[1]).includes('"undoneAt"');
    truth.leavingSince = isOver ? undefined : (truth.leavingSince ?? region.clock.uptime());
    const [, cause = ''] = /"cause": "([^"]*)"/.exec(String(args[1])) ?? [];
    if (truth.leavingFor?.cause !== cause) truth.leavingFor = { cause, since: region.clock.uptime() };
    return undefined;
  },
  afterEvent(region) {
    region.seenSince = isSeen(region) ? (region.seenSince ?? region.clock.uptime()) : undefined;
    return undefined;
  },
};

/**
 * Checks come up to a fifth earlier than configured, so as not to be in step with the fleet, or
 * three tenths, together with others.
 */
const early = 0.69;

/**
 * A check that is slow has measured late, up to its deadline; the next one comes when it would have
 * come anyway.
 */
const slowCheckMs = 30_000;

/** What a node finds out by itself must have lasted. */
function hasty(region: Region, node: Node, { verb }: Call, why: readonly Reason[], now: number): string | undefined {
  const { scenario } = region;
  const [only] = why;
  if (why.length !== 1 || only === undefined) return undefined;
  const ms = lasting(node, only, now);
  if (ms === undefined) return undefined;
  const { disk, docker, ecsAgent } = scenario.config;
  const lateMs = now - node.truth.faultAt < 300_000 ? slowCheckMs : 0;
  const diskMs = (disk.checks - 1) * disk.checkSeconds * 1000 * early - lateMs;
  if (only === 'disk' && ms < diskMs) return `${verb} after ${Math.round(ms / 1000)} s of a full disk`;
  if (only === 'disk' && verb !== 'drain' && !disk.leave) return `${verb} though disk.leave is false`;
  if (only === 'docker') {
    if (docker.action !== 'replace') return `${verb} though docker.action is ${docker.action}`;
    const dockerMs = (docker.restarts + 1) * docker.patienceSeconds * 1000;
    return ms < dockerMs * early ? `${verb} after ${Math.round(ms / 1000)} s without Docker` : undefined;
  }
  if (only !== 'ecs-agent' || cannotJoin(scenario, node, ms)) return undefined;
  if (isOutage(region, now) && !leftBefore(region, node))
    return `${verb} though ECS has lost sight of the whole cluster`;
  if (ecsAgent.action !== 'replace') return `${verb} though ecsAgent.action is ${ecsAgent.action}`;
  const patienceMs = (ecsAgent.restarts + 1) * ecsAgent.patienceSeconds * 1000;
  return ms < patienceMs * early ? `${verb} after ${Math.round(ms / 1000)} s without a connected ECS agent` : undefined;
}

/** Ill before it was in service (again): then it is joining that takes too long. */
function cannotJoin({ config }: Region['scenario'], { machine }: Node, ms: number): boolean {
  const text = machine.files.get(paths.agent);
  const joined = typeof text === 'string' && text.includes('"state": "joined"');
  return !joined && ms >= config.join.timeoutSeconds * 1000 * early;
}

/** Whoever asks later than this has heard of what has been so since then. */
const heardMs = 180_000;

/**
 * Its own agent had died, and its departure was under way, when the others were seen to be lost,
 * too.
 */
function leftBefore({ seenSince }: Region, { truth }: Node): boolean {
  const since = truth.leavingSince ?? truth.drainingSince ?? Infinity;
  return seenSince !== undefined && since < seenSince + heardMs;
}

/** Seen by everybody who has asked since. */
function isOutage({ seenSince }: Region, now: number): boolean {
  return seenSince !== undefined && now - seenSince >= heardMs;
}

/** Nodes come and go while ECS has lost sight of some. */
function isSeen({ outageSince, cluster, scenario }: Region): boolean {
  if (outageSince === undefined) return false;
  const there = cluster.instances.filter(({ status }) => status !== 'INACTIVE');
  const lost = there.filter(({ agentConnected }) => !agentConnected).length;
  return lost >= 2 && lost > (scenario.config.ecsAgent.maxDisconnectedPercent / 100) * there.length;
}
