// Makes the binary before the suites that run it, and provides its path: `inject('binary')`.
import type { TestProject } from 'vitest/node';
import { ensureBinary } from '../scripts/binary/ensure-binary.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The absolute path of ecs-node for this machine. */
    binary: string;
  }
}

export async function setup(project: TestProject): Promise<void> {
  project.provide('binary', await ensureBinary());
}
