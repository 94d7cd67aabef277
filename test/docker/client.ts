/**
 * The calls to a Docker Engine that tests make. Images are tarballs of a few megabytes, so that no
 * registry is needed, and containers run `sleep` without a network.
 */

import { execFile } from 'node:child_process';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '../../simulator/wait-for.ts';

const run = promisify(execFile);

export interface Client {
  /** The answer's JSON, or text. Throws on any status from 400 on. */
  ask(method: string, path: string, body?: Buffer | object): Promise<unknown>;
  /** Makes an image of so many megabytes, or gives an image a further name. */
  addImage(name: string, megabytes?: number): Promise<string>;
  tag(name: string, further: string): Promise<void>;
  /** Names of its images, sorted. */
  images(): Promise<string[]>;
  /** Starts a container that sleeps, labelled as one of a task with the same name. */
  start(container: string, image: string): Promise<void>;
  stop(container: string): Promise<void>;
  isRunning(container: string): Promise<boolean>;
}

/** Returns when the engine answers. Makes images in the folder `scratch`. */
export async function openClient(socketPath: string, scratch: string): Promise<Client> {
  const folder = join(scratch, 'image');
  const ask = openAsk(socketPath);
  await makeRootFolder(folder);
  await waitFor('Docker answers', async () => (await ask('GET', '/_ping').catch(() => undefined)) !== undefined);
  return {
    ask,
    async addImage(name, size = 0) {
      await run('dd', ['if=/dev/urandom', `of=${folder}/payload`, 'bs=1M', `count=${size}`]);
      await run('tar', ['-C', folder, '-cf', `${scratch}/image.tar`, '.']);
      const at = name.lastIndexOf(':');
      const query = `fromSrc=-&repo=${name.slice(0, at)}&tag=${name.slice(at + 1)}`;
      const { status } = (await ask('POST', `/images/create?${query}`, await readFile(`${scratch}/image.tar`))) as {
        status: string;
      };
      return status;
    },
    async tag(name, further) {
      const at = further.lastIndexOf(':');
      await ask('POST', `/images/${name}/tag?repo=${further.slice(0, at)}&tag=${further.slice(at + 1)}`);
    },
    async images() {
      const images = (await ask('GET', '/images/json')) as { RepoTags: string[] | null }[];
      return images.flatMap(({ RepoTags }) => RepoTags ?? ['<none>']).toSorted();
    },
    async start(container, image) {
      const settings = {
        Image: image,
        Cmd: ['/bin/sleep', '600'],
        HostConfig: { NetworkMode: 'none' },
        Labels: { 'com.amazonaws.ecs.task-arn': container },
      };
      await ask('POST', `/containers/create?name=${container}`, settings);
      await ask('POST', `/containers/${container}/start`);
    },
    stop: async (container) => void (await ask('POST', `/containers/${container}/stop?t=0`)),
    async isRunning(container) {
      const { State } = (await ask('GET', `/containers/${container}/json`)) as { State: { Running: boolean } };
      return State.Running;
    },
  };
}

/** `sleep` and the libraries that it is linked with. */
async function makeRootFolder(folder: string): Promise<void> {
  const { stdout } = await run('ldd', ['/bin/sleep']);
  for (const file of ['/bin/sleep', ...(stdout.match(/\/\S+/g) ?? [])]) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    await cp(file, join(folder, file), { dereference: true });
  }
}

function openAsk(socketPath: string): Client['ask'] {
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const isTar = Buffer.isBuffer(body);
      const headers = { 'content-type': isTar ? 'application/x-tar' : 'application/json' };
      const outgoing = request({ socketPath, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => {
          if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${text}`));
          else resolve(/^[[{]/.test(text) ? (JSON.parse(text) as unknown) : text);
        });
      });
      outgoing.on('error', reject);
      outgoing.end(isTar ? body : body === undefined ? undefined : JSON.stringify(body));
    });
}
