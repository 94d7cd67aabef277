import { describe, expect, it } from 'vitest';
import { detailSchema, eventTypes, type NodeEvent } from '../../../core/events/event-schema.ts';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';
import { paths } from '../../../core/state/state.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';

const joined: NodeEvent = { type: 'joined', uptimeSeconds: 40 };
const hour = 3_600_000;

const stage = (bus: string | undefined = 'default') => openFakeHost({ bus });

const onDisk = ({ machine }: World) => [...machine.files.keys()].filter((path) => path.startsWith(paths.events));

const sent = ({ events }: World) => events.map(({ type }) => type);

describe('an event', () => {
  it('is neither sent nor written without a bus', async () => {
    const { host, world, clock } = openFakeHost();
    host.events.tell(joined);
    host.events.resume();
    await clock.run(hour);
    await host.events.close(1_000);
    expect(world.calls.list).toEqual([]);
  });

  it('stays on disk until EventBridge has accepted it', async () => {
    const { host, world, clock } = stage();
    world.calls.delays('putEvent', 500);
    host.events.tell(joined);
    await clock.run(100);
    expect(onDisk(world)).toHaveLength(1);
    await clock.run(1_000);
    expect(world.events).toMatchObject([{ bus: 'default', type: 'joined', detail: { version: 1, uptimeSeconds: 40 } }]);
    expect(onDisk(world)).toEqual([]);
  });

  it('is sent although another file beside it is damaged', async () => {
    const { host, world, clock } = stage();
    world.calls.fails('putEvent', new Unavailable('silent'));
    host.events.tell(joined);
    await clock.run(1_000);
    await clock.finish(host.events.close(0));
    world.calls.heals();
    const path = `${paths.events}/0.json`;
    world.machine.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
    world.reboot().events.resume();
    await clock.run(1_000);
    expect(sent(world)).toEqual(['joined']);
    expect(onDisk(world)).toEqual([]);
  });

  it('names the group where the metadata service shows it', async () => {
    const { host, world, clock } = stage();
    world.metadata.tags = { 'aws:autoscaling:groupName': 'web' };
    host.events.tell(joined);
    await clock.run(1_000);
    expect(world.events[0]?.detail).toMatchObject({
      group: 'web',
      cluster: 'demo',
      instanceId: world.identity.instanceId,
    });
  });

  it.each([
    ['no answer', new Unavailable('throttled')],
    ['a refusal', new Refused('no', { code: 'AccessDeniedException' })],
  ])('is sent late after %s', async (_, error) => {
    const { host, world, clock } = stage();
    world.calls.fails('putEvent', error, 3);
    host.events.tell(joined);
    await clock.run(hour);
    expect(sent(world)).toEqual(['joined']);
    expect(onDisk(world)).toEqual([]);
  });

  it('is given up after its last try', async () => {
    const { host, world, clock } = stage();
    world.calls.fails('putEvent', new Unavailable('away'));
    host.events.tell(joined);
    await clock.run(24 * hour);
    expect(world.calls.of('putEvent')).toHaveLength(5);
    expect(onDisk(world)).toEqual([]);
    expect(world.log.at(-1)).toMatchObject({ message: 'event not sent', fields: { again: false } });
  });

  it('is tried once more when a call hangs', async () => {
    const { host, world, clock } = stage();
    world.calls.hangs('putEvent', 1);
    host.events.tell(joined);
    await clock.run(5 * 60_000);
    expect(sent(world)).toEqual(['joined']);
  });

  it('is sent although the disk is full', async () => {
    const { host, world, clock } = stage();
    world.calls.fails('writeText', new Unavailable('ENOSPC'));
    host.events.tell(joined);
    await clock.run(1_000);
    expect(sent(world)).toEqual(['joined']);
  });

  it.each(['before', 'after'] as const)('survives a process that dies %s the call, with the same id', async (when) => {
    const { host, world, clock } = stage();
    host.events.tell(joined);
    world.calls.onCall = ({ verb }) => verb === 'putEvent' && world.calls.crashAt(1, when);
    await clock.run(1_000);
    world.calls.onCall = undefined;
    const before = world.events.map(({ detail }) => detail['id']);
    world.reboot().events.resume();
    await clock.run(1_000);
    const ids = world.events.map(({ detail }) => detail['id']);
    expect(ids).toHaveLength(before.length + 1);
    expect(new Set(ids).size).toBe(1);
    expect(onDisk(world)).toEqual([]);
  });

  it('of another instance, or an invalid file, is removed and not sent', async () => {
    const { host, world, clock } = stage();
    const other = { instanceId: 'i-0other', id: 'i-0other-1', type: 'joined', at: 0, detail: {} };
    world.machine.files.set(`${paths.events}/i-0other-1.json`, JSON.stringify(other));
    world.machine.files.set(`${paths.events}/half.json`, '{"instanceId":');
    host.events.resume();
    await clock.run(1_000);
    expect(onDisk(world)).toEqual([]);
    expect(world.events).toEqual([]);
  });

  it('delays the end of the process no longer than allowed, and stays on disk', async () => {
    const { host, world, clock } = stage();
    world.calls.hangs('putEvent');
    host.events.tell(joined);
    const start = clock.uptime();
    await clock.finish(host.events.close(3_000));
    expect(clock.uptime() - start).toBe(3_000);
    expect(onDisk(world)).toHaveLength(1);
  });

  it('is tried at once when the process ends during its pause', async () => {
    const { host, world, clock } = stage();
    world.calls.fails('putEvent', new Unavailable('away'), 1);
    host.events.tell(joined);
    await clock.run(1_000);
    expect(sent(world)).toEqual([]);
    await clock.finish(host.events.close(3_000));
    expect(sent(world)).toEqual(['joined']);
  });

  it('is dropped when fifty others wait', async () => {
    const { host, world, clock } = stage();
    world.calls.fails('putEvent', new Unavailable('away'));
    for (let count = 0; count < 60; count++) host.events.tell(joined);
    await clock.run(30_000);
    expect(onDisk(world)).toHaveLength(50);
    expect(world.log.filter(({ message }) => message === 'event not sent: too many wait')).toHaveLength(10);
  });
});

const at = '2030-01-01T00:00:00.000Z';
const disks = [{ mountPath: '/', usedPercent: 95, usedInodesPercent: 10 }];
const long = 'x'.repeat(100_000);

/** One of each type. The compiler asks for a new one. */
const examples: { [T in NodeEvent['type']]: Extract<NodeEvent, { type: T }> } = {
  joined: { type: 'joined', uptimeSeconds: 40 },
  draining: { type: 'draining', cause: 'spot', reason: 'spot', ending: 'await', deadline: at },
  left: {
    type: 'left',
    cause: 'disk',
    reason: long,
    ending: 'terminate',
    returns: false,
    confirmedBy: 'the leave queue',
    startedAt: at,
    seconds: 20,
    phases: [
      { name: 'drain', at, seconds: 1 },
      { name: 'tasks', at },
    ],
    blockers: Array.from({ length: 2_000 }, () => long),
    troubles: Array.from({ length: 20 }, () => long),
  },
  stayed: { type: 'stayed', cause: 'disk', reason: 'freed' },
  held: { type: 'held', reason: '3 nodes died young', failures: 3, until: at },
  'disk-full': { type: 'disk-full', disks },
  'disk-freed': { type: 'disk-freed', disks },
  'configuration-refused': { type: 'configuration-refused', reason: 'disk.fullPercent: HTTP_PASSWORD=hunter2' },
  'registered-anew': { type: 'registered-anew', capacityProvider: 'web', reason: 'now in web' },
};

describe('the detail of an event', () => {
  it.each(eventTypes)('%s matches its schema, far below the limit of EventBridge', async (type) => {
    const { host, world, clock } = stage();
    host.events.tell(examples[type]);
    await clock.run(1_000);
    const detail = world.events[0]?.detail;
    expect(detailSchema(type).safeParse(detail)).toMatchObject({ success: true });
    expect(JSON.stringify(detail).length).toBeLessThan(100_000);
  });

  it('holds no secret', async () => {
    const { host, world, clock } = stage();
    host.events.tell(examples['configuration-refused']);
    await clock.run(1_000);
    expect(JSON.stringify(world.events)).not.toContain('hunter2');
  });
});
