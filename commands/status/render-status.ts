/** The status of a node, for people. Pure. */

import type { AgentStatus, ChoreStatus, WatcherStatus } from '../../agent/status.ts';
import {
  phases,
  type BootstrapState,
  type DepartureState,
  type Registered,
  type StepRecord,
} from '../../core/state/state.ts';
import { renderFault, type Fault } from '../../core/errors.ts';
import { visibleLine } from '../../core/visible.ts';
import type { Status } from './status-report.ts';

export function hasNothingRun({ bootstrap, agent, departure }: Status): boolean {
  return bootstrap === undefined && agent === undefined && departure === undefined;
}

/** `faults`: those of a configuration with which nothing has run yet. */
export function renderStatus(status: Status, now: number, faults: readonly Fault[] = [], root = '/'): string {
  const { bootstrap, agent, departure, remarks } = status;
  if (hasNothingRun(status)) {
    // The units know no other root.
    const [below, start] =
      root === '/'
        ? ['', 'systemctl start ecs-node-bootstrap']
        : [` --root ${root}`, `ecs-node bootstrap --root ${root}`];
    const next =
      faults.length === 0
        ? [`Begin with: ecs-node configure --cluster NAME${below} && ${start}`]
        : ['The configuration is wrong, so nothing can start:', ...faults.map((fault) => `  ${renderFault(fault)}`)];
    return joinLines([
      'Nothing has run on this machine yet: no bootstrap, no agent.',
      ...next,
      ...remarks.map((remark) => `Remark: ${remark}`),
    ]);
  }
  const sections = [
    identityLines(status),
    bootstrapLines(bootstrap, now),
    agentLines(agent, now),
    daemonTaskLines(status, now),
    departureLines(departure, now),
    requestLines(status, now),
    errorLines(status, now),
    remarks.map((remark) => `Remark     ${remark}`),
  ];
  return joinLines(sections.flat());
}

/** Reasons and errors may hold text of others, which must not look like another line. */
export function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${visibleLine(line)}\n`).join('');
}

function requestLines({ request, departure }: Status, now: number): string[] {
  if (request === undefined || request.id === departure?.key) return [];
  const line = (answer: string) => [
    `Request    ${request.action}: ${request.reason} (${ago(request.at, now)}; ${answer})`,
  ];
  if (request.action === 'stay' || departure === undefined || departure.undoneAt !== undefined)
    return line('not taken up yet');
  // The departure began for another cause, and its end is what the operator asked for.
  if (departure.phase === 'done') return departure.ending === 'remain' ? line('not taken up yet') : [];
  return line(`the node leaves already for ${departure.cause}`);
}

function identityLines({ instanceId, identity, cluster, bootstrap }: Status): string[] {
  const where =
    identity === undefined ? [] : [identity.instanceType, identity.zone, identity.privateIp, identity.accountId];
  const registered = bootstrap?.registered;
  const registrar =
    registered === undefined || registered.registrar === 'none' ? [] : [`registrar  ${describeRegistered(registered)}`];
  const former = (bootstrap?.former ?? []).map((one) => `former     ${describeRegistered(one)}, not left yet`);
  return [
    `Node       ${[instanceId ?? 'unknown', ...where].join(', ')}`,
    ...[
      `cluster    ${cluster ?? 'unknown'}`,
      `host name  ${bootstrap?.hostname ?? 'not chosen yet'}`,
      ...registrar,
      ...former,
    ].map((line) => `  ${line}`),
  ];
}

function describeRegistered({ registrar, id, unseen }: Registered): string {
  if (registrar === 'ssm') return unseen ? 'ssm, not seen by Systems Manager when the node booted' : 'ssm';
  return `${registrar}${id === undefined ? ', under way' : ` ${id}`}`;
}

/** The steps that have nothing to do without a registrar. */
const registrarSteps = ['register', 'assign'];

function bootstrapLines(state: BootstrapState | undefined, now: number): string[] {
  if (state === undefined) return ['Bootstrap  has not run yet'];
  const { outcome, startedAt, attempts, steps, reason, heldUntil, retryAt, registered } = state;
  const args = {
    running: `running since ${ago(startedAt, now)}`,
    done: `done, begun ${ago(startedAt, now)}`,
    failed: `failed, begun ${ago(startedAt, now)}${retryAt === undefined ? '' : `; a person has to act, tries again ${ahead(retryAt, now)}`}`,
    held: `held by the storm guard, tries again ${heldUntil === undefined ? 'later' : ahead(heldUntil, now)}`,
  }[outcome];
  const isNowhere = registered?.registrar === 'none';
  const note = ({ name, state: is, error }: StepRecord) =>
    error ?? (is === 'skipped' && isNowhere && registrarSteps.includes(name) ? 'registrar none' : '');
  const rows = steps.map((step) => [step.name, step.state, duration(step), stamp(step.startedAt), note(step)]);
  return [
    `Bootstrap  ${args}${attempts > 1 ? `, attempt ${attempts}` : ''}`,
    ...table(rows),
    ...(reason === undefined || outcome === 'done' ? [] : [`  reason  ${reason}`]),
  ];
}

function agentLines(agent: AgentStatus | undefined, now: number): string[] {
  if (agent === undefined) return ['Agent      has not run since this boot: systemctl status ecs-node'];
  const { join, launchHook, registration, watchers, at } = agent;
  const rows = Object.entries(watchers).map(([name, watcher]) => [
    name,
    watcher.finding,
    ago(watcher.at, now),
    describe(watcher),
  ]);
  return [
    `Agent      ${join.state} (${ago(join.since, now)}): ${join.detail}`,
    ...(launchHook === undefined
      ? []
      : [`  launch hook not completed (${ago(launchHook.since, now)}): ${launchHook.why}`]),
    ...(registration === undefined
      ? []
      : [`  capacity provider ${registration.provider} (${ago(registration.since, now)}): ${registration.detail}`]),
    `  last sign of life ${ago(at, now)}${isSilent(agent, now) ? ': it does not run; systemctl status ecs-node' : ''}`,
    ...table(rows),
    ...configurationLines(agent, now),
    ...choreLines(agent.chores ?? {}, now),
  ];
}

function configurationLines({ configuration }: AgentStatus, now: number): string[] {
  if (configuration === undefined) return [];
  const { takenOverAt, changed, pending } = configuration;
  const taken =
    takenOverAt === undefined ? [] : [`Settings   taken over ${ago(takenOverAt, now)}: ${changed.join(', ')}`];
  if (pending.length === 0) return taken;
  return [
    ...taken,
    `Settings   wait for the next boot, or for "systemctl restart ecs-node-bootstrap ecs": ${pending.join(', ')}`,
  ];
}

function choreLines(chores: Record<string, ChoreStatus>, now: number): string[] {
  const rows = Object.entries(chores).map(([name, { outcome, at, changedAt, error, failingSince }]) => [
    name,
    outcome,
    ago(at, now),
    error === undefined
      ? changedAt === undefined
        ? ''
        : `changed ${ago(changedAt, now)}`
      : `since ${ago(failingSince ?? at, now)}: ${error}`,
  ]);
  return rows.length === 0 ? [] : ['Upkeep', ...table(rows)];
}

function daemonTaskLines({ daemonTasks }: Status, now: number): string[] {
  const rows = Object.entries(daemonTasks?.families ?? {}).map(([family, { standing, since, detail }]) => [
    family,
    standing,
    ago(since, now),
    detail,
  ]);
  return rows.length === 0 ? [] : ['Daemon tasks', ...table(rows)];
}

/** The agent writes at least once a minute. */
export function isSilent({ at }: Pick<AgentStatus, 'at'>, now: number): boolean {
  return now - at > 180_000;
}

/** A watcher that found trouble could tell: its error says why the node does not act on it. */
export function isTrouble(finding: string): boolean {
  return finding === 'ailing' || finding === 'doomed';
}

function describeError({ finding, error }: WatcherStatus): string | undefined {
  return error === undefined || isTrouble(finding) ? error : `could not tell: ${error}`;
}

function describe(watcher: WatcherStatus): string {
  const { reason, facts } = watcher;
  const disks = facts?.['disks'];
  const unmeasured = facts?.['unmeasured'];
  const diskTexts = Array.isArray(disks)
    ? [...disks.map(describeDisk), ...(Array.isArray(unmeasured) ? unmeasured.map(describeUnmeasured) : [])]
    : Object.entries(facts ?? {}).map(([key, value]) => `${key} ${plain(value)}`);
  return [reason, ...diskTexts, describeError(watcher)].filter((word) => word !== undefined && word !== '').join('; ');
}

function describeDisk(disk: unknown): string {
  const { mountPath, usedPercent, usedInodesPercent } = (disk ?? {}) as Record<string, unknown>;
  return `${plain(mountPath)} ${plain(usedPercent)} % (inodes ${plain(usedInodesPercent)} %)`;
}

function describeUnmeasured(path: unknown): string {
  const { path: name, reason } = (path ?? {}) as Record<string, unknown>;
  return `${plain(name)} could not be measured (${plain(reason)})`;
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function departureLines(departure: DepartureState | undefined, now: number): string[] {
  if (departure === undefined) return ['Departure  none'];
  const { cause, reason, phase, startedAt, deadline, ending, blockers, troubles, entered, undoneAt } = departure;
  const args =
    undoneAt !== undefined
      ? `called off ${ago(undoneAt, now)}`
      : phase === 'done'
        ? `over; begun ${ago(startedAt, now)}`
        : `${phase}; begun ${ago(startedAt, now)}, must be done ${ahead(deadline, now)}`;
  const seen = phases.flatMap((name) => (entered[name] === undefined ? [] : [[name, stamp(entered[name])]]));
  return [
    `Departure  ${cause}: ${args}`,
    `  reason   ${reason}`,
    `  ending   ${{ terminate: 'terminates itself', await: 'AWS or another program ends the instance', remain: 'stays, drained' }[ending]}`,
    ...table(seen),
    ...blockers.map((blocker) => `  blocked by ${blocker}`),
    ...troubles.map((trouble) => `  trouble: ${trouble}`),
  ];
}

function errorLines({ agent, bootstrap }: Status, now: number): string[] {
  const failed =
    bootstrap?.outcome === 'done' ? undefined : bootstrap?.steps.findLast(({ state }) => state === 'failed');
  if (agent?.lastError !== undefined) {
    const { what, error, at } = agent.lastError;
    return [`Last error ${what}: ${error} (${ago(at, now)})`];
  }
  if (failed !== undefined)
    return [`Last error ${failed.name}: ${failed.error ?? 'unknown'} (${ago(failed.startedAt, now)})`];
  return ['Last error none'];
}

function duration({ ms }: StepRecord): string {
  return ms === undefined ? '' : `${(ms / 1000).toFixed(1)} s`;
}

function stamp(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').slice(0, 19);
}

function ago(at: number, now: number): string {
  return `${span(now - at)} ago`;
}

function ahead(at: number, now: number): string {
  return at <= now ? 'any moment' : `in ${span(at - now)}`;
}

/** The two largest units, which are exact enough for people. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))) ?? [];
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd());
}
