import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

/** The watcher's interval, plus its call under faults. */
const everyMsOf = (registrar: string) => (registrar === 'opsworks' ? 300_000 : 3_600_000);
const actMs = 120_000;

export const unprotected: Invariant = {
  name: 'unprotected',
  sentence:
    "Termination protection is off when a node ends itself, and within the watcher's interval when it is in service.",
  onCall(region, node, { verb }) {
    const now = region.clock.uptime();
    const { instance, truth } = node;
    if (verb !== 'terminateInGroup' || !instance.terminationProtection || isAllowed(region, node)) return undefined;
    const late = now - (truth.protectedSince ?? now) < 60_000 || now - truth.faultAt < 600_000;
    return late ? undefined : 'ends itself while protected, which Auto Scaling cannot undo';
  },
  afterEvent(region, node) {
    const { truth, instance } = node;
    const now = region.clock.uptime();
    if (!instance.terminationProtection) truth.protectedSince = undefined;
    else truth.protectedSince ??= now;
    if (truth.protectedSince === undefined || isAllowed(region, node)) return undefined;
    if (node.agent === undefined || ownInstance(region, node) === undefined) return undefined;
    const since = Math.max(truth.protectedSince, node.agentStartedAt, truth.faultAt, truth.connectedSince ?? now);
    const limit = everyMsOf(region.scenario.config.registrar) * (1 + truth.stubborn) + actMs;
    return now - since > limit ? `protected against termination for ${Math.round((now - since) / 1000)} s` : undefined;
  },
};

function isAllowed({ scenario: { config, denied } }: Region, { identity }: Node): boolean {
  const mayNot = denied.includes('readTerminationProtection') || denied.includes('clearTerminationProtection');
  return config.terminationProtection === 'keep' || mayNot || identity.purchase === 'spot';
}
