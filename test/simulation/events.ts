/**
 * Events from outside: outages, accidents, notices, and an Auto Scaling group that keeps its
 * desired capacity.
 */

import { groupTag } from '../../upkeep/group-tag.ts';
import { begin } from './faults/causes.ts';
import { fillUp, openDisk } from './world/disk.ts';
import { kill, type Conditions } from './effects.ts';
import { boot, reboot } from './world/machine-life.ts';
import { openNode, type Node } from './world/node.ts';
import { tellLies } from './faults/lying.ts';
import { giveNotice } from './faults/notices.ts';
import { count, note, type Region } from './world/region.ts';
import { poolFirst } from './world/warm-pool.ts';
import type { Scenario } from './scenario.ts';
import { breakDocker } from './world/docker.ts';
import { fallIll, loseSight, openProvider, placeTasks } from './world/tasks.ts';

/** Limits the launches: a group that launched without end would never let the simulation end. */
const maxLaunches = ({ nodes }: Scenario) => Math.max(12, 2 * nodes);

export function beginEvents(region: Region, conditions: Conditions): void {
  const { scenario, chance } = region;
  for (let i = 0; i < scenario.nodes; i++)
    region.clock.schedule(chance.between(0, 20_000), () => launch(region, conditions));
  repeat(region, scenario.troubleEveryMs, () => trouble(region));
  repeat(region, scenario.accidentEveryMs, () => onOne(region, (node) => accident(region, conditions, node)));
  repeat(region, scenario.noticeEveryMs, () => onOne(region, (node) => giveNotice(region, conditions, node)));
  repeat(region, scenario.ailmentEveryMs, () => onOne(region, (node) => ail(region, node)));
  tellLies(region);
  placeTasks(region);
  openProvider(region);
  unsteady(region);
  if (scenario.hasGroup) keepDesired(region, conditions);
}

/** The same limit as for a new instance. */
const mostIgnored = 2;

/** Leaves a service short of tasks for a while, as each drain does. */
function unsteady(region: Region): void {
  const { chance, clock, cluster } = region;
  clock.schedule(chance.around(400_000), () => {
    cluster.unsteadyServices = region.calm || cluster.unsteadyServices.length > 0 ? [] : ['web'];
    if (!region.calm) unsteady(region);
  });
}

/** Repeats the event until the life becomes calm. */
function repeat(region: Region, everyMs: number, act: () => void): void {
  region.clock.schedule(region.chance.around(everyMs), () => {
    if (region.calm) return;
    act();
    repeat(region, everyMs, act);
  });
}

function onOne(region: Region, act: (node: Node) => void): void {
  const nodes = region.nodes.filter(({ phase }) => phase === 'up');
  if (nodes.length > 0) act(region.chance.pick(nodes));
}

function launch(region: Region, conditions: Conditions): void {
  const { chance, clock } = region;
  const node = openNode(region, ++region.launched);
  region.nodes.push(node);
  openDisk(region, node);
  if (region.scenario.planted !== undefined) begin(node, 'planted', clock.uptime());
  if (node.group !== undefined) {
    region.activities.push({ kind: 'launch', instanceId: node.id, at: clock.now(), succeeded: true });
    if (region.scenario.warmPool !== undefined) poolFirst(region, conditions, node, region.scenario.warmPool);
    node.group.begin('launch');
    if (region.scenario.showsGroup === true) node.metadata.tags = { [groupTag]: node.group.name };
  }
  note(region, node, 'launched');
  if (region.inconsistency?.chance.happens(0.15) === true) surprise(region, conditions, node);
  clock.schedule(chance.between(5_000, 40_000), () => {
    if (node.phase === 'booting') boot(region, conditions, node);
  });
}

/** Sends an event to a node that is still joining. */
function surprise(region: Region, conditions: Conditions, node: Node): void {
  const { clock, inconsistency } = region;
  clock.schedule(2_000, () => {
    if (node.phase === 'gone' || region.calm) return;
    if (node.agent === undefined) return surprise(region, conditions, node);
    clock.schedule(inconsistency?.chance.between(0, 15_000) ?? 0, () => {
      if (node.phase === 'up' && !region.calm) giveNotice(region, conditions, node);
    });
  });
}

function keepDesired(region: Region, conditions: Conditions): void {
  region.clock.schedule(15_000, () => {
    const alive = region.nodes.filter(({ phase }) => phase === 'up' || phase === 'booting').length;
    if (!region.calm && alive < region.desired && region.launched < maxLaunches(region.scenario))
      launch(region, conditions);
    keepDesired(region, conditions);
  });
}

function trouble(region: Region): void {
  const { chance, faults } = region;
  const node = chance.happens(0.5) ? undefined : chance.pick(region.nodes.map(({ id }) => id).concat(''));
  const what = faults.startOutage(
    chance.around(chance.pick([20_000, 120_000, 900_000])),
    node === '' ? undefined : node,
  );
  note(region, undefined, `outage: ${what}`, node);
}

function accident(region: Region, conditions: Conditions, node: Node): void {
  const { chance, stats } = region;
  const what = chance.pick(['killed', 'killed', 'reboot', 'clock', 'clock', 'protected']);
  count(stats.faults, `accident: ${what}`);
  if (what === 'reboot') return reboot(region, conditions, node);
  if (what === 'protected') {
    if (node.identity.purchase !== 'spot') node.instance.terminationProtection = true;
    // Clearing the protection shows late once more. No node has ever seen it do so for longer than
    // two attempts take.
    if (region.inconsistency?.chance.happens(0.7) === true && node.instance.clearsIgnored < mostIgnored) {
      node.instance.clearsIgnored += 1;
      node.truth.stubborn += 1;
    }
    return note(region, node, 'an operator turns termination protection on');
  }
  if (what === 'clock') {
    const ms = chance.pick([-3_600_000, -60_000, -1_000, 1_000, 60_000, 3_600_000]);
    node.wallOffset += ms;
    node.truth.jumpedAt = region.clock.uptime();
    return note(region, node, 'wall clock jumps', ms);
  }
  const process = node.agent ?? node.bootstrap;
  note(region, node, 'kill -9', process?.name ?? 'nothing');
  if (process !== undefined) kill(process);
}

function ail(region: Region, node: Node): void {
  const { chance, nodes } = region;
  const all = nodes.filter(({ phase }) => phase === 'up');
  // The cause that fills one disk, or disconnects one node, often affects all nodes.
  const many = all.length > 2;
  if (many && chance.happens(0.2)) for (const each of all) fillUp(region, each);
  // 0.25 of the remaining probability makes this as frequent as the case of all disks.
  else if (many && chance.happens(0.25)) loseSight(region);
  else if (chance.happens(0.5)) fillUp(region, node);
  else if (chance.happens(0.2)) breakDocker(region, node);
  else fallIll(region, node);
}
