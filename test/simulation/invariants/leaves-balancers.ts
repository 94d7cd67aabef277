import { reasons, type Reason } from '../faults/causes.ts';
import { mistakesItsWait, ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import { isDeadly } from './healthy-stays.ts';
import type { Invariant } from './invariant.ts';
import { replacesDaemonTask } from './two-sources.ts';
import { drainsToRegisterAnew } from './registers-anew-once.ts';

/** After a crash, or while AWS fails, the node repeats the steps that it began. */
const patienceMs = 300_000;

/**
 * The node tries to deregister for a minute and then relies on the health checks; a departure can
 * take this long.
 */
const departureMs = 3_600_000;

export const leavesBalancers: Invariant = {
  name: 'leaves its balancers',
  sentence:
    'A node with enough time leaves its load balancers and drains its connections before it stops its tasks and before it ends.',
  onCall(region, node, call) {
    const { verb, process, args } = call;
    const ends =
      isDeadly(call) || (verb === 'completeHook' && args[1] === region.scenario.config.autoScaling.terminateHook);
    const drains = verb === 'drain' && isDrainedLater(region, node);
    if (process.name !== 'agent' || !(ends || drains || verb === 'stopTask')) return undefined;
    if (replacesDaemonTask(region, call)) return undefined;
    const now = region.clock.uptime();
    const { faultAt, elbTroubleAt, leavingSince } = node.truth;
    if (mistakesItsWait(node, leavingSince)) return undefined;
    if (hurries(region, node) || now - faultAt < patienceMs || now - elbTroubleAt < departureMs) return undefined;
    return stillIn(region, node, verb);
  },
};

const unhurried: readonly Reason[] = ['scale-in', 'operator', 'drain-only', 'disk', 'ecs-agent', 'docker'];

/**
 * True if the node only drains for its full disk, is draining already, or registers anew: it then
 * has no task behind the balancer.
 */
function isDrainedLater(region: Region, node: Node): boolean {
  if (drainsToRegisterAnew(node)) return false;
  const why = reasons(node, region.clock.uptime(), 3_600_000);
  return !why.includes('disk') && ownInstance(region, node)?.status === 'ACTIVE';
}

/**
 * True if EC2 sets the time, or if the departure must be undone, because ACTIVE would not restore
 * the targets.
 */
function hurries({ clock }: Region, node: Node): boolean {
  const why = reasons(node, clock.uptime(), 3_600_000);
  return !why.every((reason) => unhurried.includes(reason));
}

function stillIn({ clock, scenario }: Region, node: Node, verb: string): string | undefined {
  const { targetGroups, loadBalancers } = node.balancers;
  const now = clock.uptime();
  for (const [name, balancer] of [...targetGroups, ...loadBalancers]) {
    if (balancer.registered) return `${verb} while it is a target of ${name}`;
    const longestMs = scenario.config.leave.deregistrationSeconds * 1000;
    const began = balancer.drainsUntil - balancer.drainsForMs;
    if (now < balancer.drainsUntil && now - began < longestMs - 5_000)
      return `${verb} while connections of ${name} drain`;
  }
  return undefined;
}
