// npm run fuzz -- [--seconds N] [--seed S]: runs the properties of test/fuzz on new inputs.
//
// The first seed is the time of day. With --seed, the run tries only that seed. Each round takes
// the next seed. The first failing seed ends the run with exit code 1, and the output shows the
// smallest such input and the command that repeats it.
import { spawnSync } from 'node:child_process';
import { readOptions } from './read-options.ts';

const { values } = readOptions(import.meta.filename, {
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
for (const [name, text] of Object.entries(values)) {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} must be a whole number; found "${text}"`);
}

const first = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
const until = performance.now() + Number(values.seconds) * 1000;
console.log(`seeds from ${first}`);
for (let seed = first; ; seed++) {
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', 'source', 'test/fuzz'],
    {
      stdio: 'inherit',
      env: { ...process.env, FUZZ_SEED: String(seed) },
    },
  );
  process.exitCode = status ?? 1;
  if (status !== 0 || values.seed !== undefined || performance.now() > until) break;
}
