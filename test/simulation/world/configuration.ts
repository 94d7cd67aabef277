/**
 * The configuration of a node in some lives: its file changes while the node lives, is sometimes
 * faulty, and the agent is asked to reload it. Each valid version has a number in a setting that
 * changes nothing else.
 */

import { settingsOf } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import type { Chance } from '../faults/chance.ts';
import { kill, type Conditions } from '../effects.ts';
import { startByHand } from './machine-life.ts';
import type { Node } from './node.ts';
import { textOf } from './node-configuration.ts';
import { count, note, type Region } from './region.ts';

/** Begins the changes, until the life becomes calm. */
export function changeConfigurations(region: Region, conditions: Conditions, chance: Chance | undefined): void {
  if (chance === undefined) return;
  const everyMs = chance.between(60_000, 400_000);
  const repeat = () =>
    region.clock.schedule(chance.around(everyMs), () => {
      if (region.calm) return;
      const up = region.nodes.filter(({ phase }) => phase === 'up');
      if (up.length > 0) change(region, conditions, chance, chance.pick(up));
      repeat();
    });
  repeat();
}

function change(region: Region, conditions: Conditions, chance: Chance, node: Node): void {
  const { configuration, machine } = node;
  if (configuration === undefined || configuration.isFaulty) return;
  if (chance.happens(0.5)) writeNext(region, node);
  else {
    configuration.isFaulty = true;
    configuration.askedAt = Infinity;
    machine.files.set(paths.config, drawFault(region, chance));
    count(region.stats.faults, 'the configuration becomes faulty');
    note(region, node, 'an operator writes a faulty configuration');
    region.clock.schedule(chance.between(20_000, 300_000), () => mend(region, conditions, node));
  }
  hear(region, chance, node);
}

function writeNext(region: Region, node: Node): void {
  const { configuration, machine } = node;
  if (configuration === undefined) return;
  configuration.isFaulty = false;
  configuration.askedAt = Infinity;
  machine.files.set(paths.config, textOf(region.scenario.config, ++configuration.newest));
  count(region.stats.faults, 'the configuration changes');
  note(region, node, `an operator writes configuration v${configuration.newest}`);
}

/** An operator reloads the agent, the agent dies at this time, or neither. */
function hear(region: Region, chance: Chance, node: Node): void {
  const how = chance.pick(['reload', 'reload', 'kill', 'nothing'] as const);
  if (how === 'reload') reload(region, node);
  if (how === 'kill' && node.agent !== undefined) kill(node.agent);
}

function reload(region: Region, { configuration, agent }: Node): void {
  if (configuration === undefined || agent === undefined || agent.asleep !== undefined) return;
  configuration.askedAt = region.clock.uptime();
  configuration.reload();
}

/** The operator mends the file. A program that gave up on it is started by hand. */
export function mend(region: Region, conditions: Conditions, node: Node): void {
  if (node.configuration?.isFaulty !== true || node.phase === 'gone') return;
  // An operator cannot reach a machine that sleeps or boots, and comes back.
  if (node.phase === 'booting') return void region.clock.schedule(30_000, () => mend(region, conditions, node));
  writeNext(region, node);
  reload(region, node);
  startByHand(region, conditions, node);
}

function drawFault({ scenario: { config } }: Region, chance: Chance): string | Error {
  const valid: object = { ...settingsOf(config), metrics: { ...config.metrics, namespace: 'faulty' } };
  return chance.pick([
    'cluster: [',
    '',
    'cluster: evil\nregistrar: nobody\n',
    JSON.stringify({ ...valid, colour: 'blue' }),
    JSON.stringify({ ...valid, disk: { ...config.disk, checks: 0 } }),
    JSON.stringify({ ...valid, cluster: undefined }),
    new ConfigError([{ path: paths.config, problem: 'is not a regular file' }]),
  ]);
}
