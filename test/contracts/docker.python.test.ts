import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDocker } from '../../host/docker.ts';
import { openClient } from '../docker/client.ts';
import { describeDocker } from './docker.ts';

const file = join(import.meta.dirname, '../boot/rig/root/usr/local/lib/stand-ins/docker');

describeDocker('the stand-in of the machines that boot', async () => {
  const root = await mkdtemp(join(tmpdir(), 'd-'));
  const child = spawn('python3', [file], { stdio: 'ignore', env: { PATH: process.env['PATH'], ROOT: root } });
  const client = await openClient(join(root, 'var/run/docker.sock'), root);
  return {
    ...client,
    docker: openDocker(root),
    async close() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
      await rm(root, { recursive: true, force: true });
    },
  };
});
