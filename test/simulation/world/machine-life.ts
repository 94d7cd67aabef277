/**
 * Plays EC2, systemd and the ECS agent on a machine: boots, restarts of ecs-node's programs,
 * shutdown.
 */

import { exitCode } from '../../../core/errors.ts';
import { finish } from '../faults/causes.ts';
import type { Chance } from '../faults/chance.ts';
import { fallAsleep, kill, wakeUp, type Process, type Conditions } from '../effects.ts';
import { noteFault, openHost, ownInstance, type Node } from './node.ts';
import { checkDeath } from '../check.ts';
import { programs, type ProgramLife } from './programs.ts';
import { restartDocker } from './docker.ts';
import { restartEcs, startEcs, stopEcs } from './tasks.ts';
import { count, note, type Region } from './region.ts';

/** The values of systemd/ecs-node-bootstrap.service and ecs-node.service. */
const units = {
  bootstrap: { restartMs: 10_000, final: [64, 77, 78] },
  agent: { restartMs: 5_000, final: [0, 64, 78] },
} as const;

type Unit = keyof typeof units;

export function boot(region: Region, conditions: Conditions, node: Node): void {
  node.boots += 1;
  node.phase = 'up';
  node.bootedAt = region.clock.uptime() - 1_000;
  node.machine.bootId = `boot-${node.boots}`;
  node.machine.power = 'on';
  node.machine.units.delete('ecs.service');
  node.bootstrapExit = undefined;
  node.agentExit = undefined;
  for (const path of node.machine.files.keys()) if (path.startsWith('/run/')) node.machine.files.delete(path);
  note(region, node, `boots (${node.boots})`);
  start(region, conditions, node, 'bootstrap');
}

/** An operator starts by hand what gave up on a configuration that is mended now. */
export function startByHand(region: Region, conditions: Conditions, node: Node): void {
  if (node.phase !== 'up') return;
  for (const unit of ['bootstrap', 'agent'] as const) {
    if (node[unit] !== undefined || node[`${unit}Exit`] !== 78) continue;
    noteFault(node, region.clock.uptime());
    start(region, conditions, node, unit);
  }
}

/** A spot stop: the same instance starts again when there is capacity. */
export function stopAndStart(region: Region, conditions: Conditions, node: Node): void {
  note(region, node, 'is stopped');
  const halts = halt(region, node);
  node.phase = 'booting';
  region.clock.schedule(region.chance.between(60_000, 600_000), () => {
    if (node.phase !== 'booting' || node.halts !== halts) return;
    node.metadata.spotNotice = undefined;
    finish(node, 'spot', region.clock.uptime());
    boot(region, conditions, node);
  });
}

/** A spot hibernation: the same processes continue, and have missed every event. */
export function hibernate(region: Region, node: Node): void {
  const { clock, chance } = region;
  note(region, node, 'hibernates');
  node.phase = 'booting';
  noteFault(node, clock.uptime());
  const asleep = [node.bootstrap, node.agent].filter((process) => process !== undefined);
  for (const process of asleep) fallAsleep(process, region);
  const own = ownInstance(region, node);
  if (own !== undefined) own.agentConnected = false;
  const { halts, truth } = node;
  const asleepAt = clock.uptime();
  clock.schedule((region.inconsistency?.chance ?? chance).between(60_000, 600_000), () => {
    if (node.phase !== 'booting' || node.halts !== halts) return;
    note(region, node, 'wakes up');
    // A call in flight arrives now, and what the node saw before it is no older than it was.
    if (truth.connectedAt !== undefined) truth.connectedAt += clock.uptime() - asleepAt;
    node.phase = 'up';
    node.metadata.spotNotice = undefined;
    finish(node, 'spot', clock.uptime());
    noteFault(node, clock.uptime());
    const known = ownInstance(region, node);
    if (known !== undefined && node.localAgent !== undefined && node.illness === undefined) known.agentConnected = true;
    for (const process of asleep) wakeUp(process, region);
    if (node.bootstrapExit === 0 && node.localAgent === undefined) startEcs(region, node);
  });
}

/** Power fails, or the kernel panics: no program gets a signal, and the machine boots again. */
export function reboot(region: Region, conditions: Conditions, node: Node): void {
  note(region, node, 'loses power');
  const halts = halt(region, node);
  node.phase = 'booting';
  region.clock.schedule(region.chance.between(20_000, 60_000), () => {
    if (node.phase === 'booting' && node.halts === halts) boot(region, conditions, node);
  });
}

/**
 * Turns the power off. Returns the count of power losses, so that a later start can detect that
 * another start came first.
 */
export function halt(region: Region, node: Node): number {
  for (const process of [node.bootstrap, node.agent]) {
    if (process === undefined) continue;
    process.onDeath = () => {};
    kill(process);
  }
  node.bootstrap = undefined;
  node.agent = undefined;
  stopEcs(region, node);
  return ++node.halts;
}

function start(region: Region, conditions: Conditions, node: Node, unit: Unit): void {
  const process: Process = {
    name: unit,
    node: node.id,
    alive: true,
    stop: new AbortController(),
    crash: undefined,
    onDeath: () => ended(region, conditions, node, unit, process, 'killed'),
    sleepers: 0,
    asleep: undefined,
    sleptMs: 0,
    calls: 0,
  };
  if (!region.calm) process.crash = drawCrash(region, conditions, node, process);
  node[unit] = process;
  if (unit === 'agent') {
    node.agentStartedAt = region.clock.uptime();
    node.truth.startedWithOldStatus = node.truth.hasOldStatus;
  }
  node[`${unit}Exit`] = undefined;
  note(region, node, `${unit} starts`);
  const host = openHost(region, node, process, conditions);
  const life: ProgramLife = {
    open: () => openHost(region, node, process, conditions),
    configuration: node.configuration,
  };
  void programs[unit](host, region.scenario.config, process.stop.signal, life)
    .catch((error: unknown) => {
      if (process.stop.signal.aborted && error === process.stop.signal.reason) return 143;
      const code = exitCode(error);
      note(region, node, `${unit} fails`, String(error));
      return code;
    })
    .then((code) => {
      if (!process.alive) return;
      process.alive = false;
      ended(region, conditions, node, unit, process, code);
    });
}

/**
 * Draws a crash at any call, before or after its effect. In lives with anomalies the machine can
 * lose power at the same call.
 */
function drawCrash(region: Region, conditions: Conditions, node: Node, process: Process): Process['crash'] {
  const { chance, inconsistency, stats } = region;
  const draw = (from: Chance, strike: () => void): Process['crash'] => ({
    countdown: from.whole(1, from.pick([10, 60, 400])),
    when: from.pick(['before', 'after']),
    strike,
  });
  if (chance.happens(crashShare(region))) return draw(chance, () => kill(process));
  if (inconsistency?.chance.happens(powerShare) !== true) return undefined;
  return draw(inconsistency.chance, () => {
    // A machine that already shuts down does not boot again.
    if (node.phase !== 'up') return kill(process);
    count(stats.faults, 'power lost at a call');
    reboot(region, conditions, node);
  });
}

/**
 * The share of program starts that end in a loss of power; it equals the crash rate at average
 * severity.
 */
const powerShare = 0.15;

/** Programs do not crash in a life without faults. */
function crashShare({ scenario }: Region): number {
  return scenario.accidentEveryMs < 1_200_000 ? 0.3 : 0.05;
}

function ended(
  region: Region,
  conditions: Conditions,
  node: Node,
  unit: Unit,
  process: Process,
  code: number | 'killed',
): void {
  if (node[unit] !== process) return;
  node[unit] = undefined;
  note(region, node, `${unit} ends`, String(code));
  if (code === 'killed') count(region.stats.faults, `${unit} killed`);
  node[`${unit}Exit`] = code;
  if (node.phase !== 'up') return;
  if (unit === 'bootstrap' && code === 0) {
    startEcs(region, node);
    if (node.agent === undefined) start(region, conditions, node, 'agent');
    return;
  }
  // It read the file just before the operator mended it.
  if (code === 78 && node.configuration?.isFaulty === false)
    region.clock.schedule(60_000, () => startByHand(region, conditions, node));
  const { restartMs, final } = units[unit];
  if ((final as readonly unknown[]).includes(code)) return;
  const { bootedAt } = node;
  const again = () => {
    if (node.bootedAt !== bootedAt || node[unit] !== undefined) return;
    if (node.phase === 'up') start(region, conditions, node, unit);
    // A hibernating machine continues later; after a loss of power another boot begins.
    else if (node.phase === 'booting') region.clock.schedule(restartMs, again);
  };
  region.clock.schedule(restartMs, again);
}

/** Plays systemd for the program's requests. */
export function obeySystemd(region: Region, node: Node): void {
  const { restarted, stopped } = node.machine;
  if (stopped.length > 0) {
    node.machine.stopped = [];
    stopEcs(region, node);
  }
  if (restarted.length === 0) return;
  node.machine.restarted = [];
  // ecs.service requires docker.service, so systemd restarts it too.
  if (restarted.includes('docker.service')) restartDocker(region, node);
  restartEcs(region, node);
}

/**
 * The instance terminates: systemd stops the programs, EC2 removes the machine, and the other
 * services notice it later.
 */
export function shutDown(region: Region, node: Node, why: string): void {
  if (node.phase === 'stopping' || node.phase === 'gone') return;
  const { chance, clock } = region;
  node.phase = 'stopping';
  node.truth.death ??= why;
  note(region, node, `shuts down: ${why}`);
  for (const process of [node.bootstrap, node.agent]) {
    if (process?.asleep === undefined) process?.stop.abort(new Error('stopped by SIGTERM'));
  }
  clock.schedule(chance.between(1_000, 30_000), () => {
    halt(region, node);
    clock.schedule(chance.between(1_000, 60_000), () => vanish(region, node));
  });
}

function vanish(region: Region, node: Node): void {
  checkDeath(region, node);
  node.phase = 'gone';
  count(region.stats.deaths, node.truth.death ?? 'unknown');
  note(region, node, 'is gone');
  region.activities.push({ kind: 'terminate', instanceId: node.id, at: region.clock.now(), succeeded: true });
  const own = ownInstance(region, node);
  if (own !== undefined) own.status = 'INACTIVE';
  for (const task of region.cluster.tasks) if (task.containerInstanceArn === own?.arn) task.lastStatus = 'STOPPED';
  for (const record of region.scenario.opsworks.records) {
    if (record.ec2InstanceId === node.id && record.status !== 'deregistering') record.status = 'connection_lost';
  }
}
