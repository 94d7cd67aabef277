/** The decisions of EC2, Auto Scaling and operators about a node. */

import { paths, renderState, type OperatorRequest } from '../../../core/state/state.ts';
import { begin, finish } from './causes.ts';
import type { Conditions } from '../effects.ts';
import { hibernate, reboot, shutDown, stopAndStart } from '../world/machine-life.ts';
import type { Node } from '../world/node.ts';
import { count, note, type Region } from '../world/region.ts';

export function giveNotice(region: Region, conditions: Conditions, node: Node): void {
  const kinds = [
    // Auto Scaling keeps no spot instances in warm pools.
    ...(region.scenario.spot && region.scenario.warmPool === undefined ? [interrupt, interrupt, rebalance] : []),
    ...(node.group?.lifecycleState === 'InService' ? [scaleIn] : []),
    maintain,
    operate,
  ];
  region.chance.pick(kinds)(region, conditions, node);
}

function logNotice(region: Region, node: Node, what: string): void {
  count(region.stats.faults, `notice: ${what}`);
  note(region, node, `notice: ${what}`);
}

/** EC2 takes the instance after two minutes, whatever the node does. */
export function interrupt(region: Region, conditions: Conditions, node: Node): void {
  if (node.metadata.spotNotice !== undefined) return;
  const { clock, chance } = region;
  const drawn = chance.pick(['terminate', 'terminate', 'stop'] as const);
  const action = region.inconsistency?.chance.happens(0.4) === true ? 'hibernate' : drawn;
  logNotice(region, node, `spot ${action}`);
  begin(node, 'spot', clock.uptime());
  // Hibernation begins at once.
  const leadMs = action === 'hibernate' ? 0 : 120_000;
  node.metadata.spotNotice = { action, at: clock.now() + leadMs };
  if (leadMs > 0 && region.inconsistency?.chance.happens(0.2) === true)
    repeatLater(region, node, node.metadata.spotNotice);
  clock.schedule(leadMs + chance.between(0, 20_000), () => {
    if (node.phase === 'stopping' || node.phase === 'gone') return;
    if (action === 'hibernate' && node.phase === 'up') hibernate(region, node);
    else if (action === 'terminate') shutDown(region, node, 'spot');
    else stopAndStart(region, conditions, node);
  });
}

/** Repeats the notice with a time that differs by some seconds. */
function repeatLater(
  { clock, inconsistency }: Region,
  node: Node,
  notice: NonNullable<Node['metadata']['spotNotice']>,
): void {
  const [inMs, offMs] = [
    inconsistency?.chance.between(5_000, 60_000) ?? 0,
    inconsistency?.chance.between(-5_000, 5_000) ?? 0,
  ];
  clock.schedule(inMs, () => {
    if (node.metadata.spotNotice === notice) node.metadata.spotNotice = { ...notice, at: (notice.at ?? NaN) + offMs };
  });
}

function rebalance(region: Region, _sky: Conditions, node: Node): void {
  const { clock, scenario } = region;
  if (node.metadata.rebalanceNotice !== undefined) return;
  logNotice(region, node, 'rebalance');
  if (scenario.config.rebalance.action === 'drain') {
    begin(node, 'rebalance', clock.uptime());
    isOverWhenUndone(region, node, scenario.config.rebalance.undoSeconds * 1000);
  }
  node.metadata.rebalanceNotice = new Date(clock.now()).toISOString();
}

/**
 * The time counts from the moment when the node received the notice, because its metadata service
 * can be down for long.
 */
function isOverWhenUndone(region: Region, node: Node, undoMs: number): void {
  const { clock } = region;
  clock.schedule(undoMs, () => {
    if (node.phase === 'gone') return;
    const { rebalanceHeardAt = Infinity } = node.truth;
    if (rebalanceHeardAt + undoMs <= clock.uptime()) finish(node, 'rebalance', clock.uptime());
    else isOverWhenUndone(region, node, undoMs);
  });
}

export function scaleIn(region: Region, _sky: Conditions, node: Node): void {
  logNotice(region, node, 'scale-in');
  begin(node, 'scale-in', region.clock.uptime());
  region.desired = Math.max(0, region.desired - 1);
  node.group?.begin('terminate');
}

/** Maintenance, for later or for now, which EC2 sometimes cancels. */
function maintain(region: Region, conditions: Conditions, node: Node): void {
  const code = region.chance.pick([
    'instance-reboot',
    'system-maintenance',
    'instance-retirement',
    'instance-stop',
    'instance-of-the-future',
  ]);
  announce(region, conditions, node, code);
}

export function retire(region: Region, conditions: Conditions, node: Node): void {
  announce(region, conditions, node, 'instance-retirement');
}

function announce(region: Region, conditions: Conditions, node: Node, code: string): void {
  const { chance, clock, scenario } = region;
  const { action, leadSeconds } = scenario.config.maintenance;
  const inMs = chance.pick([600_000, 3_600_000, 86_400_000]);
  const id = `instance-event-${region.stats.events}${node.id}`;
  logNotice(region, node, `maintenance ${code} in ${inMs / 60_000} min`);
  const atOnce = isAtOnce(code);
  const known = atOnce || code !== 'instance-of-the-future';
  const notBefore = clock.now() + inMs;
  const event = { id, code, state: 'active' as const, notBefore, description: '' };
  node.metadata.maintenance.push(event);
  const dueMs = atOnce ? 0 : Math.max(0, inMs - leadSeconds * 1000);
  const dueAt = clock.uptime() + dueMs;
  const due = () => {
    if (action !== 'leave' || !known || clock.uptime() < dueAt) return;
    if (!node.metadata.maintenance.includes(event)) return;
    begin(node, 'maintenance', clock.uptime());
    // A person's `stay` that the node could not carry out yet overrules this event, too.
    if (isToStay(node)) node.truth.overruled.add(id);
    else if (atOnce && !node.truth.overruled.has(id)) begin(node, 'retirement', clock.uptime());
  };
  due();
  if (dueMs > 0) clock.schedule(dueMs, due);
  if (region.inconsistency?.chance.happens(0.3) === true) leaveOut(region, node, event, due);
  if (chance.happens(0.4)) clock.schedule(chance.around(300_000), () => cancel(region, node, id));
  else if (inMs < 1_000_000 && known) {
    clock.schedule(inMs, () => {
      if (node.phase !== 'up') return;
      cancel(region, node, id);
      if (atOnce) shutDown(region, node, 'retirement');
      else reboot(region, conditions, node);
    });
  }
}

function isToStay({ machine }: Node): boolean {
  const text = machine.files.get(paths.request);
  return typeof text === 'string' && text.includes('"action": "stay"');
}

/** Nodes do not wait for the time of these events. */
function isAtOnce(code: string): boolean {
  return code === 'instance-retirement' || code === 'instance-stop';
}

/** The metadata service drops an event, and lists it again some minutes later. */
function leaveOut(region: Region, node: Node, event: Node['metadata']['maintenance'][number], due: () => void): void {
  const { clock, inconsistency } = region;
  const [inMs, forMs] = [inconsistency?.chance.around(120_000) ?? 0, inconsistency?.chance.around(60_000) ?? 0];
  clock.schedule(inMs, () => {
    if (!node.metadata.maintenance.includes(event)) return;
    logNotice(region, node, 'maintenance is left out for a while');
    cancel(region, node, event.id);
    clock.schedule(forMs, () => {
      // An event whose time has passed meanwhile is over.
      if (region.calm || node.phase === 'gone' || (event.notBefore ?? 0) < clock.now()) return;
      node.metadata.maintenance.push(event);
      due();
    });
  });
}

function cancel(region: Region, node: Node, id: string): void {
  const now = region.clock.uptime();
  const left = node.metadata.maintenance.filter((event) => event.id !== id);
  node.metadata.maintenance = left;
  if (left.length === 0) finish(node, 'maintenance', now);
  const { overruled } = node.truth;
  if (!left.some((event) => isAtOnce(event.code) && !overruled.has(event.id))) finish(node, 'retirement', now);
}

/** Plays an operator: `ecs-node leave`, `leave --no-terminate`, `stay`. */
function operate(region: Region, _sky: Conditions, node: Node): void {
  request(region, node, region.chance.pick(['leave', 'drain', 'stay', 'stay'] as const));
}

export function orderToLeave(region: Region, _sky: Conditions, node: Node): void {
  request(region, node, 'leave');
}

function request(region: Region, node: Node, verb: 'leave' | 'drain' | 'stay'): void {
  const { chance, clock } = region;
  logNotice(region, node, `operator ${verb}`);
  const text: OperatorRequest = {
    instanceId: node.id,
    id: String(chance.whole(1, 1e9)),
    action: verb === 'stay' ? 'stay' : 'leave',
    reason: 'by hand',
    terminate: verb === 'leave',
    at: clock.now(),
  };
  const now = clock.uptime();
  // The last request counts.
  for (const reason of ['operator', 'drain-only'] as const) finish(node, reason, now);
  // An operator can overrule a retirement.
  if (verb === 'stay') {
    finish(node, 'retirement', now);
    for (const { id } of node.metadata.maintenance) node.truth.overruled.add(id);
  }
  if (verb !== 'stay') begin(node, verb === 'leave' ? 'operator' : 'drain-only', now);
  node.machine.files.set(paths.request, renderState(text));
}
