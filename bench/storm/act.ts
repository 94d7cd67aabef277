// Runs acts of a storm in a process of their own; child-process.ts starts it.
import { performAll } from './acts.ts';
import { parseStormJob, type ActMessage } from './child-process.ts';

const { acts, nodes, seed } = parseStormJob(process.argv[2] ?? '');
const send = (word: ActMessage): Promise<void> =>
  new Promise((resolve, reject) => process.send?.(word, (error: Error | null) => (error ? reject(error) : resolve())));
const result = await performAll(acts, { nodes, seed, say: (said) => void send({ said }) });
await send({ result });
process.disconnect?.();
