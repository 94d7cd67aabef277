import { describe, expect, it } from 'vitest';
import { deregister } from '../../../../bootstrap/registrars/registrars.ts';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { layerId, opsworksConfig, setStage, signal, stackId, type Stage } from '../stage.ts';
import { addRecord, countReads, hidesOnce } from './records.ts';

describe('leaving OpsWorks', () => {
  const leave = async (stage: Stage, registered: object) => {
    await stage.world.clock.finish(deregister(stage.host, { registrar: 'opsworks', ...registered }, signal));
    await stage.world.clock.run(60_000);
    return stage.world.opsworks.records;
  };

  it('unassigns, then deregisters, and leaves no record', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
    const deeds = stage.world.calls.verbs('cloud').filter((verb) => !verb.startsWith('read'));
    expect(deeds).toEqual(['unassign', 'deregister']);
  });

  // Shutdown recipes that used all their time took longer than the node waited: its record stayed
  // as connection_lost.
  it('leaves no record when shutdown recipes begin late and take two minutes', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.opsworks.unassignTakesMs = 200_000;
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });

  // The first of two calls unassigned the node. The second was refused, and the record stayed for
  // ever.
  it('waits for an unassignment that OpsWorks received twice and refused the second time', async () => {
    const stage = setStage(opsworksConfig());
    const record = addRecord(stage);
    const { calls, clock } = stage.world;
    calls.onCall = ({ verb }) => {
      if (verb !== 'unassign') return;
      record.status = 'unassigning';
      clock.schedule(60_000, () => Object.assign(record, { layerIds: [], status: 'registered' }));
    };
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });

  it('deregisters at once when the role may not unassign', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.calls.fails('unassign', new Refused('not authorized', { code: 'AccessDeniedException' }));
    const began = stage.world.clock.uptime();
    await expect(leave(stage, { id: 'r-1' })).rejects.toThrow('unassign it first');
    expect(stage.world.clock.uptime() - began).toBeLessThan(5_000);
  });

  // The bootstrap gave the assignment up at its deadline. OpsWorks carried it out after the node
  // had begun to leave.
  it('unassigns again after a late assignment', async () => {
    const stage = setStage(opsworksConfig());
    const record = addRecord(stage);
    const { calls, clock } = stage.world;
    let isFirst = true;
    calls.onCall = ({ verb }) => {
      if (verb === 'unassign' && isFirst) clock.schedule(8_000, () => void (record.status = 'online'));
      if (verb === 'unassign') isFirst = false;
    };
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
    expect(calls.of('unassign')).toHaveLength(2);
  });

  it('finds the record of an installer whose end the node did not see', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { layerIds: [], status: 'registering' });
    expect(await leave(stage, { stackId, layerId })).toEqual([]);
  });

  // After one wrong answer, the node took its record for gone, and left it behind as
  // connection_lost.
  it.each([
    ['its record', { id: 'r-1' }],
    ['the stack', { stackId }],
  ])('leaves no record after a single answer about %s that it is gone', async (_what, registered) => {
    const arrange = () => {
      const stage = setStage(opsworksConfig());
      addRecord(stage);
      return stage;
    };
    const whole = arrange();
    await leave(whole, registered);
    const reads = countReads(whole);
    expect(reads).toBeGreaterThan(1);
    for (let wrong = 1; wrong <= reads; wrong++) {
      const stage = arrange();
      expect(await leave({ ...stage, host: hidesOnce(stage.host, wrong) }, registered), `read ${wrong}`).toEqual([]);
    }
  });

  it('believes within a minute that its record is gone', async () => {
    const stage = setStage(opsworksConfig());
    for (const registered of [{ id: 'r-1' }, { stackId }]) {
      const began = stage.world.clock.uptime();
      await stage.world.clock.finish(deregister(stage.host, { registrar: 'opsworks', ...registered }, signal));
      expect(stage.world.clock.uptime() - began).toBeLessThan(60_000);
    }
  });

  it('accepts a record that is gone, going, or never existed', async () => {
    for (const arrange of [
      () => {},
      (stage: Stage) => void addRecord(stage, { layerIds: [], status: 'deregistering', ec2InstanceId: 'x' }),
    ]) {
      const stage = setStage(opsworksConfig());
      arrange(stage);
      await leave(stage, { id: 'r-1' });
      await leave(stage, { stackId });
      await leave(stage, {});
      expect(stage.world.calls.of('deregister')).toEqual([]);
    }
  });

  it('deregisters a dead agent that never confirms its unassignment', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage, { status: 'connection_lost' });
    stage.world.opsworks.unassignTakesMs = 10_000_000;
    // The real service lets a dead instance go; the fake insists, so only the attempt can be seen.
    await expect(leave(stage, { id: 'r-1' })).rejects.toThrow('unassign it first');
    expect(stage.world.calls.of('deregister')).toHaveLength(1);
  });

  it('survives throttling, and ends on a stop', async () => {
    const stage = setStage(opsworksConfig());
    addRecord(stage);
    stage.world.calls.fails('deregister', new Unavailable('ThrottlingException'), 3);
    expect(await leave(stage, { id: 'r-1' })).toEqual([]);
  });
});
