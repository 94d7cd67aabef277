/** The contract of `Docker`, for every implementation. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Docker } from '../../core/host.ts';

export interface DockerStage {
  docker: Docker;
  /** Makes an image; returns its id. */
  addImage(name: string): Promise<string>;
  tag(name: string, further: string): Promise<void>;
  /** Makes and starts a container, labelled as one of a task with the same name. */
  start(container: string, image: string): Promise<void>;
  stop(container: string): Promise<void>;
  close(): Promise<void>;
}

const patient = new AbortController().signal;

export function describeDocker(name: string, open: () => Promise<DockerStage>): void {
  describe(`docker: ${name}`, () => {
    let stage: DockerStage | undefined;
    const engine = async () => (stage = await open());
    afterEach(async () => stage?.close());

    const namesIn = async ({ docker }: DockerStage) =>
      (await docker.readImages(patient))
        .flatMap(({ names }) => names)
        .filter((each) => !each.startsWith('amazon/'))
        .toSorted();

    test('answers a ping, and reports its data folder', async () => {
      const { docker } = await engine();
      await docker.ping(patient);
      expect(await docker.readStore(patient)).toMatchObject({ root: '/var/lib/docker', imagesInContainerd: false });
    });

    test('removes an image by its id, once', async () => {
      const { docker, addImage } = await engine();
      const id = await addImage('app:1');
      expect((await docker.readImages(patient)).find((image) => image.id === id)).toMatchObject({ names: ['app:1'] });
      expect(await docker.removeImage(id, patient)).toBe('removed');
      expect(await docker.removeImage(id, patient)).toBe('absent');
      expect(await namesIn(stage!)).toEqual([]);
    });

    test('does not remove an image with two names by its id; removing its last name removes the image', async () => {
      const { docker, addImage, tag } = await engine();
      const id = await addImage('app:1');
      await tag('app:1', 'other/app:latest');
      expect(await docker.removeImage(id, patient)).toBe('in use');
      expect(await docker.removeImage('app:1', patient)).toBe('removed');
      expect(await namesIn(stage!)).toEqual(['other/app:latest']);
      expect(await docker.removeImage('other/app:latest', patient)).toBe('removed');
      expect(await namesIn(stage!)).toEqual([]);
    });

    test('keeps an image that a running or a stopped container uses', async () => {
      const { docker, addImage, start, stop } = await engine();
      const id = await addImage('app:1');
      await start('task', 'app:1');
      const task = { name: 'task', imageId: id, state: 'running', taskArn: 'task' };
      expect(await docker.readContainers(patient)).toEqual([task]);
      expect(await docker.removeImage(id, patient)).toBe('in use');
      await stop('task');
      expect(await docker.readContainers(patient)).toEqual([{ ...task, state: 'exited' }]);
      expect(await docker.removeImage(id, patient)).toBe('in use');
      expect(await namesIn(stage!)).toEqual(['app:1']);
    });

    test('gives an order to images that were made within one second', async () => {
      const { docker, addImage } = await engine();
      for (const each of ['c:1', 'a:1', 'b:1']) await addImage(each);
      const images = (await docker.readImages(patient)).filter(({ names }) => !names[0]!.startsWith('amazon/'));
      const byAge = images.toSorted((a, b) => a.createdAt - b.createdAt);
      expect(byAge.map(({ names }) => names[0])).toEqual(['c:1', 'a:1', 'b:1']);
    });
  });
}
