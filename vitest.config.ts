// Which tests run, on what, and what they may expect to find.
import { defineConfig } from 'vitest/config';
import { parseCLI } from 'vitest/node';
import { askedFor, CountReporter } from './test/count-reporter.ts';
import { LongestFirst } from './test/longest-first.ts';
import { missingSuites } from './test/needs.ts';
import { sharedUnits } from './test/shared-units.ts';

const missing = missingSuites();
// A run of named files counts no other suite as skipped.
const { filter, options } = parseCLI(['vitest', ...process.argv.slice(2)], { allowUnknownOptions: true });
const exclude = missing.map(({ file }) => file);

const shared = `test/unit/{${sharedUnits.join(',')}}/**/*.test.ts`;
// `--project source` names all of them.
const isShared = options.project === undefined;

const limits = {
  // All tests wait for conditions, none for a time: a limit only ends what hangs, on a busy machine
  // or a slow disk too. The longest takes a minute of CPU time, of which six files share two cores.
  testTimeout: 300_000,
  hookTimeout: 300_000,
};

export default defineConfig({
  test: {
    reporters: ['default', new CountReporter(askedFor(missing, filter), process.env['CI'] === 'true')],
    pool: 'forks',
    // More than CI has cores: the files with the longest times mostly wait.
    maxWorkers: 6,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          ...limits,
          name: 'source',
          include: ['test/{unit,build,contracts,simulation,fuzz}/**/*.test.ts'],
          exclude: [...exclude, ...(isShared ? [shared] : [])],
        },
      },
      ...(isShared
        ? [
            {
              extends: true as const,
              test: { ...limits, name: 'shared', include: [shared], exclude, isolate: false, restoreMocks: true },
            },
          ]
        : []),
      {
        // These run dist/ecs-node, which is made first when it is out of date.
        extends: true,
        test: {
          name: 'binary',
          include: ['test/**/*.test.ts'],
          exclude: ['test/{unit,build,contracts,simulation,fuzz}/**', ...exclude],
          globalSetup: './test/binary.ts',
          ...limits,
          // They run on real clocks and real processes: a second try, which is printed, tells a
          // machine out of breath from a bug.
          retry: 1,
        },
      },
    ],
  },
});
