/** When a source lies, and what the invariants know about it. */

import type { Call } from '../effects.ts';
import { noteFault, type Node } from '../world/node.ts';
import { count, note, type Region } from '../world/region.ts';
import { begin, finish } from './causes.ts';
import type { Lie } from './lies.ts';

/** Until the life becomes calm, one source after the other lies. */
export function tellLies(region: Region): void {
  const { clock, lies } = region;
  if (lies === undefined) return;
  clock.schedule(lies.chance.around(60_000), () => {
    if (region.calm) return;
    const lie = lies.begin(region.nodes.filter(({ phase }) => phase === 'up').map(({ id }) => id));
    if (lie !== undefined) beginLie(region, lie);
    tellLies(region);
  });
}

function beginLie(region: Region, { source, kind, node, until, since, flipMs }: Lie): void {
  const { chance } = region.lies!;
  count(region.stats.faults, `lie: ${source} ${kind}`);
  const victim = region.nodes.find(({ id }) => id === node);
  const flips = flipMs === undefined ? '' : `, to and fro every ${flipMs} ms`;
  note(region, victim, `${source} lies for ${(until - since) / 1000} s: ${kind}${flips}`);
  region.clock.schedule(until - since, () => endLie(region));
  if (chance.happens(0.2)) for (const each of region.nodes) jump(region, each, chance.pick(jumps));
}

/** An hour, and more than the two weeks by which EC2 announces maintenance. */
const jumps = [-3_600_000, 3_600_000, -1_296_000_000, 1_296_000_000] as const;

/** Clocks jump at the worst moment. */
function jump(region: Region, node: Node, ms: number): void {
  node.wallOffset += ms;
  node.truth.jumpedAt = region.clock.uptime();
  note(region, node, 'wall clock jumps', ms);
}

/** The metadata service takes its word back, if it has given one. */
export function endLie(region: Region): void {
  for (const node of region.nodes) finish(node, 'lie', region.clock.uptime());
}

/**
 * A lie is a fault: whatever must happen in time may come later. Only the metadata service may
 * bring a node as far as DRAINING, which is undone.
 */
export function hearLie(region: Region, node: Node, { verb, service }: Call, { kind, verb: only }: Lie): void {
  const now = region.clock.uptime();
  if (only === undefined) noteFault(node, now);
  else node.truth.faultAt = now;
  if (service === 'opsworks') node.truth.opsworksTroubleAt = now;
  if (service === 'ecs') node.truth.ecsLieAt = now;
  if (service === 'ec2' || verb === 'readTags' || verb === 'readOwnTags') node.truth.denialLieAt = now;
  if (service === 'autoscaling') {
    node.truth.groupLieAt = now;
    node.truth.groupLieSince = Math.min(node.truth.groupLieSince, now);
  }
  if (service === 'metadata') begin(node, 'lie', now);
  count(region.stats.faults, `told: ${service} ${kind}`);
  if (service !== 'metadata' && service !== 'introspection') note(region, node, `${verb}: ${kind} answer`);
}
