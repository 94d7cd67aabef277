/** The acts of a storm: each turns a seed into tables and pictures. */

import type { Tables } from '../part.ts';
import { launchBadImage } from './acts/bad-image-act.ts';
import { launchAtOnce, type LaunchScenario, type Launch } from './acts/launch-act.ts';
import { drawBadImage, drawCalls, drawLaunches, drawReclaim, type Pictures } from './report/pictures.ts';
import { reclaimTenth } from './acts/reclaim-act.ts';
import { patient } from './settings.ts';
import { tabulateBadImage, tabulateCalls, tabulateLaunches, tabulateReclaim } from './report/tables.ts';
import type { World } from './world.ts';

export const acts = ['launch', 'opsworks', 'reclaim', 'bad-image'] as const;
export type Act = (typeof acts)[number];

/** Tables by the name of their section, without the number of nodes. */
export interface Result {
  pictures: Pictures;
  tables: Tables;
}

/**
 * Systems Manager costs one call more than no registrar, so above this size one registrar is
 * enough.
 */
const mostTwice = 1_000;

/**
 * At one call per second this time allows six calls for each of a thousand nodes; each node needs
 * eight.
 */
const opsworksMs = 6 * 3_600_000;

/**
 * A node of the script that has not registered in the first hour never does: the script tries once,
 * and then only polls.
 */
const scriptMs = 3_600_000;

/** Two windows of the storm guard, and a little more for fewer nodes. */
const badImageHours = (nodes: number) => (nodes > mostTwice ? 2 : 2.5);

const fleetsOf = (nodes: number): readonly [LaunchScenario, ...LaunchScenario[]] =>
  nodes > mostTwice
    ? [{ label: 'registrar none', registrar: 'none' }]
    : [
        { label: 'registrar none', registrar: 'none' },
        { label: 'registrar ssm', registrar: 'ssm' },
      ];

const inOpsWorks: readonly LaunchScenario[] = [
  { label: 'ecs-node, as by default', registrar: 'opsworks', limitMs: opsworksMs },
  { label: 'ecs-node, set for it', registrar: 'opsworks', more: patient, limitMs: opsworksMs },
  { label: 'bash script', registrar: 'opsworks', script: true, limitMs: scriptMs },
];

export interface Stage {
  nodes: number;
  seed: number;
  say(text: string): void;
  /** The world of a finished launch, for the act that continues with its fleet. */
  launched?: World;
}

/** Performs the acts in their order. */
export async function performAll(asked: readonly Act[], stage: Stage): Promise<Result> {
  const results: Result[] = [];
  for (const act of asked) results.push(await perform[act](stage));
  return {
    pictures: Object.assign({}, ...results.map(({ pictures }) => pictures)) as Pictures,
    tables: Object.assign({}, ...results.map(({ tables }) => tables)) as Tables,
  };
}

const perform: Record<Act, (stage: Stage) => Promise<Result>> = {
  async launch(stage) {
    const { nodes } = stage;
    const launches = await launchAll(stage, fleetsOf(nodes));
    return {
      tables: { launch: tabulateLaunches(launches), calls: tabulateCalls(launches) },
      pictures: {
        launch: drawLaunches(launches, `${nodes} nodes boot at once`),
        calls: drawCalls(launches, `What each of ${nodes} nodes asks until all are in service`),
      },
    };
  },
  async opsworks(stage) {
    const { nodes } = stage;
    const launches = await launchAll(stage, inOpsWorks);
    return {
      tables: { opsworks: tabulateLaunches(launches), 'opsworks-calls': tabulateCalls(launches) },
      pictures: {
        opsworks: drawLaunches(launches, `${nodes} nodes boot at once and register in OpsWorks`),
        'opsworks-calls': drawCalls(launches, `What each of ${nodes} nodes asks that register in OpsWorks`),
      },
    };
  },
  async reclaim({ nodes, seed, say, launched }) {
    say(`${nodes} nodes: EC2 reclaims a tenth`);
    const world = launched ?? (await launchAtOnce(nodes, seed, fleetsOf(nodes)[0])).world;
    const reclaim = await reclaimTenth(world);
    const side = { label: 'from the notice on', nodes: reclaim.reclaimed, traffic: reclaim.traffic };
    const title = `What all nodes ask, for each of ${reclaim.reclaimed} that are reclaimed`;
    return {
      tables: { reclaim: tabulateReclaim(reclaim) },
      pictures: { reclaim: drawReclaim(reclaim, nodes), 'reclaim-calls': drawCalls([side], title) },
    };
  },
  async 'bad-image'({ nodes, seed, say }) {
    say(`${nodes} nodes: a bad image`);
    const bad = await launchBadImage(nodes, seed, badImageHours(nodes));
    return { tables: { 'bad-image': tabulateBadImage(bad) }, pictures: { 'bad-image': drawBadImage(bad) } };
  },
};

async function launchAll(stage: Stage, bootings: readonly LaunchScenario[]): Promise<Launch[]> {
  const { nodes, seed, say } = stage;
  const launches: Launch[] = [];
  for (const scenario of bootings) {
    // The worlds are large, so only the first one is kept.
    const { world, ...launch } = await launchAtOnce(nodes, seed, scenario);
    stage.launched ??= world;
    launches.push(launch);
    say(
      `${nodes} nodes, ${scenario.label}: ${launch.inServiceMs.length} in service, ${Math.round(launch.cpuMs / 1000)} CPU s`,
    );
    for (const violation of launch.violations) say(`  wrong: ${violation}`);
  }
  return launches;
}
