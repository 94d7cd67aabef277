// npm run fuzz -- [--seconds N] [--seed S]: the properties of test/fuzz on inputs that nobody has
// tried yet.
//
// The first seed is the time of day, or the one that is given, which then alone is tried. Each
// round takes the next seed; the first that finds something ends it with exit code 1, after the
// smallest such input and the command that tries it again.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } } });
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
