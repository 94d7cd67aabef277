// npm run simulate -- --seeds N [--seed FIRST] [--seconds N] [--lines N] [--stop] [--may-break N]
// [--year | --days N | --fleet N]: simulates lives of nodes under faults, in virtual time. --year
// and --days simulate one node without any event, and measure its memory and its writes. --fleet
// simulates one life of N nodes, with full disks, an outage and sweeps.
//
// Every choice of a life comes from its seed. Without --seed the first seed is the time of day. If
// a life breaks an invariant, the command prints its last events and the command that replays it.
// The exit code is 1 if more lives break one than --may-break allows; the default is none.

import { openProgress } from './progress.ts';
import { invariants } from '../test/simulation/invariants/all.ts';
import { renderFleetLife, renderLife, renderSummary } from '../test/simulation/report.ts';
import { simulateFleet } from '../test/simulation/fleet/fleet-life.ts';
import { addLife, emptySum } from '../test/simulation/sum.ts';
import { simulate } from '../test/simulation/simulate.ts';
import { runIdleDays } from '../test/simulation/idle/idle-days.ts';
import { readOptions } from './read-options.ts';

const { values } = readOptions(import.meta.filename, {
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    seconds: { type: 'string' },
    lines: { type: 'string', default: '40' },
    year: { type: 'boolean', default: false },
    days: { type: 'string' },
    fleet: { type: 'string' },
    stop: { type: 'boolean', default: false },
    'may-break': { type: 'string', default: '0' },
  },
});

function number(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} must be a whole number; found "${text}"`);
  return Number(text);
}

if (values.fleet !== undefined) {
  const seed = values.seed === undefined ? 1 : number(values.seed, 'seed');
  const life = await simulateFleet(seed, number(values.fleet, 'fleet'), number(values.lines, 'lines'));
  console.log(renderFleetLife(life));
  if (life.violation !== undefined) console.log(renderLife(life, invariants));
  process.exit(life.violation === undefined ? 0 : 1);
}

if (values.year || values.days !== undefined) {
  const seed = values.seed === undefined ? 1 : number(values.seed, 'seed');
  const { ok, text } = values.year
    ? await runIdleDays(seed, 365, 'seldom')
    : await runIdleDays(seed, number(values.days ?? '', 'days'), 'often');
  console.log(text);
  process.exit(ok ? 0 : 1);
}

// Without --seeds or --seconds, --seed replays one life.
const first = values.seed === undefined ? Date.now() % 1_000_000_000 : number(values.seed, 'seed');
const seeds =
  values.seeds !== undefined
    ? number(values.seeds, 'seeds')
    : values.seconds !== undefined
      ? Infinity
      : values.seed === undefined
        ? 100
        : 1;
const until = performance.now() + (values.seconds === undefined ? Infinity : number(values.seconds, 'seconds') * 1000);
const lines = number(values.lines, 'lines');
const mayBreak = number(values['may-break'], 'may-break');

const sum = emptySum();
const began = process.cpuUsage();
console.log(`seeds from ${first}`);
const progress = openProgress({ name: 'simulate', total: seeds });
for (let seed = first; seed < first + seeds && performance.now() < until; seed++) {
  progress.at(`lives, ${sum.failed.length} of which broke a promise`, seed - first);
  const life = await simulate(seed, lines);
  addLife(sum, life);
  if (life.violation === undefined) continue;
  progress.clear();
  console.log(renderLife(life, invariants));
  if (values.stop) break;
}
progress.clear();
const { user, system } = process.cpuUsage(began);
console.log(renderSummary(sum, { first, mayBreak, cpuSeconds: (user + system) / 1e6 }, invariants));
process.exitCode = sum.failed.length <= mayBreak ? 0 : 1;
