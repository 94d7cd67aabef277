/** Writes what containers may know of their node before ECS starts any. */

import { Refused } from '../../core/errors.ts';
import { paths } from '../../core/state.ts';
import { readFacts, withoutTags, writeContainerEnvironment } from '../../upkeep/container-environment.ts';
import type { Step } from '../step.ts';
import { ask } from '../waiting.ts';

export const containerEnvironment: Step = {
  name: 'container-environment',
  async run(host, config, trail, signal) {
    try {
      return await writeContainerEnvironment(
        host,
        await ask(host, trail, signal, (inner) => readFacts(host, config, inner)),
      );
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      // A permission that is missing is no reason to die: what was known of this instance stays, else it is said what is sure.
      const facts = withoutTags(host, config, error);
      return (await isOfThisInstance(host)) ? 'unchanged' : writeContainerEnvironment(host, facts);
    }
  },
};

/** An image may carry another instance's. */
async function isOfThisInstance({ machine, identity }: Parameters<Step['run']>[0]): Promise<boolean> {
  const text = await machine.readText(`${paths.containerConfig}/node.json`).catch(() => undefined);
  try {
    return (JSON.parse(text ?? 'null') as { instanceId?: unknown } | null)?.instanceId === identity.instanceId;
  } catch {
    return false;
  }
}
