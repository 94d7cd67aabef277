/** An AWS on loopback (moto) to deploy the template to, and the AWS CLI to do it with. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startMotoServer } from '../../moto-server.ts';

export interface Account {
  /** The variables with which a program reaches it. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Runs `aws` with these words; its answer, parsed. */
  aws<T>(...words: string[]): Promise<T>;
  close(): Promise<void>;
}

export async function openAccount(): Promise<Account> {
  // Roles that people have may hold AWS's managed policies.
  const { url, close } = await startMotoServer({ MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' });
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    AWS_ENDPOINT_URL: url,
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
    close,
  };
}
