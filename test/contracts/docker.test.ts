import { someDocker, openDocker, someImage } from '../fakes/docker.ts';
import { describeDocker } from './docker.ts';

describeDocker('in memory', async () => {
  const fake = someDocker();
  let made = 0;
  const find = (name: string) => fake.images.find(({ names }) => names.includes(name))!;
  const setState = (container: string, state: string) => {
    fake.containers = fake.containers.map((each) => (each.name === container ? { ...each, state } : each));
  };
  return {
    docker: openDocker(fake),
    async addImage(name) {
      made += 1;
      const image = someImage(name, made);
      fake.images.push(image);
      return image.id;
    },
    async tag(name, further) {
      const image = find(name);
      fake.images = fake.images.map((each) => (each === image ? { ...each, names: [...each.names, further] } : each));
    },
    start: async (container, image) =>
      void fake.containers.push({ name: container, imageId: find(image).id, state: 'running', taskArn: container }),
    stop: async (container) => setState(container, 'exited'),
    close: async () => {},
  };
});
