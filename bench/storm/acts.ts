/** The acts of a storm, each from its seed to its tables and pictures. */

import type { Tables } from '../part.ts';
import { launchBadImage } from './bad-image-act.ts';
import { launchAtOnce, type Booting, type Launch } from './launch-act.ts';
import { drawBadImage, drawCalls, drawLaunches, drawReclaim, type Pictures } from './pictures.ts';
import { reclaimTenth } from './reclaim-act.ts';
import { patient } from './settings.ts';
import { tabulateBadImage, tabulateCalls, tabulateLaunches, tabulateReclaim } from './tables.ts';

export const acts = ['launch', 'opsworks', 'reclaim', 'bad-image'] as const;
export type Act = (typeof acts)[number];

/** By the name of their section without the number of nodes. */
export interface Result {
  pictures: Pictures;
  tables: Tables;
}

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

type Say = (text: string) => void;

export const perform: Record<Act, (nodes: number, seed: number, say: Say) => Promise<Result>> = {
  async launch(nodes, seed, say) {
    const launches = await launchAll(nodes, seed, nodes > mostTwice ? fleets.slice(0, 1) : fleets, say);
    return {
      tables: { launch: tabulateLaunches(launches), calls: tabulateCalls(launches) },
      pictures: {
        launch: drawLaunches(launches, `${nodes} nodes boot at once`),
        calls: drawCalls(launches, `What each of ${nodes} nodes asks until all are in service`),
      },
    };
  },
  async opsworks(nodes, seed, say) {
    const launches = await launchAll(nodes, seed, inOpsWorks, say);
    return {
      tables: { opsworks: tabulateLaunches(launches), 'opsworks-calls': tabulateCalls(launches) },
      pictures: {
        opsworks: drawLaunches(launches, `${nodes} nodes boot at once and register in OpsWorks`),
        'opsworks-calls': drawCalls(launches, `What each of ${nodes} nodes asks that register in OpsWorks`),
      },
    };
  },
  async reclaim(nodes, seed, say) {
    say(`${nodes} nodes: a tenth is reclaimed`);
    const { world } = await launchAtOnce(nodes, seed, fleets[0]!);
    const reclaim = await reclaimTenth(world);
    const side = { label: 'from the notice on', nodes: reclaim.reclaimed, traffic: reclaim.traffic };
    const title = `What all nodes ask, for each of ${reclaim.reclaimed} that are reclaimed`;
    return {
      tables: { reclaim: tabulateReclaim(reclaim) },
      pictures: { reclaim: drawReclaim(reclaim, nodes), 'reclaim-calls': drawCalls([side], title) },
    };
  },
  async 'bad-image'(nodes, seed, say) {
    say(`${nodes} nodes: a bad image`);
    const bad = await launchBadImage(nodes, seed, badImageHours(nodes));
    return { tables: { 'bad-image': tabulateBadImage(bad) }, pictures: { 'bad-image': drawBadImage(bad) } };
  },
};

async function launchAll(nodes: number, seed: number, bootings: readonly Booting[], say: Say): Promise<Launch[]> {
  const launches: Launch[] = [];
  for (const booting of bootings) {
    // The world is large, and over.
    const { world: _, ...launch } = await launchAtOnce(nodes, seed, booting);
    launches.push(launch);
    say(
      `${nodes} nodes, ${booting.label}: ${launch.inServiceMs.length} in service, ${Math.round(launch.cpuMs / 1000)} CPU s`,
    );
    for (const violation of launch.violations) say(`  wrong: ${violation}`);
  }
  return launches;
}
