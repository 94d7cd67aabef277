import { paths } from '../../../core/state/state.ts';
import { lasting, reasons, type Reason } from '../faults/causes.ts';
import type { Call } from '../effects.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';
import { drainsToRegisterAnew } from './registers-anew-once.ts';

const deadly = new Set(['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff']);

/** True if the call ends the node, or begins to. */
export function isDeadly({ verb, args }: Call): boolean {
  return deadly.has(verb) || (verb === 'completeHook' && args[2] === 'ABANDON');
}

/** A departure past the point of no return may continue this long after its cause has ended. */
const irrevocableMs = 3_600_000;

/**
 * Allows for a call in flight when the cause ended, or for a departure that could not be undone
 * while AWS did not answer.
 */
const underWayMs = 900_000;

/** The first calls of an agent, while AWS is slow. */
const memoryMs = 30_000;

/** These reasons require DRAINING, but never termination. */
const mild: readonly Reason[] = ['drain-only', 'rebalance', 'lie'];

export const healthyStays: Invariant = {
  name: 'a healthy node stays',
  sentence: 'A node without an order to leave and without a lasting fault never leaves and never terminates itself.',
  onCall(region, node, call) {
    const now = region.clock.uptime();
    if (isDeadly(call)) {
      const why = reasons(node, now, irrevocableMs).filter((reason) => !mild.includes(reason));
      if (why.length === 0) return `${call.verb} though nothing was wrong with it`;
      return isUnderWay(node, why, now, irrevocableMs) ? undefined : hasty(region, node, call, why, now);
    }
    // Draining a node a second time changes nothing.
    if (call.verb !== 'drain' || ownInstance(region, node)?.status !== 'ACTIVE') return undefined;
    // Registering anew has an invariant of its own.
    if (drainsToRegisterAnew(node)) return undefined;
    // A dead Docker that ECS does not know, and one lie of ECS, are two sources for a while.
    if (node.dockerCure !== undefined && now - node.truth.ecsLieAt < 60_000) return undefined;
    // A disk that was full has an older memory, too. A new agent follows that memory until it has
    // asked.
    const { forgetfulSince, startedWithOldStatus } = node.truth;
    const mayBeOld = forgetfulSince !== undefined || startedWithOldStatus;
    if (mayBeOld && now - node.agentStartedAt < memoryMs) return undefined;
    const why = reasons(node, now, underWayMs);
    if (why.length === 0) return 'drain though nothing was wrong with it';
    return isUnderWay(node, why, now, underWayMs) ? undefined : hasty(region, node, call, why, now);
  },
  afterCall(region, { truth }, { verb, args }) {
    if (args[0] !== paths.departure) return undefined;
    // A full disk refuses the note that the departure is undone, so the node removes the file.
    if (verb === 'remove') truth.leavingSince = undefined;
    if (verb !== 'writeText') return undefined;
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
 * True if the departure began while the reason held before. That it holds again makes the departure
 * no hastier than one whose reason is over.
 */
function isUnderWay({ truth }: Node, why: readonly Reason[], now: number, graceMs: number): boolean {
  const leavesSince = Math.min(truth.leavingSince ?? Infinity, truth.drainingSince ?? Infinity);
  return why.some((reason) => {
    const { endedBefore = -Infinity } = truth.causes.get(reason) ?? {};
    return leavesSince <= endedBefore && now - endedBefore <= graceMs;
  });
}

/**
 * A check comes up to a fifth earlier than configured, to stay out of step with the fleet, or up to
 * three tenths, together with other checks.
 */
const early = 0.69;

/** A slow check has measured up to its deadline late; the next one still comes at its own time. */
const slowCheckMs = 30_000;

/** A cause that the node finds by itself must have lasted for its full time. */
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
    return `${verb} though ECS has lost the connection to the whole cluster`;
  if (ecsAgent.action !== 'replace') return `${verb} though ecsAgent.action is ${ecsAgent.action}`;
  const patienceMs = (ecsAgent.restarts + 1) * ecsAgent.patienceSeconds * 1000;
  return ms < patienceMs * early ? `${verb} after ${Math.round(ms / 1000)} s without a connected ECS agent` : undefined;
}

/**
 * If the ECS agent was ill before the node was in service (again), the timeout for joining applies.
 */
function cannotJoin({ config }: Region['scenario'], { machine, truth }: Node, ms: number): boolean {
  const text = machine.files.get(paths.agent);
  const joined = !truth.hasOldStatus && typeof text === 'string' && text.includes('"state": "joined"');
  return !joined && ms >= config.join.timeoutSeconds * 1000 * early;
}

/** A node that asks later than this has learned of a state that began before. */
const heardMs = 180_000;

/**
 * The node's own ECS agent had died, and its departure was under way, before the loss of the other
 * agents became visible.
 */
function leftBefore({ seenSince }: Region, { truth }: Node): boolean {
  const since = truth.leavingSince ?? truth.drainingSince ?? Infinity;
  return seenSince !== undefined && since < seenSince + heardMs;
}

/** True if every node that asked since then has seen the outage. */
function isOutage({ seenSince }: Region, now: number): boolean {
  return seenSince !== undefined && now - seenSince >= heardMs;
}

/** Counts again each time, because nodes come and go while ECS has lost the connection to some. */
function isSeen({ outageSince, cluster, scenario }: Region): boolean {
  if (outageSince === undefined) return false;
  const there = cluster.instances.filter(({ status }) => status !== 'INACTIVE');
  const lost = there.filter(({ agentConnected }) => !agentConnected).length;
  return lost >= 2 && lost > (scenario.config.ecsAgent.maxDisconnectedPercent / 100) * there.length;
}
