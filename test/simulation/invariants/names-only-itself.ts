import type { Call } from '../effects.ts';
import type { Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

export const namesOnlyItself: Invariant = {
  name: 'names only itself',
  sentence:
    'No call that changes anything names another instance, another record, another hook or a task elsewhere, whatever AWS answers.',
  onCall: (region, node, call) => foreignArgument(region, node, call),
};

function foreignArgument(region: Region, node: Node, { verb, args }: Call): string | undefined {
  const [first, second] = args as [string, string];
  const { autoScaling, cluster } = region.scenario.config;
  switch (verb) {
    case 'drain':
    case 'activate':
    case 'deregisterContainerInstance':
    case 'queueToLeave':
    case 'unqueue': {
      const owner = region.cluster.instances.find(({ arn }) => arn === second)?.ec2InstanceId;
      return owner === node.id && first === cluster ? undefined : `${verb} of ${second} (${owner})`;
    }
    case 'stopTask': {
      const arn = region.cluster.tasks.find((task) => task.arn === second)?.containerInstanceArn;
      const owner = region.cluster.instances.find((instance) => instance.arn === arn)?.ec2InstanceId;
      return owner === node.id ? undefined : `${verb} of ${second} (${owner})`;
    }
    case 'heartbeat':
    case 'completeHook': {
      const ours: (string | undefined)[] = [autoScaling.launchHook, autoScaling.terminateHook];
      return ours.includes(second) ? undefined : `${verb} of ${first}/${second}`;
    }
    case 'assign':
    case 'unassign':
    case 'deregister': {
      const owner = region.scenario.opsworks.records.find(({ id }) => id === first)?.ec2InstanceId;
      return owner === undefined || owner === node.id ? undefined : `${verb} of ${first} (${owner})`;
    }
    default:
      return undefined;
  }
}
