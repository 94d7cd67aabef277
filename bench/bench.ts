// `npm run bench`: measures the named parts, or all of them, prints the figures and writes them
// into bench/results.
//
//   npm run bench -- start-up size                    only these parts
//   npm run bench -- agent --minutes 1 --try          a quick look that writes nothing
//   npm run bench -- storm --nodes 200 --seed 7 --try a storm of another size
//   npm run bench -- storm --long                     also the acts that take minutes of CPU time
//   npm run bench -- long --minutes 144               the agent for a day, at ten times its pace
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ensureBinary } from '../scripts/binary/ensure-binary.ts';
import { openProgress } from '../scripts/progress.ts';
import { renderTable } from '../scripts/table.ts';
import { measureAgent } from './agent.ts';
import { measureBootstrap } from './bootstrap.ts';
import { measureDepartures } from './departures.ts';
import { writeFigures } from './figures.ts';
import { measureLong } from './long.ts';
import { takeOwn } from './measure.ts';
import type { Part } from './part.ts';
import { measurePeers } from './peers.ts';
import { measureSize } from './size.ts';
import { measureStartUp } from './start-up.ts';
import { measureStorm } from './storm/storm.ts';
import { readOptions } from '../scripts/read-options.ts';

const parts: Record<string, Part> = {
  'start-up': measureStartUp,
  size: measureSize,
  bootstrap: measureBootstrap,
  agent: measureAgent,
  departures: measureDepartures,
  peers: measurePeers,
  storm: measureStorm,
  long: measureLong,
};

/** These parts run only when they are named. */
const onlyNamed = new Set(['long']);

/** These parts run the product's code in this process. */
const withoutBinary = new Set(['storm']);

const { values, positionals: asked } = readOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    notices: { type: 'string', default: '20' },
    nodes: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    /** Prints the figures and writes nothing. */
    try: { type: 'boolean', default: false },
  },
});
const unknown = asked.find((name) => !(name in parts));
if (unknown !== undefined) throw new Error(`no part "${unknown}"; there are ${Object.keys(parts).join(', ')}`);

const names = asked.length > 0 ? asked : Object.keys(parts).filter((name) => !onlyNamed.has(name));
const progress = openProgress({ name: 'bench' });
const program = names.every((name) => withoutBinary.has(name)) ? undefined : await ensureBinary();
await mkdir('out', { recursive: true });
// /tmp can be in memory, and the kernel cannot drop such files from the page cache.
const folder = await mkdtemp(join('out', 'bench-'));
try {
  for (const [at, name] of names.entries()) {
    progress.at(`part ${at + 1} of ${names.length}: ${name}`);
    await measure(name);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(name: string): Promise<void> {
  // Each part gets a fresh copy: the part before may have read the whole file, and a cached file
  // distorts memory figures.
  const binary = program === undefined ? undefined : resolve(await takeOwn(program, folder));
  const tables = await parts[name]!({
    binary: binary ?? '',
    minutes: Number(values.minutes),
    rounds: Number(values.rounds),
    notices: Number(values.notices),
    nodes: values.nodes.map(Number),
    only: values.only,
    long: values.long,
    seed: Number(values.seed),
    keep: !values.try,
    say: (text: string) => {
      progress.clear();
      console.error(text);
    },
  });
  progress.clear();
  for (const [section, rows] of Object.entries(tables)) console.log(`\n${section}\n${renderTable(rows)}`);
  if (!values.try) await writeFigures(name, tables, withoutBinary.has(name) ? undefined : binary);
}
