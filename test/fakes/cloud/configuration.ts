/**
 * Parameters and buckets in memory: documents by name, each with a version. A test sets the
 * version, or every change does.
 */

import { Refused } from '../../../core/errors.ts';
import { parseSource } from '../../../config/remote/document-location.ts';
import type { ConfigurationCloud } from '../../../core/host.ts';

export interface FakeDocument {
  version: string;
  text: string;
}

/**
 * Documents by their configured source. A path without parameters is empty, but a missing bucket is
 * refused.
 */
export type FakeDocumentSources = Map<string, Map<string, FakeDocument>>;

/** Replaces the documents of a source. A document with unchanged text keeps its version. */
export function addDocuments(
  documentSources: FakeDocumentSources,
  source: string,
  texts: Readonly<Record<string, string>>,
): void {
  const before = documentSources.get(source);
  const documents = Object.entries(texts).map(([name, text]): [string, FakeDocument] => {
    const known = before?.get(name);
    const version = `v${Number(known?.version.slice(1) ?? 0) + 1}`;
    return [name, known?.text === text ? known : { text, version }];
  });
  documentSources.set(source, new Map(documents));
}

export function openConfigurationCloud(documentSources: FakeDocumentSources): ConfigurationCloud {
  return {
    async readDocuments(source, known) {
      const parsed = parseSource(source);
      if (parsed === undefined) throw new TypeError(`not a source of documents: ${source}`);
      const documents = documentSources.get(source);
      if (documents === undefined && parsed.kind === 's3') {
        throw new Refused(`s3:ListBucket on ${source}: The specified bucket does not exist`, { code: 'NoSuchBucket' });
      }
      const large = [...(documents ?? [])].find(([, { text }]) => Buffer.byteLength(text) > 262_144);
      if (large !== undefined) throw new Refused(`${source}: ${large[0]} is too large`, { code: 'DocumentTooLarge' });
      return [...(documents ?? [])]
        .filter(([name]) => parsed.kind === 'ssm' || name.endsWith('.yaml'))
        .map(([name, { version, text }]) => (known[name] === version ? { name, version } : { name, version, text }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}
