/** An instance refresh replaces the launched nodes. Not played beside other nodes: it takes all. */

import { DescribeInstanceRefreshesCommand, StartInstanceRefreshCommand } from '@aws-sdk/client-auto-scaling';
import { poll } from '../clients.ts';
import { readGroup } from '../group.ts';
import { see } from '../node.ts';
import type { Act, Scene } from '../scene.ts';
import { inService } from './scale-out.ts';

export const refresh: Act = async (scene) => {
  const { clients, group, own } = scene;
  if (group.members.length > 0) {
    return scene.skip('refresh', 'the group has other nodes, which a refresh would replace; play it on an empty group');
  }
  if (own.length === 0) return scene.skip('refresh', 'no node');
  for (const each of own) await scene.judge(`${each} is in service`, () => inService(scene, each));
  const old = [...own];
  const drained = new Set<string>();
  let id = '';
  const begun = await scene.judge('a refresh begins', async () => {
    const { InstanceRefreshId } = await clients.autoScaling.send(
      new StartInstanceRefreshCommand({
        AutoScalingGroupName: group.name,
        Preferences: { MinHealthyPercentage: 0, InstanceWarmup: 0 },
      }),
    );
    id = InstanceRefreshId ?? '';
    return id === '' ? 'no id' : undefined;
  });
  if (!begun) return;
  await scene.judge('ends with all nodes replaced', () => waitForRefresh(scene, id, old, drained));
  await scene.judge('each old node was DRAINING first', async () => {
    const missed = old.filter((each) => !drained.has(each));
    return missed.length === 0 ? undefined : `not seen DRAINING: ${missed.join(', ')}`;
  });
};

async function waitForRefresh(
  scene: Scene,
  id: string,
  old: readonly string[],
  drained: Set<string>,
): Promise<string | undefined> {
  const { clients, group, own, options, waiting } = scene;
  let last = '';
  const status = await poll(waiting, async () => {
    for (const each of old) {
      const { containerInstance } = await see(clients, options.cluster, each);
      if (containerInstance?.status === 'DRAINING') drained.add(each);
    }
    const { InstanceRefreshes = [] } = await clients.autoScaling.send(
      new DescribeInstanceRefreshesCommand({ AutoScalingGroupName: group.name, InstanceRefreshIds: [id] }),
    );
    last = InstanceRefreshes[0]?.Status ?? 'unknown';
    // The group was empty before, so every member is one that this run had launched.
    const { Instances = [] } = await readGroup(clients, group.name);
    own.splice(0, own.length, ...Instances.flatMap(({ InstanceId }) => InstanceId ?? []));
    return /^(Pending|InProgress|Baking)$/.test(last) ? undefined : last;
  });
  if (status !== 'Successful') return `the refresh is ${last}`;
  const left = old.filter((each) => own.includes(each));
  return left.length === 0 ? undefined : `still there: ${left.join(', ')}`;
}
