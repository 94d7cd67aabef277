import { reasons } from '../faults/causes.ts';
import type { Call } from '../effects.ts';
import { askedAgainMs, mayBeDeceivedTwice, mistakesItsWait, ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import { isDeadly } from './healthy-stays.ts';
import type { Invariant } from './invariant.ts';

/**
 * A node's observation can be this old when its call arrives, because of one hung call and a retry.
 */
const staleMs = 120_000;

/** The metadata service follows a node that leaves its pool within this time. */
const targetLagMs = 10_000;

export const hooksInOrder: Invariant = {
  name: 'hooks in order',
  sentence:
    'A node completes each lifecycle action at most once, sends CONTINUE on launch only in service, lets no hook time out while it is healthy, and does not end while its tasks run and have time.',
  onCall(region, node, call) {
    if (call.verb === 'completeHook' && call.args[1] === region.scenario.config.autoScaling.launchHook) {
      return call.args[2] === 'CONTINUE' ? earlyLaunch(region, node) : undefined;
    }
    const ends = isDeadly(call) || call.verb === 'completeHook';
    return ends && call.process.name === 'agent' ? strandedTasks(region, node, call) : undefined;
  },
  afterCall(region, node, { verb, args }, result) {
    if (verb !== 'completeHook' || result !== true) return undefined;
    const hook = node.group?.hooks.find(({ name }) => name === args[1]);
    const action = `${hook?.name} ${hook?.endsAt}`;
    if (node.truth.completed.has(action)) return `${action} completed twice`;
    node.truth.completed.add(action);
    return undefined;
  },
  afterEvent(region, node) {
    const own = ownInstance(region, node);
    const now = region.clock.uptime();
    if (own?.agentConnected === true) {
      node.truth.connectedAt = now;
      node.truth.connectedSince ??= now;
    } else node.truth.connectedSince = undefined;
    return timedOut(region, node);
  },
};

function earlyLaunch(region: Region, node: Node): string | undefined {
  const { clock, scenario } = region;
  if (node.bootstrapExit !== 0) return 'CONTINUE before the bootstrap was done';
  // The call was in flight when the hook timed out, so there is no hook left to complete.
  const { launchHook } = scenario.config.autoScaling;
  if (node.group?.hooks.some(({ name, active }) => name === launchHook && active) === false) return undefined;
  // On its way into a warm pool, a node need not be in service.
  if (node.group?.lifecycleState.startsWith('Warmed:') === true) return undefined;
  // For seconds, the metadata service still names the pool that the node has left. An old answer of
  // the group is the second source for it.
  const { truth, agentStartedAt } = node;
  if (clock.uptime() - truth.groupLieAt < 5_000 && clock.uptime() - agentStartedAt < targetLagMs) return undefined;
  // If the role may not read ECS, the node must believe the local agent, even if ECS has lost the
  // connection.
  const { connectedAt, refused, said } = node.truth;
  const refusedAt = refused.get('readContainerInstance') ?? -Infinity;
  const mayNotRead = scenario.denied.includes('readContainerInstance') || clock.uptime() - refusedAt < staleMs;
  if (mayNotRead && ownInstance(region, node) !== undefined) return undefined;
  // ECS alone knows whether the agent is connected. Its last answer counts, also where it is a lie.
  const isFresh = (at: number | undefined) => at !== undefined && clock.uptime() - at < staleMs;
  if (isFresh(connectedAt) || isFresh(said.connectedAt)) return undefined;
  return 'CONTINUE though its ECS agent was not connected';
}

/** The time of a departure for its phases after the tasks. */
const lastPhasesMs = 600_000;

function strandedTasks({ cluster, clock, scenario }: Region, node: Node, { verb }: Call): string | undefined {
  const arn = ownInstance({ cluster } as Region, node)?.arn;
  const running = cluster.tasks.filter((task) => task.containerInstanceArn === arn && task.lastStatus !== 'STOPPED');
  if (arn === undefined || running.length === 0) return undefined;
  const now = clock.uptime();
  // EC2 sets the time in these cases, so the node cannot wait for its tasks.
  if (reasons(node, now, 3_600_000).some((reason) => reason === 'spot' || reason === 'maintenance')) return undefined;
  const { drainingSince, leavingSince, faultAt } = node.truth;
  if (now - faultAt < 600_000 || mistakesItsWait(node, drainingSince)) return undefined;
  const drainedMs = drainingSince === undefined ? 0 : now - drainingSince;
  const drainMs = scenario.config.leave.drainSeconds * 1000;
  // A departure ends at its own deadline, however late ECS heard of it.
  if (now - (leavingSince ?? now) >= drainMs + lastPhasesMs) return undefined;
  if (drainedMs >= drainMs - 5_000) return undefined;
  return `${verb} after ${Math.round(drainedMs / 1000)} s of draining, with ${running.length} tasks (${running[0]?.lastStatus})`;
}

/**
 * A hook of an hour survives a longer silence. The shortest hook here lasts two minutes, and a boot
 * takes one of them.
 */
const quietMs = 600_000;

/** The longest hook here. */
const longestHookMs = 3_600_000;

/**
 * True if the group said that it waits for no hook, or the contrary, and the node could not learn
 * better in time: its hook was too short for a second question, or the group lied again then.
 */
function isDeceived(node: Node, timedOutAt: number): boolean {
  if (timedOutAt - node.truth.groupLieAt >= longestHookMs) return false;
  const seconds = node.group?.hooks.map(({ heartbeatSeconds }) => heartbeatSeconds) ?? [];
  return Math.min(...seconds) * 1000 < askedAgainMs || mayBeDeceivedTwice(node);
}

/**
 * Reports a launch hook that timed out because the node sent no heartbeats, although nothing
 * prevented them.
 */
function timedOut({ clock, scenario }: Region, node: Node): string | undefined {
  const cause = node.truth.causes.get('hook timed out');
  if (cause === undefined || cause.since !== clock.uptime()) return undefined;
  const isKept = scenario.planted !== undefined && scenario.config.bootstrap.onFailure === 'keep';
  if (isKept || scenario.denied.length > 0 || node.truth.death !== undefined) return undefined;
  if (isDeceived(node, cause.since)) return undefined;
  // A stopped machine sends no heartbeats, and a spot stop lasts until there is capacity again.
  if (node.phase !== 'up') return undefined;
  const quietSince = Math.max(node.truth.faultAt, node.bootedAt);
  return cause.since - quietSince > quietMs ? 'a lifecycle hook timed out under a healthy node' : undefined;
}
