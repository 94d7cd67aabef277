import { groupTag } from '../../../upkeep/group-tag.ts';
import type { ContainerInstance } from '../../../core/host.ts';
import type { Call } from '../effects.ts';
import type { Node, Said } from '../world/node.ts';
import type { Invariant } from './invariant.ts';

export const actsOnItsOwn: Invariant = {
  name: 'acts on its own',
  sentence: "No deed on anything that ECS, EC2 or Auto Scaling has not said to be this instance's.",
  onCall: (_region, node, call) => unsaid(node, call),
  afterCall({ clock }, { truth: { said } }, call, result) {
    remember(said, call, result);
    if (call.verb === 'readContainerInstance') {
      const isConnected = (result as ContainerInstance | undefined)?.agentConnected === true;
      said.connectedAt = isConnected ? clock.uptime() : undefined;
    }
    return undefined;
  },
};

/** The answer as the node got it, whether true or not. */
function remember(said: Said, { service, verb, args }: Call, result: unknown): void {
  switch (verb) {
    case 'readContainerInstance': {
      const { arn, others = [] } = (result ?? {}) as { arn?: string; others?: string[] };
      for (const each of arn === undefined ? [] : [arn, ...others]) said.records.add(each);
      return;
    }
    case 'ownsContainerInstance':
      if (result === true) said.records.add(String(args[1]));
      return;
    case 'readTasks':
      if (service === 'ecs') for (const { arn } of result as { arn: string }[]) said.tasks.add(arn);
      return;
    case 'startTask':
      said.tasks.add(String(result));
      return;
    case 'readPing':
      said.online ||= result === 'Online';
      return;
    case 'readMembership':
      if (result !== undefined) said.groups.add((result as { group: string }).group);
      return;
    // These tags are EC2's, also where the metadata service shows them.
    case 'readOwnTags':
    case 'readTags':
      said.groups.add((result as Record<string, string> | undefined)?.[groupTag] ?? '');
      return;
    case 'readTag':
      if (args[0] === groupTag) said.groups.add(String(result));
      return;
    default:
      return;
  }
}

function unsaid({ truth: { said } }: Node, { verb, args }: Call): string | undefined {
  const [first, second] = args as [string, string];
  switch (verb) {
    case 'drain':
    case 'deregisterContainerInstance':
    case 'activate':
    case 'startTask':
    case 'queueToLeave':
    case 'unqueue':
      return said.records.has(second) ? undefined : `${verb} of ${second}`;
    case 'stopTask':
      return said.tasks.has(second) ? undefined : `${verb} of ${second}`;
    // Each of these calls carries this instance's id, and Auto Scaling refuses another group.
    case 'heartbeat':
    case 'completeHook':
      return said.groups.has(first) ? undefined : `${verb} of ${first}/${second}`;
    default:
      return undefined;
  }
}
