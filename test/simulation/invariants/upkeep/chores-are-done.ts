import { shortArn } from '../../../../core/arn.ts';
import { paths } from '../../../../core/state/state.ts';
import { daemonsOf, textfile } from '../../world/chores.ts';
import { ownInstance, type Node } from '../../world/node.ts';
import type { Region } from '../../world/region.ts';
import type { Invariant } from '../invariant.ts';

const minute = 60_000;

/** daemon-tasks.ts: the longest pause after a start that failed. */
const longestPauseMs = 15 * minute;

/** A round may just have begun, and has a deadline of at most two minutes. */
const roundMs = 3 * minute;

/** The chores are looked at this often: a life has some ten thousand events. */
const lookEveryMs = 30_000;

export const choresAreDone: Invariant = {
  name: 'chores are done',
  sentence:
    'While nothing hinders a node in service, its files for containers and its daemon task are as configured, whatever failed or was damaged before.',
  afterCall({ clock }, { truth }, { verb, args }) {
    if (verb === 'writeShared' && args[0] === textfile) truth.textfileAt = clock.uptime();
    return undefined;
  },
  afterEvent(region, node) {
    const now = region.clock.uptime();
    if (!region.scenario.chores || now < node.truth.choresDueAt) return undefined;
    node.truth.choresDueAt = now + lookEveryMs;
    if (!isInService(region, node)) node.truth.inServiceSince = undefined;
    else node.truth.inServiceSince ??= now;
    const { inServiceSince = now, faultAt, damagedAt } = node.truth;
    const ms = now - Math.max(inServiceSince, faultAt, damagedAt, node.agentStartedAt);
    const fault = faultOf(region, node, ms);
    return fault === undefined ? undefined : `${fault}, though nothing has hindered it for ${Math.round(ms / 1000)} s`;
  },
};

function isInService(region: Region, node: Node): boolean {
  const { phase, agent, bootstrapExit, localAgent, portClosed, group, truth } = node;
  const isUp = phase === 'up' && agent !== undefined && agent.asleep === undefined && bootstrapExit === 0;
  const own = ownInstance(region, node);
  const isActive = own?.status === 'ACTIVE' && own.agentConnected && localAgent !== undefined && !portClosed;
  const isWanted = (group?.lifecycleState ?? 'InService') === 'InService' && truth.leavingSince === undefined;
  return isUp && isActive && isWanted;
}

/** `ms`: nothing has hindered the node for so long. */
function faultOf(region: Region, node: Node, ms: number): string | undefined {
  const { containerEnvironment, ports, daemonTasks, metrics } = region.scenario.config;
  const { files } = node.machine;
  const isDue = (everySeconds: number) => ms > everySeconds * 1000 + roundMs;
  if (containerEnvironment.enabled && isDue(containerEnvironment.everySeconds)) {
    for (const name of ['node.config', 'node.json']) {
      const text = files.get(`${paths.containerConfig}/${name}`);
      if (typeof text !== 'string' || !text.includes(node.id)) return `${name} is not what the node writes`;
    }
  }
  if (ports.enabled && isDue(ports.everySeconds)) {
    const missing = tasksOf(region, node).find(
      (arn) => !isWhole(files.get(`${paths.ports}/${shortArn(arn)}.json`), arn),
    );
    if (missing !== undefined) return `no file says the ports of ${missing}`;
  }
  if (metrics.textfile !== undefined && isDue(2 * metrics.everySeconds)) {
    const age = region.clock.uptime() - node.truth.textfileAt;
    if (age > 2 * metrics.everySeconds * 1000 + roundMs) return 'no textfile is written';
  }
  if (daemonTasks.definitions === undefined) return undefined;
  const running = daemonsOf(region, node);
  const now = region.clock.uptime();
  if (running === 1) node.truth.daemonAt = now;
  const since = Math.min(ms, now - node.truth.daemonAt);
  return since > longestPauseMs + roundMs + daemonTasks.revisionSeconds * 1000
    ? `${running} daemon tasks run`
    : undefined;
}

function isWhole(text: string | Error | undefined, arn: string): boolean {
  return typeof text === 'string' && text.includes(arn);
}

/** The running tasks that are older than a round. */
function tasksOf({ cluster, clock, scenario }: Region, node: Node): string[] {
  const arn = node.localAgent?.containerInstanceArn;
  const oldMs = scenario.config.ports.everySeconds * 1000 + roundMs;
  return cluster.tasks
    .filter(({ containerInstanceArn, lastStatus, createdAt = 0 }) => {
      return containerInstanceArn === arn && lastStatus === 'RUNNING' && clock.now() - createdAt > oldMs;
    })
    .map((task) => task.arn);
}
