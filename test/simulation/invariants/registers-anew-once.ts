import { paths } from '../../../core/state/state.ts';
import { longestLagMs } from '../faults/inconsistency.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Invariant } from './invariant.ts';

/** The stage that the node's own file names. */
export function registersAnew({ machine }: Node): string | undefined {
  const text = machine.files.get(paths.registration);
  return /"stage": "([a-z]+)"/.exec(typeof text === 'string' ? text : '')?.[1];
}

/** Before it deregisters, the node drains again if its record still seems ACTIVE. */
export function drainsToRegisterAnew(node: Node): boolean {
  return ['draining', 'deregistering'].includes(registersAnew(node) ?? '');
}

/** An older call takes effect late, and the node's next look at the record can be behind that. */
const unseenMs = longestLagMs + 1_000;

/** ECS and the ECS agent know a task after this time, even where a replica is behind. */
const seenMs = 180_000;

export const registersAnewOnce: Invariant = {
  name: 'registers anew once',
  sentence:
    'A node deregisters its container instance only to enter its capacity provider: without tasks, drained, and once in its life; and it ends up registered.',
  onCall({ cluster, clock }, node, { verb, args }) {
    if (verb === 'drain' && drainsToRegisterAnew(node)) {
      const old = cluster.tasks.find(
        ({ containerInstanceArn, lastStatus, createdAt = 0 }) =>
          containerInstanceArn === args[1] && lastStatus !== 'STOPPED' && clock.now() - createdAt > seenMs,
      );
      return old === undefined ? undefined : `${verb} to register anew, although ${old.arn} runs`;
    }
    if (verb !== 'deregisterContainerInstance') return undefined;
    const own = cluster.instances.find(({ arn }) => arn === args[1]);
    if (own === undefined || own.status === 'INACTIVE') return undefined;
    if (cluster.capacityProviders.size === 0) return `${verb}, and the cluster has no capacity provider`;
    if (own.capacityProvider !== undefined) return `${verb} of a container instance inside its capacity provider`;
    const isUnseen = own.status === 'ACTIVE' && clock.uptime() - node.truth.overtakenAt < unseenMs;
    if (own.status !== 'DRAINING' && !isUnseen) return `${verb} of a container instance that is ${own.status}`;
    if (node.localAgent !== undefined) return `${verb} while the ECS agent runs`;
    const before = cluster.instances.filter(
      ({ ec2InstanceId, status }) => ec2InstanceId === node.id && status === 'INACTIVE',
    );
    return before.length === 0 ? undefined : `${verb} for the second time`;
  },
  atEnd(region, node) {
    if (node.phase !== 'up' || node.bootstrapExit !== 0 || node.agent === undefined) return undefined;
    const stage = registersAnew(node);
    // Registered anew, and the role may never set it ACTIVE.
    if (stage === 'restoring' && region.scenario.denied.includes('activate')) return undefined;
    if (stage !== undefined && stage !== 'over') return `still registers anew: ${stage}`;
    const records = region.cluster.instances.filter(
      ({ ec2InstanceId, status }) => ec2InstanceId === node.id && status !== 'INACTIVE',
    );
    if (records.length > 1) return `has ${records.length} records`;
    return stage === 'over' && ownInstance(region, node) === undefined ? 'has no record any more' : undefined;
  },
};
