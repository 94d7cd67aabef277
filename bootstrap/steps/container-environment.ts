/** Writes the facts about the node that containers may read, before ECS starts any. */

import { messageOf } from '../../core/errors.ts';
import { paths } from '../../core/state/state.ts';
import { readFacts, withoutTags, writeContainerEnvironment } from '../../upkeep/container-environment.ts';
import type { Step } from '../step.ts';
import { tryOptional, logOptionalFailure } from '../poll.ts';

/**
 * A failure of AWS or the disk never fails this step: a node works without these files, and the
 * agent writes them again later.
 */
export const containerEnvironment: Step = {
  name: 'container-environment',
  async run(host, config, context, signal) {
    try {
      const what = 'tags not read for the container environment';
      const facts = await tryOptional(what, host, context, signal, (callSignal) => readFacts(host, config, callSignal));
      if (facts !== undefined) return await writeContainerEnvironment(host, facts);
      // An earlier boot of this instance has written the tags: keep its file.
      if (await isOfThisInstance(host)) return 'unchanged';
      return await writeContainerEnvironment(host, withoutTags(host, config));
    } catch (error) {
      logOptionalFailure('container environment not written', host, error, signal);
      await host.machine.say(`ecs-node: container environment not written: ${messageOf(error)}`);
      return 'skipped';
    }
  },
};

/** An image may contain the file of another instance. */
async function isOfThisInstance({ machine, identity }: Parameters<Step['run']>[0]): Promise<boolean> {
  const text = await machine.readText(`${paths.containerConfig}/node.json`).catch(() => undefined);
  try {
    return (JSON.parse(text ?? 'null') as { instanceId?: unknown } | null)?.instanceId === identity.instanceId;
  } catch {
    return false;
  }
}
