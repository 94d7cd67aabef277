import { paths } from '../../../core/state/state.ts';
import type { Invariant } from './invariant.ts';

export const imagesStay: Invariant = {
  name: 'images stay',
  sentence: "No node removes one of the ECS agent's images, or any image while the agent relies on its image cache.",
  onCall(_region, node, { verb, args }) {
    if (verb !== 'removeImage') return undefined;
    const [reference] = args;
    const image = node.docker.images.find(({ id, names }) => id === reference || names.includes(String(reference)));
    if (image?.names.some((name) => name.startsWith('amazon/amazon-ecs-')) === true)
      return `removes ${image.names.join()}, which no registry has`;
    const text = node.machine.files.get(paths.ecsConfig);
    const isCached = typeof text === 'string' && text.includes('ECS_IMAGE_PULL_BEHAVIOR=once');
    return isCached ? 'removes an image that the ECS agent will not pull again' : undefined;
  },
};
