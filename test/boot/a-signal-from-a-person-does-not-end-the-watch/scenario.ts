import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario, World } from '../rig/contract.ts';

const unit = 'ecs-node.service';

/**
 * Signals that people and tools send: `killall ecs-node`, a logrotate, a tool for dumps.
 */
const signals = ['TERM', 'INT', 'QUIT', 'USR2', 'HUP', 'USR1'];

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    for (const signal of signals) {
      const before = await pidOf(world);
      await machine.run('/usr/bin/kill', `-${signal}`, before);
      await runsWell(world, signal === 'HUP' || signal === 'USR1' ? before : undefined, before, signal);
    }
    // SIGHUP to an agent that has just started and does not listen yet.
    await machine.run('/usr/bin/kill', '-9', await pidOf(world));
    await until('another one begins', async () => !['', '0'].includes(await pidOf(world)));
    const early = await pidOf(world);
    await machine.run('/usr/bin/kill', '-HUP', early);
    await until('an agent runs', async () => (await machine.readUnit(unit))['SubState'] === 'running');

    // A stop by the operator lasts, and is no failure.
    assert.equal((await machine.run('/usr/bin/systemctl', 'stop', unit)).code, 0);
    const { ActiveState, Result } = await machine.readUnit(unit);
    assert.deepEqual([ActiveState, Result], ['inactive', 'success']);

    // The agent of a node that has left ends with 0. systemd then starts no other one.
    const { RestartPreventExitStatus, Restart } = await machine.readUnit(unit);
    assert.deepEqual([Restart, RestartPreventExitStatus], ['always', '0 64 78']);
    const rule = ['Restart=always', 'RestartPreventExitStatus=0 64 78', 'RestartSec=100ms'].map(
      (line) => `--property=${line}`,
    );
    await machine.run('/usr/bin/systemd-run', '--unit=left', '--remain-after-exit', ...rule, '/usr/bin/true');
    await until('it has ended', async () => (await machine.readUnit('left.service'))['SubState'] === 'exited');
    assert.equal((await machine.readUnit('left.service'))['NRestarts'], '0');

    harmedNobody(world);
    assert.equal(aws.ecsStarts().length, 1, 'ecs was restarted with it');
  },
};

async function pidOf({ machine }: World): Promise<string> {
  return (await machine.readUnit(unit))['MainPID'] ?? '';
}

/** The same process where `same` is given, else another one. */
async function runsWell(
  { machine, until }: World,
  same: string | undefined,
  before: string,
  signal: string,
): Promise<void> {
  await until(`the agent runs after SIG${signal}`, async () => {
    const { MainPID, SubState } = await machine.readUnit(unit);
    return SubState === 'running' && MainPID !== '0' && (same === undefined ? MainPID !== before : MainPID === same);
  });
}
