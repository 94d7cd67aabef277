/** Documents of the configuration, from Systems Manager's parameters or from S3: only who asks pays for the client. */

import { parseSource } from '../../core/configuration-source.ts';
import type { ConfigurationCloud } from '../../core/host.ts';
import type { Session } from './session.ts';
import type { Shelf } from './shelf.ts';

export function openConfiguration(session: Session): ConfigurationCloud & { destroy(): void } {
  const shelves = new Map<string, Promise<Shelf>>();
  const open = async (text: string): Promise<Shelf> => {
    const source = parseSource(text);
    if (source?.kind === 'ssm') return (await import('./parameters.ts')).openParameters(session, source.path);
    if (source?.kind === 's3') return (await import('./bucket.ts')).openBucket(session, source);
    throw new TypeError(`not a source of documents: ${text}`);
  };
  return {
    async readDocuments(source, known, signal) {
      const shelf = shelves.get(source) ?? open(source);
      shelves.set(source, shelf);
      const documents = await (await shelf).read(known, signal);
      return documents.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
    destroy() {
      for (const shelf of shelves.values()) void shelf.then((opened) => opened.destroy());
    },
  };
}
