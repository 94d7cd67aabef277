/** Writes the identity and the tags of the node into a folder that containers can mount. */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import type { Chore } from './chore.ts';
import { writeForContainers } from './write-for-containers.ts';
import { renderJson, renderShell, variablesOf, type NodeFacts } from './container-environment-text.ts';

export function keepContainerEnvironment(config: Config): Chore {
  return {
    name: 'container-environment',
    everyMs: config.containerEnvironment.everySeconds * 1000,
    // The metadata service answers one request per tag, for at most 50 tags.
    deadlineMs: 30_000,
    async run(host, signal) {
      return writeContainerEnvironment(host, await readFacts(host, config, signal));
    },
  };
}

/** Throws Unavailable, or Refused when neither the metadata service nor EC2 gives the tags. */
export async function readFacts(
  host: Host,
  { cluster }: Pick<Config, 'cluster'>,
  signal: AbortSignal,
): Promise<NodeFacts> {
  const { identity } = host;
  const tags = await host.metadata.readTags(signal);
  if (tags !== undefined) return { identity, cluster, tags, tagsFrom: 'metadata' };
  return { identity, cluster, tags: await host.cloud.readOwnTags(signal), tagsFrom: 'ec2' };
}

/** The facts that remain certain without the tags. */
export function withoutTags(host: Host, { cluster }: Pick<Config, 'cluster'>): NodeFacts {
  return { identity: host.identity, cluster, tags: {}, tagsFrom: 'none' };
}

/** Compares, then writes each of the two files whole. */
export async function writeContainerEnvironment(host: Host, facts: NodeFacts): Promise<'changed' | 'unchanged'> {
  const shell = await writeForContainers(host.machine, `${paths.containerConfig}/node.config`, renderShell(facts));
  const json = await writeForContainers(host.machine, `${paths.containerConfig}/node.json`, renderJson(facts));
  if (shell === 'unchanged' && json === 'unchanged') return 'unchanged';
  if (facts.tagsFrom === 'ec2') host.log.info('tags read from EC2: the metadata option InstanceMetadataTags is off');
  for (const { key, why } of variablesOf(facts).leftOut) host.log.warn('tag is no variable', { key, why });
  return 'changed';
}
