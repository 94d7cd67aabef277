// One act of a storm, in a process of its own: see apart.ts.
import { perform } from './acts.ts';
import { parseOrder, type Word } from './apart.ts';

const { act, nodes, seed } = parseOrder(process.argv[2] ?? '');
const tell = (word: Word): Promise<void> =>
  new Promise((resolve, reject) => process.send?.(word, (error: Error | null) => (error ? reject(error) : resolve())));
const result = await perform[act](nodes, seed, (said) => void tell({ said }));
await tell({ result });
process.disconnect?.();
