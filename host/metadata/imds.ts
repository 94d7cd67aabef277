/** The instance metadata service as the `Metadata` interface. */

import { Unavailable } from '../../core/errors.ts';
import type { Metadata } from '../../core/host.ts';
import type { Clock } from '../../core/retry.ts';
import type { Environment } from '../environment.ts';
import {
  hasPrivateIp,
  parseIdentity,
  parseInstant,
  parseMaintenance,
  parseRebalanceNotice,
  parseSpotNotice,
  parseTagKeys,
  parseTargetState,
} from './imds-answers.ts';
import { metadataService, openMetadataReader } from './imds-reader.ts';

/** One decoder for all answers: a new one for each would cost as much as the reading. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The keys that the metadata service accepts in a path. A tag with another key does not appear
 * there.
 */
const tagKey = /^(?!\.{1,2}$)[0-9A-Za-z\-_+=,.@:]{1,128}$/;

/** Throws ConfigError when the environment names an invalid endpoint. */
export function openMetadata(environment: Environment, clock: Clock): Metadata {
  const read = openMetadataReader(environment, clock);
  const readText = async (path: string, signal: AbortSignal) => decode(await read(path, signal), path);
  const meta = (path: string, signal: AbortSignal) => readText(`meta-data/${path}`, signal);
  const readTag = async (key: string, signal: AbortSignal) =>
    tagKey.test(key) ? meta(`tags/instance/${key}`, signal) : undefined;
  return {
    async readIdentity(signal) {
      const document = await readText('dynamic/instance-identity/document', signal);
      if (document === undefined) throw new Unavailable(`${metadataService}: no identity document yet`);
      return parseIdentity(document, {
        ipv6: hasPrivateIp(document) ? undefined : await meta('ipv6', signal),
        partition: await meta('services/partition', signal),
        hostname: await meta('local-hostname', signal),
        role: await meta('iam/security-credentials/', signal),
        purchase: await meta('instance-life-cycle', signal),
      });
    },
    async readTags(signal, prefix = '') {
      const list = await meta('tags/instance/', signal);
      if (list === undefined) return undefined;
      const tags: Record<string, string> = {};
      // One after the other: there are at most 50, and the service throttles bursts.
      for (const key of parseTagKeys(list).filter((each) => each.startsWith(prefix))) {
        const value = await readTag(key, signal);
        // One lost value would take a setting, or the tag of a person who keeps the node.
        if (value === undefined && prefix !== '')
          throw new Unavailable(`${metadataService}: no value of the tag ${key}`);
        if (value !== undefined) tags[key] = value;
      }
      return tags;
    },
    readTag,
    readUserData: (signal) => read('user-data', signal),
    readSpotNotice: async (signal) => parseSpotNotice(await meta('spot/instance-action', signal)),
    readRebalanceNotice: async (signal) => parseRebalanceNotice(await meta('events/recommendations/rebalance', signal)),
    readMaintenance: async (signal) => parseMaintenance(await meta('events/maintenance/scheduled', signal)),
    readTargetState: async (signal) => parseTargetState(await meta('autoscaling/target-lifecycle-state', signal)),
    async readTime(signal) {
      let date = '';
      await read('meta-data/instance-id', signal, ({ header }) => void (date = header('date') ?? ''));
      return parseInstant(date);
    },
  };
}

function decode(body: Uint8Array | undefined, path: string): string | undefined {
  if (body === undefined) return undefined;
  try {
    return utf8.decode(body);
  } catch (cause) {
    throw new Unavailable(`${metadataService}: ${path} answered with something that is not text`, { cause });
  }
}
