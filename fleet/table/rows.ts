/** One row for each node of a fleet, the worst first: what a person on call wants to see. Pure. */

import type { FleetContainerInstance, FleetMachine, FleetMember, FleetReport } from '../../core/fleet-nodes.ts';
import type { Survey } from '../survey.ts';

export interface NodeRow {
  instanceId: string;
  name?: string;
  zone: string;
  type: string;
  /** Of its last start, milliseconds since 1970; absent where EC2 does not know it. */
  launchedAt?: number;
  /** EC2's word for it; absent where EC2 does not know it. */
  machine?: string;
  group?: string;
  /** In its group. */
  lifecycle?: string;
  /** In ECS; absent where ECS does not know it. */
  ecs?: string;
  connected?: boolean;
  running?: number;
  pending?: number;
  /** Of the fullest disk that it has reported. */
  diskPercent?: number;
  /** Milliseconds since 1970. */
  reportedAt?: number;
  /** Of ecs-node, and of the ECS agent. */
  version?: string;
  agentVersion?: string;
  /** Why it left, in its own words. */
  lastWords?: string;
  /** What is wrong with it, the worst first; empty where all is well. */
  troubles: string[];
}

export interface FleetView {
  at: number;
  cluster: string;
  groups: string[];
  rows: NodeRow[];
  summary: { nodes: number; well: number; draining: number; disconnected: number; missing: number; tasks: number };
  /** What could not be looked at, and why. */
  unanswered: { what: string; why: string }[];
}

export const versionTag = 'ecs-node:version';
export const lastWordsTag = 'ecs-node:left';

/** Full enough that the node itself is about to act (`disk.fullPercent`). */
const fullPercent = 90;

/** A node is in ECS some minutes after its launch: bootstrap and joining time out after 25. */
const youngMs = 25 * 60_000;

/** `reports` is undefined where CloudWatch did not answer. */
export function viewFleet(
  cluster: string,
  { groups, containerInstances, members, machines }: Survey,
  reports: readonly FleetReport[] | undefined,
  now: number,
  unanswered: FleetView['unanswered'] = [],
): FleetView {
  const inCluster = new Map(containerInstances.map((instance) => [instance.instanceId, instance]));
  const inGroup = new Map(members.map((member) => [member.instanceId, member]));
  const reported = new Map(reports?.map((report) => [report.instanceId, report]));
  const rows = [...new Set([...inGroup.keys(), ...inCluster.keys()])].map((id) =>
    rowOf(
      id,
      { machine: machines.get(id), member: inGroup.get(id), instance: inCluster.get(id) },
      reported.get(id),
      now,
    ),
  );
  const count = (test: (row: NodeRow) => boolean) => rows.filter(test).length;
  return {
    at: now,
    cluster,
    groups,
    rows: rows.toSorted(worstFirst),
    summary: {
      nodes: rows.length,
      well: count(({ troubles }) => troubles.length === 0),
      draining: count(({ ecs }) => ecs === 'DRAINING'),
      disconnected: count(({ connected }) => connected === false),
      missing: count(({ ecs }) => ecs === undefined),
      tasks: rows.reduce((sum, { running = 0 }) => sum + running, 0),
    },
    unanswered,
  };
}

interface RowSources {
  machine: FleetMachine | undefined;
  member: FleetMember | undefined;
  instance: FleetContainerInstance | undefined;
}

function rowOf(instanceId: string, sources: RowSources, report: FleetReport | undefined, now: number): NodeRow {
  const { machine, member, instance } = sources;
  const { Name: name, [versionTag]: version, [lastWordsTag]: lastWords } = machine?.tags ?? {};
  return {
    instanceId,
    zone: machine?.zone ?? '',
    type: machine?.type ?? '',
    ...(machine && { launchedAt: machine.launchedAt, machine: machine.state }),
    ...(member && { group: member.group, lifecycle: member.lifecycleState }),
    ...(instance && {
      ecs: instance.status,
      connected: instance.agentConnected,
      running: instance.runningTasks,
      pending: instance.pendingTasks,
      agentVersion: instance.agentVersion,
    }),
    ...(report && { diskPercent: report.usedPercent, reportedAt: report.at }),
    ...(name !== undefined && { name }),
    ...(version !== undefined && { version }),
    ...(lastWords !== undefined && { lastWords }),
    troubles: troublesOf(sources, report, now),
  };
}

/** The worst first, as `severity` has them. */
function troublesOf({ machine, member, instance }: RowSources, report: FleetReport | undefined, now: number): string[] {
  const isWarm = member === undefined ? machine?.state === 'stopped' : /^(Warmed|Standby)/.test(member.lifecycleState);
  const age = now - (machine?.launchedAt ?? now);
  const troubles = [
    machine === undefined && 'gone',
    machine?.state === 'terminated' && 'terminated',
    instance?.agentConnected === false && !isWarm && 'disconnected',
    instance === undefined && !isWarm && age >= youngMs && 'not in the cluster',
    report !== undefined && report.usedPercent >= fullPercent && 'disk full',
    member?.healthy === false && 'unhealthy',
    instance?.status === 'DRAINING' && 'draining',
    member?.lifecycleState.startsWith('Terminating') === true && 'terminating',
    instance === undefined && !isWarm && age < youngMs && 'starting',
    instance !== undefined && !['ACTIVE', 'DRAINING'].includes(instance.status) && instance.status.toLowerCase(),
  ];
  return troubles.filter((trouble) => trouble !== false);
}

const severity = [
  'gone',
  'terminated',
  'disconnected',
  'not in the cluster',
  'disk full',
  'unhealthy',
  'draining',
  'terminating',
  'starting',
];

/** By the worst trouble, then by how many, then the fuller disk, then by name. */
function worstFirst(a: NodeRow, b: NodeRow): number {
  const rank = ({ troubles: [first] }: NodeRow) => {
    const position = first === undefined ? -1 : severity.indexOf(first);
    return first === undefined ? severity.length + 1 : position === -1 ? severity.length : position;
  };
  return (
    rank(a) - rank(b) ||
    b.troubles.length - a.troubles.length ||
    (b.diskPercent ?? 0) - (a.diskPercent ?? 0) ||
    (a.instanceId < b.instanceId ? -1 : 1)
  );
}
