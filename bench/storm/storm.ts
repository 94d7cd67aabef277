/** `npm run bench -- storm`: thousands of nodes at once against the limits of AWS, in virtual time. */

import { mkdir, writeFile } from 'node:fs/promises';
import type { Circumstances, Tables } from '../part.ts';
import { launchBadImage } from './bad-image-act.ts';
import { launchAtOnce, type Booting, type Launch } from './launch-act.ts';
import { drawBadImage, drawLaunches, drawReclaim, type Pictures } from './pictures.ts';
import { reclaimTenth } from './reclaim-act.ts';
import { patient } from './settings.ts';
import { tabulateBadImage, tabulateCalls, tabulateLaunches, tabulateLimits, tabulateReclaim } from './tables.ts';

const acts = ['launch', 'opsworks', 'reclaim', 'bad-image'] as const;
type Act = (typeof acts)[number];

/** Fleets that bench/README.md tells of; at one call per second a thousand would be hours in OpsWorks. */
const told: Readonly<Record<Act, readonly number[]>> = {
  launch: [1_000],
  opsworks: [200],
  reclaim: [1_000],
  'bad-image': [1_000],
};

/** Systems Manager costs one call more than no registrar: of so many nodes one of the two is enough to look at. */
const mostTwice = 1_000;

/** With a patient configuration a thousand are in service by then. */
const opsworksMs = 4 * 3_600_000;

/** Who has not registered in the first hour never does: the script asks once, and then only polls. */
const scriptMs = 3_600_000;

/** More than two windows of the storm guard; of ten thousand nodes one and a half. */
const badImageHours = (nodes: number) => (nodes > mostTwice ? 1.5 : 2.5);

const fleets: readonly Booting[] = [
  { label: 'registrar none', registrar: 'none' },
  { label: 'registrar ssm', registrar: 'ssm' },
];

const inOpsWorks: readonly Booting[] = [
  { label: 'ecs-node, as by default', registrar: 'opsworks', limitMs: opsworksMs },
  { label: 'ecs-node, set for it', registrar: 'opsworks', more: patient, limitMs: opsworksMs },
  { label: 'bash script', registrar: 'opsworks', script: true, limitMs: scriptMs },
];

interface Result {
  pictures: Pictures;
  tables: Tables;
}

/** Keeps its pictures in bench/results where `keep` says so, else in out/. */
export async function measureStorm(circumstances: Circumstances): Promise<Tables> {
  const { seed, keep, say, only } = circumstances;
  const unknown = only.find((name) => !acts.some((act) => act === name));
  if (unknown !== undefined) throw new Error(`no act "${unknown}"; there are ${acts.join(', ')}`);
  say(`seed ${seed}: the same seed gives the same storm`);
  const tables: Tables = { 'storm-limits': tabulateLimits() };
  const folder = keep ? new URL('../results/', import.meta.url) : new URL('../../out/', import.meta.url);
  for (const act of acts.filter((each) => only.length === 0 || only.includes(each))) {
    for (const nodes of circumstances.nodes.length > 0 ? circumstances.nodes : told[act]) {
      if (keep && !told[act].includes(nodes))
        throw new Error(`README.md has no place for ${act} of ${nodes}: add --try`);
      const { pictures, tables: more } = await perform[act](nodes, circumstances);
      for (const [section, rows] of Object.entries(more)) tables[`storm-${section}-${nodes}`] = rows;
      await keepPictures(pictures, nodes, folder);
    }
  }
  return tables;
}

const perform: Record<Act, (nodes: number, circumstances: Circumstances) => Promise<Result>> = {
  async launch(nodes, { seed, say }) {
    const launches = await launchAll(nodes, seed, nodes > mostTwice ? fleets.slice(0, 1) : fleets, say);
    return {
      tables: { launch: tabulateLaunches(launches), calls: tabulateCalls(launches) },
      pictures: { launch: drawLaunches(launches, `${nodes} nodes boot at once`) },
    };
  },
  async opsworks(nodes, { seed, say }) {
    const launches = await launchAll(nodes, seed, inOpsWorks, say);
    return {
      tables: { opsworks: tabulateLaunches(launches), 'opsworks-calls': tabulateCalls(launches) },
      pictures: { opsworks: drawLaunches(launches, `${nodes} nodes boot at once and register in OpsWorks`) },
    };
  },
  async reclaim(nodes, { seed, say }) {
    say(`${nodes} nodes: a tenth is reclaimed`);
    const { world } = await launchAtOnce(nodes, seed, fleets[0]!);
    const reclaim = await reclaimTenth(world);
    return { tables: { reclaim: tabulateReclaim(reclaim) }, pictures: { reclaim: drawReclaim(reclaim, nodes) } };
  },
  async 'bad-image'(nodes, { seed, say }) {
    say(`${nodes} nodes: a bad image`);
    const bad = await launchBadImage(nodes, seed, badImageHours(nodes));
    return { tables: { 'bad-image': tabulateBadImage(bad) }, pictures: { 'bad-image': drawBadImage(bad) } };
  },
};

async function launchAll(
  nodes: number,
  seed: number,
  bootings: readonly Booting[],
  say: (text: string) => void,
): Promise<Launch[]> {
  const launches: Launch[] = [];
  for (const booting of bootings) {
    // The world is large, and over.
    const { world: _, ...launch } = await launchAtOnce(nodes, seed, booting);
    launches.push(launch);
    say(
      `${nodes} nodes, ${booting.label}: ${launch.inServiceMs.length} in service, ${Math.round(launch.realMs / 1000)} s`,
    );
    for (const violation of launch.violations) say(`  wrong: ${violation}`);
  }
  return launches;
}

async function keepPictures(pictures: Pictures, nodes: number, folder: URL): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(pictures)) {
    await writeFile(new URL(`storm-${name}-${nodes}.svg`, folder), text);
  }
}
