// Acts of a storm in a process of their own: see apart.ts.
import { performAll } from './acts.ts';
import { parseOrder, type Word } from './apart.ts';

const { acts, nodes, seed } = parseOrder(process.argv[2] ?? '');
const tell = (word: Word): Promise<void> =>
  new Promise((resolve, reject) => process.send?.(word, (error: Error | null) => (error ? reject(error) : resolve())));
const result = await performAll(acts, { nodes, seed, say: (said) => void tell({ said }) });
await tell({ result });
process.disconnect?.();
