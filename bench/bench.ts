// `npm run bench`: measures the parts that are named, or all, prints them and keeps them in
// bench/README.md.
//
//   npm run bench -- start-up size                    only these
//   npm run bench -- agent --minutes 1 --try          a quick look, which README.md is not told of
//   npm run bench -- storm --nodes 200 --seed 7 --try a storm of another size
//   npm run bench -- storm --long                     also what takes minutes of CPU time
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBinary } from '../scripts/binary/ensure-binary.ts';
import { renderTable } from '../scripts/table.ts';
import { measureAgent } from './agent.ts';
import { measureBootstrap } from './bootstrap.ts';
import { measureDepartures } from './departures.ts';
import { writeFigures } from './figures.ts';
import { takeOwn } from './measure.ts';
import type { Part } from './part.ts';
import { measurePeers } from './peers.ts';
import { measureSize } from './size.ts';
import { measureStartUp } from './start-up.ts';
import { measureStorm } from './storm/storm.ts';

const parts: Record<string, Part> = {
  'start-up': measureStartUp,
  size: measureSize,
  bootstrap: measureBootstrap,
  agent: measureAgent,
  departures: measureDepartures,
  peers: measurePeers,
  storm: measureStorm,
};

/** Runs the product's code in this process. */
const withoutBinary = new Set(['storm']);

const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
    notices: { type: 'string', default: '50' },
    nodes: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    /** Prints only. */
    try: { type: 'boolean', default: false },
  },
});
const unknown = asked.find((name) => !(name in parts));
if (unknown !== undefined) throw new Error(`no part "${unknown}"; there are ${Object.keys(parts).join(', ')}`);

const names = asked.length > 0 ? asked : Object.keys(parts);
const program = names.every((name) => withoutBinary.has(name)) ? undefined : await ensureBinary();
await mkdir('out', { recursive: true });
// Not in /tmp, which may be memory: what lies there cannot be dropped from the page cache.
const folder = await mkdtemp(join('out', 'bench-'));
try {
  for (const name of names) await measure(name);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(name: string): Promise<void> {
  const tables = await parts[name]!({
    // Each part may have read the whole file, which is the state that spoils the next one's memory
    // figures.
    binary: program === undefined ? '' : resolve(await takeOwn(program, folder)),
    minutes: Number(values.minutes),
    rounds: Number(values.rounds),
    notices: Number(values.notices),
    nodes: values.nodes.map(Number),
    only: values.only,
    long: values.long,
    seed: Number(values.seed),
    keep: !values.try,
    say: (text: string) => console.error(text),
  });
  for (const [section, rows] of Object.entries(tables)) {
    console.log(`\n${section}\n${renderTable(rows)}`);
    if (!values.try) await writeFigures(section, `npm run bench -- ${name}`, rows);
  }
}
