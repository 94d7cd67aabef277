/**
 * Opens the source of configuration documents: Systems Manager's parameters or S3. Only a
 * configured source loads its client.
 */

import { parseSource } from '../../../config/remote/document-location.ts';
import type { ConfigurationCloud } from '../../../core/host.ts';
import type { Session } from '../session/session.ts';
import type { DocumentSource } from './document-source.ts';

export function openConfiguration(session: Session): ConfigurationCloud & { destroy(): void } {
  const documentSources = new Map<string, Promise<DocumentSource>>();
  const open = async (text: string): Promise<DocumentSource> => {
    const source = parseSource(text);
    if (source?.kind === 'ssm') return (await import('./parameters.ts')).openParameters(session, source.path);
    if (source?.kind === 's3') return (await import('./bucket.ts')).openBucket(session, source);
    throw new TypeError(`not a source of documents: ${text}`);
  };
  return {
    async readDocuments(source, known, signal) {
      const documentSource = documentSources.get(source) ?? open(source);
      documentSources.set(source, documentSource);
      const documents = await (await documentSource).read(known, signal);
      return documents.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
    destroy() {
      for (const documentSource of documentSources.values()) void documentSource.then((opened) => opened.destroy());
    },
  };
}
