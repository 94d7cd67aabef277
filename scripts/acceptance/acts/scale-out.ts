/** The group launches nodes, and each joins the cluster. */

import { ListMetricsCommand } from '@aws-sdk/client-cloudwatch';
import { poll } from '../clients.ts';
import { readGroup, resize } from '../group.ts';
import { readInstance, see } from '../node.ts';
import type { Act, Scene } from '../scene.ts';

export const scaleOut: Act = async (scene) => {
  const { group, own, options } = scene;
  await scene.judge(`launches ${options.nodes} nodes`, () => launch(scene));
  for (const id of own) {
    await scene.judge(`${id} is ACTIVE and connected`, () =>
      until(scene, id, 'not ACTIVE', ({ containerInstance: found }) =>
        Boolean(found?.status === 'ACTIVE' && found.agentConnected),
      ),
    );
    await scene.judge(`${id} is InService`, () =>
      until(scene, id, 'not InService', ({ lifecycle }) => lifecycle === 'InService'),
    );
    if (group.provider === undefined)
      scene.skip(`${id} is in the capacity provider`, 'the cluster has none for the group');
    else
      await scene.judge(`${id} is in the capacity provider`, () =>
        until(
          scene,
          id,
          `not in ${group.provider}`,
          ({ containerInstance: found }) =>
            found?.capacityProviderName === group.provider &&
            found?.status === 'ACTIVE' &&
            found.agentConnected === true,
        ),
      );
    await scene.judge(`${id} has its Name tag`, () => findName(scene, id));
    await scene.judge(`${id} publishes metrics`, () => findMetrics(scene, id));
  }
};

/** Notes the nodes as soon as they are seen, so that an end at any time finds them. */
async function launch({ clients, group, own, options, waiting }: Scene): Promise<string | undefined> {
  await resize(clients, group, group.desired + options.nodes);
  const all = await poll(waiting, async () => {
    const { Instances = [] } = await readGroup(clients, group.name);
    const fresh = Instances.flatMap(({ InstanceId }) => InstanceId ?? []).filter(
      (id) => !group.members.includes(id) && !own.includes(id),
    );
    own.push(...fresh.slice(0, options.nodes - own.length));
    return own.length >= options.nodes || undefined;
  });
  return all === undefined ? `the group launched ${own.length}` : undefined;
}

export async function until(
  { clients, options, waiting }: Scene,
  id: string,
  otherwise: string,
  isSo: (sight: Awaited<ReturnType<typeof see>>) => boolean,
): Promise<string | undefined> {
  let last = '';
  const found = await poll(waiting, async () => {
    const sight = await see(clients, options.cluster, id);
    const { lifecycle = 'gone', containerInstance } = sight;
    last = `${lifecycle}, ${containerInstance?.status ?? 'not in ECS'}`;
    return isSo(sight) || undefined;
  });
  return found === undefined ? `${otherwise}: ${last}` : undefined;
}

export function inService(scene: Scene, id: string): Promise<string | undefined> {
  return until(scene, id, 'not in service', ({ lifecycle, containerInstance: found }) =>
    Boolean(lifecycle === 'InService' && found?.status === 'ACTIVE' && found.agentConnected),
  );
}

async function findName({ clients, waiting }: Scene, id: string): Promise<string | undefined> {
  const found = await poll(waiting, async () => {
    const { tags } = await readInstance(clients, id);
    return (tags['Name'] ?? '') !== '' || undefined;
  });
  return found === undefined ? 'no tag Name' : undefined;
}

async function findMetrics({ clients, waiting }: Scene, id: string): Promise<string | undefined> {
  const Dimensions = [{ Name: 'InstanceId', Value: id }];
  const found = await poll(waiting, async () => {
    const { Metrics = [] } = await clients.cloudWatch.send(
      new ListMetricsCommand({ MetricName: 'DiskSpaceUtilization', Dimensions }),
    );
    return Metrics.length > 0 || undefined;
  });
  return found === undefined ? 'no DiskSpaceUtilization with its InstanceId' : undefined;
}
