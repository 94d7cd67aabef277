/** One row for each node of a fleet, the worst first. Pure. */

import type { FleetContainerInstance, FleetMachine, FleetMember, FleetReport } from '../../core/fleet/fleet-nodes.ts';
import type { Survey } from '../survey.ts';

export interface NodeRow {
  instanceId: string;
  /** An external instance (ECS Anywhere): EC2 and Auto Scaling do not know it. */
  external?: true;
  name?: string;
  zone: string;
  type: string;
  /** Time of the last start, milliseconds since 1970. Absent if EC2 does not list the instance. */
  launchedAt?: number;
  /** Its state in EC2. Absent if EC2 does not list the instance. */
  machine?: string;
  group?: string;
  /** Its state in the group. */
  lifecycle?: string;
  /** Its status in ECS. Absent if ECS has no record. */
  ecs?: string;
  connected?: boolean;
  running?: number;
  pending?: number;
  /** Usage of the fullest disk that it reported. */
  diskPercent?: number;
  /** Milliseconds since 1970. */
  reportedAt?: number;
  /** Version of ecs-node. */
  version?: string;
  /** Version of the ECS agent. */
  agentVersion?: string;
  /** Why it left, as the node wrote it. */
  lastWords?: string;
  /** The worst first. Empty for a node without trouble. */
  troubles: string[];
}

export interface FleetView {
  at: number;
  cluster: string;
  groups: string[];
  /** External instances come last. */
  rows: NodeRow[];
  /** Without external instances. `external` is absent if there are none. */
  summary: {
    nodes: number;
    well: number;
    draining: number;
    disconnected: number;
    missing: number;
    tasks: number;
    external?: number;
  };
  /** Facts that could not be read, and why. */
  unanswered: { what: string; why: string }[];
}

export const versionTag = 'ecs-node:version';
export const lastWordsTag = 'ecs-node:left';

/** The node itself acts soon (`disk.fullPercent`). */
const fullPercent = 90;

/** Bootstrap and joining time out after this time. */
const youngMs = 25 * 60_000;

/** `reports` is undefined if CloudWatch did not answer. */
export function viewFleet(
  cluster: string,
  { groups, containerInstances, staleRecords, external, members, machines }: Survey,
  reports: readonly FleetReport[] | undefined,
  now: number,
  unanswered: FleetView['unanswered'] = [],
): FleetView {
  const inCluster = new Map(containerInstances.map((instance) => [instance.instanceId, instance]));
  const inGroup = new Map(members.map((member) => [member.instanceId, member]));
  const reported = new Map(reports?.map((report) => [report.instanceId, report]));
  const stale = new Set(staleRecords.map(({ instanceId }) => instanceId));
  const rows = [...new Set([...inGroup.keys(), ...inCluster.keys()])].map((id) =>
    rowOf(
      id,
      { machine: machines.get(id), member: inGroup.get(id), instance: inCluster.get(id), isDouble: stale.has(id) },
      reported.get(id),
      now,
    ),
  );
  const count = (test: (row: NodeRow) => boolean) => rows.filter(test).length;
  return {
    at: now,
    cluster,
    groups,
    rows: [...rows.toSorted(worstFirst), ...external.map(externalRow)],
    summary: {
      nodes: rows.length,
      well: count(({ troubles }) => troubles.length === 0),
      draining: count(({ ecs }) => ecs === 'DRAINING'),
      disconnected: count(({ connected }) => connected === false),
      missing: count(({ ecs }) => ecs === undefined),
      tasks: rows.reduce((sum, { running = 0 }) => sum + running, 0),
      ...(external.length > 0 && { external: external.length }),
    },
    unanswered,
  };
}

interface RowSources {
  machine: FleetMachine | undefined;
  member: FleetMember | undefined;
  instance: FleetContainerInstance | undefined;
  /** It has a second record in ECS. */
  isDouble: boolean;
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
    ...(instance && ecsFieldsOf(instance)),
    ...(report && { diskPercent: report.usedPercent, reportedAt: report.at }),
    ...(name !== undefined && { name }),
    ...(version !== undefined && { version }),
    ...(lastWords !== undefined && { lastWords }),
    troubles: troublesOf(sources, report, now),
  };
}

function ecsFieldsOf({ status, agentConnected, runningTasks, pendingTasks, agentVersion }: FleetContainerInstance) {
  return { ecs: status, connected: agentConnected, running: runningTasks, pending: pendingTasks, agentVersion };
}

/** Its troubles are not for this table: its owner looks after it elsewhere. */
function externalRow(instance: FleetContainerInstance): NodeRow {
  const { instanceId } = instance;
  return { instanceId, external: true, zone: '', type: 'external', ...ecsFieldsOf(instance), troubles: [] };
}

/** In the order of `severity`. */
function troublesOf(
  { machine, member, instance, isDouble }: RowSources,
  report: FleetReport | undefined,
  now: number,
): string[] {
  const isWarm = member === undefined ? machine?.state === 'stopped' : /^(Warmed|Standby)/.test(member.lifecycleState);
  const age = now - (machine?.launchedAt ?? now);
  const troubles = [
    machine === undefined && 'gone',
    machine?.state === 'terminated' && 'terminated',
    instance?.agentConnected === false && !isWarm && 'disconnected',
    instance === undefined && !isWarm && age >= youngMs && 'not in the cluster',
    report !== undefined && report.usedPercent >= fullPercent && 'disk full',
    member?.healthy === false && 'unhealthy',
    isDouble && 'two records in ECS',
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
  'two records in ECS',
  'draining',
  'terminating',
  'starting',
];

/** By the worst trouble, the number of troubles, the fullest disk, the id. */
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
