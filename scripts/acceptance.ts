// `npm run acceptance -- --cluster NAME`: plays a node's life on a real cluster, with verdicts.
import { parseOptions, usage, UsageError } from './acceptance/options.ts';

const words = process.argv.slice(2);
if (words.includes('--help') || words.includes('-h')) {
  console.log(usage);
  process.exit(0);
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    console.log('stopping; the group is put back first');
    stop.abort(new Error(`stopped by ${name}`));
  });

try {
  const options = parseOptions(words, process.env);
  const { runAcceptance } = await import('./acceptance/run.ts');
  const verdicts = await runAcceptance(options, (line) => console.log(line), stop.signal);
  const bad = verdicts.filter(({ state }) => state === 'BAD').length;
  if (options.apply) console.log(`${verdicts.length} verdicts, ${bad} bad`);
  process.exitCode = bad > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError) console.error(`\n${usage}`);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
