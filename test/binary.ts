// Makes the binary before the suites that run it, and provides its path: `inject('binary')`.
import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureBinary } from '../scripts/binary/ensure-binary.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The absolute path of ecs-node for this machine. */
    binary: string;
  }
}

export async function setup(project: TestProject): Promise<void> {
  project.provide('binary', otherBinary() ?? (await ensureBinary()));
}

/** ECS_NODE_BINARY: a binary of another commit, to see a test fail that was written after it. */
function otherBinary(): string | undefined {
  const path = process.env['ECS_NODE_BINARY'];
  if (path === undefined || path === '') return undefined;
  accessSync(path, constants.X_OK);
  console.log(`ECS_NODE_BINARY: the tests run ${resolve(path)}, and not dist/ecs-node`);
  return resolve(path);
}
