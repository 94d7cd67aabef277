/** Starts moto, a third-party stand-in for AWS. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../simulator/wait-for.ts';
import { ownAddress } from './own-address.ts';

export interface MotoServer {
  url: string;
  close(): Promise<void>;
}

/** Returns when it answers. `settings` are variables of moto's own. */
export async function startMotoServer(settings: Record<string, string>): Promise<MotoServer> {
  const { host, port } = ownAddress();
  const child = spawn('moto_server', ['--host', host, '--port', String(port)], {
    stdio: 'ignore',
    env: { ...process.env, ...settings },
  });
  const ended = once(child, 'exit');
  const url = `http://${host}:${port}`;
  const answers = () =>
    fetch(`${url}/moto-api/`).then(
      () => true,
      () => false,
    );
  await waitFor('moto_server answers', async () => {
    if (child.exitCode !== null) throw new Error(`moto_server ended with ${child.exitCode}`);
    return answers();
  });
  return {
    url,
    async close() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
