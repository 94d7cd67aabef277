/** An AWS on loopback (moto) to deploy the template to, and the AWS CLI to do it with. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../free-port.ts';

export interface Account {
  /** The variables with which a program reaches it. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Runs `aws` with these words; its answer, parsed. */
  aws<T>(...words: string[]): Promise<T>;
  close(): Promise<void>;
}

export async function openAccount(): Promise<Account> {
  const port = await freePort();
  // Roles that people have may hold AWS's managed policies.
  const withManaged = { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' };
  const words = ['--host', '127.0.0.1', '--port', String(port)];
  const server = spawn('moto_server', words, { stdio: 'ignore', env: withManaged });
  const endpoint = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await answers(endpoint)); tries++) {
    if (server.exitCode !== null || tries > 300) throw new Error('moto_server does not start');
    await pause(100);
  }
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    AWS_ENDPOINT_URL: endpoint,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  };
  return {
    environment: env,
    async aws<T>(...words: string[]) {
      const { stdout } = await promisify(execFile)('aws', [...words, '--output', 'json'], { env, maxBuffer: 2 ** 24 });
      return (stdout === '' ? {} : JSON.parse(stdout)) as T;
    },
    async close() {
      server.kill();
      await once(server, 'exit');
    },
  };
}

async function answers(endpoint: string): Promise<boolean> {
  return fetch(`${endpoint}/moto-api/`).then(
    () => true,
    () => false,
  );
}
