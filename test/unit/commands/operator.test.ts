import { rm } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { readRequest, removeRequest } from '../../../agent/request.ts';
import type { AgentStatus } from '../../../agent/status.ts';
import { followDeparture, followStay } from '../../../commands/node/follow-departure.ts';
import { placeRequest } from '../../../commands/leave.ts';
import { renderStatus } from '../../../commands/status/render-status.ts';
import { readStatus, type Status } from '../../../commands/status/status-report.ts';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { paths, renderState, type BootstrapState, type DepartureState, type Phase } from '../../../core/state/state.ts';
import { openFakeHost } from '../../fakes/host.ts';
import { plainConfig, signal } from '../bootstrap/stage.ts';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { openStage } from './stage.ts';

async function openNode() {
  const { host, world, clock } = openFakeHost();
  await clock.finish(runBootstrap(host, plainConfig(), signal));
  const put = (path: string, state: object) => void world.machine.files.set(path, renderState(state));
  const { instanceId } = host.identity;
  const printed: string[] = [];
  const departure = (phase: Phase, more: Partial<DepartureState> = {}): void =>
    put(paths.departure, {
      instanceId,
      cause: 'operator',
      reason: 'kernel',
      startedAt: clock.now(),
      deadline: clock.now() + 900_000,
      ending: 'terminate',
      phase,
      entered: { announce: clock.now(), [phase]: clock.now() },
      blockers: [],
      troubles: [],
      ...more,
    });
  return {
    host,
    world,
    clock,
    put,
    printed,
    departure,
    instanceId,
    follower: { machine: host.machine, clock, print: (text: string) => void printed.push(text) },
    runAgent: () =>
      put(paths.agent, {
        instanceId,
        bootId: 'boot-1',
        at: clock.now(),
        join: { state: 'joined', detail: 'in the cluster demo', since: clock.now() },
        watchers: {
          disk: {
            finding: 'well',
            at: clock.now(),
            since: clock.now(),
            facts: { disks: [{ mountPath: '/', usedPercent: 41, usedInodesPercent: 12 }] },
          },
          spot: { finding: 'unknown', at: clock.now(), since: clock.now(), error: 'no answer' },
        },
        memories: {},
      }),
    ask: (action: 'leave' | 'stay', terminate = true) =>
      placeRequest(host.machine, clock, { action, terminate }, 'kernel'),
    status: async () => renderStatus(await readStatus(host.machine), clock.now()),
  };
}

test("the agent reads exactly the operator's request", async () => {
  const node = await openNode();
  node.runAgent();
  const request = await node.ask('leave', false);
  expect(await readRequest(node.host)).toEqual(request);
  expect(request).toMatchObject({ action: 'leave', terminate: false, reason: 'kernel', instanceId: node.instanceId });
});

test('the operator is warned when no agent runs, and the request waits for one', async () => {
  const node = await openNode();
  await expect(node.ask('leave')).rejects.toThrow(/no agent runs.*systemctl start ecs-node/);
  expect(await readRequest(node.host)).toMatchObject({ action: 'leave' });
  node.runAgent();
  await node.clock.run(600_000);
  await expect(node.ask('leave')).rejects.toThrow(/no sign of life/);
});

test('a machine without a configured node is named as such, and nothing is written', async () => {
  const { host, world, clock } = openFakeHost();
  await expect(placeRequest(host.machine, clock, { action: 'leave', terminate: true }, 'x')).rejects.toThrow(
    Unavailable,
  );
  expect(world.machine.files.size).toBe(0);
});

test('a full disk takes no request to leave; one to stay is followed, shown, and counts before an older one', async () => {
  const node = await openNode();
  node.runAgent();
  const older = await node.ask('leave');
  const fill = ({ verb, args }: { verb: string; args: readonly unknown[] }) => {
    if (verb === 'writeText' && args[0] === paths.request) throw new Unavailable('ENOSPC: no space left on device');
  };
  node.world.calls.onCall = fill;
  await expect(node.ask('leave')).rejects.toThrow('ENOSPC');
  expect(await readRequest(node.host)).toEqual(older);
  const request = await node.ask('stay', false);
  expect(await readRequest(node.host)).toEqual(request);
  expect(await node.status()).toMatch(/^Request +stay: kernel/m);
  const following = followStay(node.follower, request, signal);
  await node.clock.run(1_000);
  expect(node.printed).toEqual([]);
  await removeRequest(node.host);
  expect(await node.clock.finish(following)).toBe(0);
  expect(await readRequest(node.host)).toBeUndefined();
  // A later request counts, although no agent has taken that one.
  await node.ask('stay', false);
  node.world.calls.onCall = undefined;
  const later = await node.ask('leave');
  expect(await readRequest(node.host)).toEqual(later);
});

test('a node that has left gets no new request', async () => {
  const node = await openNode();
  node.runAgent();
  node.departure('done');
  await expect(node.ask('leave')).rejects.toThrow(Refused);
});

test('the operator sees each phase, the tasks in the way, and the end', async () => {
  const node = await openNode();
  node.runAgent();
  const request = await node.ask('leave');
  const following = followDeparture(node.follower, request, signal);
  await node.clock.run(2_000);
  node.departure('tasks', { key: request.id, blockers: ['task web:7', 'task \n04:49:00 done'] });
  await node.clock.run(2_000);
  node.departure('done', { key: request.id, troubles: ['registrar: refused'] });
  expect(await node.clock.finish(following)).toBe(0);
  const lines = node.printed.map((line) => line.slice(9).trimEnd());
  expect(lines).toEqual([
    'leaving (operator): kernel',
    'phase announce',
    'phase tasks',
    'waiting for task web:7',
    String.raw`waiting for task \n04:49:00 done`,
    'trouble: registrar: refused',
    'done',
  ]);
});

test('"leave" on a node that leaves already only watches, says so first, and gives a sign of life each minute', async () => {
  const node = await openNode();
  node.runAgent();
  const startedAt = node.clock.now() - 5_000;
  const more: Partial<DepartureState> = {
    startedAt,
    cause: 'scale-in',
    ending: 'await',
    key: 'scale-in',
    blockers: ['task web:7'],
  };
  node.departure('tasks', { ...more, deadline: Date.UTC(2026, 0, 1, 4, 49) });
  const request = await node.ask('leave');
  const following = followDeparture(node.follower, request, signal);
  await node.clock.run(130_000);
  expect(node.printed[0]).toContain(
    'already leaving for scale-in; this command only watches, and Ctrl-C does not stop the departure; deadline 04:49:00',
  );
  expect(node.printed.filter((line) => line.includes('still in the phase tasks'))).toHaveLength(2);
  expect(await node.status()).toMatch(/^Request +leave: kernel \(.*; the node leaves already for scale-in\)$/m);
  node.departure('done', more);
  expect(await node.clock.finish(following)).toBe(0);
  expect(await node.status()).not.toMatch(/^Request/m);
});

test('an earlier departure does not count as the answer', async () => {
  const node = await openNode();
  node.runAgent();
  node.departure('done', { ending: 'remain', key: 'earlier' });
  const request = await node.ask('leave');
  await expect(node.clock.finish(followDeparture(node.follower, request, signal))).rejects.toThrow(
    /not taken it up within 30 s/,
  );
  expect(node.printed).toEqual([]);
});

test('a departure that is called off ends with exit code 1', async () => {
  const node = await openNode();
  node.runAgent();
  const request = await node.ask('leave');
  node.departure('drain', { key: request.id, undoneAt: node.clock.now() });
  expect(await node.clock.finish(followDeparture(node.follower, request, signal))).toBe(1);
});

test('a request to stay works until it is too late, and the operator learns which', async () => {
  const node = await openNode();
  node.runAgent();
  const request = await node.ask('stay', false);
  const following = followStay(node.follower, request, signal);
  await node.clock.run(1_000);
  await removeRequest(node.host);
  expect(await node.clock.finish(following)).toBe(0);
  const again = await node.ask('stay', false);
  node.departure('hook', { cause: 'scale-in' });
  await removeRequest(node.host);
  await expect(followStay(node.follower, again, signal)).rejects.toThrow(
    /^too late to stay: .*scale-in.*phase hook; AWS ends this machine, and no command can undo that$/,
  );
});

test('the status of an unconfigured machine names the first step', async () => {
  const { host, clock } = openFakeHost();
  const text = renderStatus(await readStatus(host.machine), clock.now());
  expect(text).toMatch(/Nothing has run on this machine yet/);
  expect(text).toMatch(/ecs-node configure --cluster NAME/);
});

// A node that stays although its disk is full could tell that very well.
test.each([
  ['unknown', undefined, 'could not tell: no answer'],
  ['ailing', '/ 97 %', '/ 97 %; no answer'],
])('the status of a watcher that found %s', (finding, reason, words) => {
  const disk = { finding, at: 0, since: 0, ...(reason !== undefined && { reason }), error: 'no answer' };
  const join = { state: 'joined', detail: 'in service', since: 0 };
  const agent = { at: 0, join, watchers: { disk } } as unknown as AgentStatus;
  expect(renderStatus({ agent, remarks: [] }, 0)).toMatch(new RegExp(`disk +${finding} +0 s ago +${words}$`, 'm'));
});

test('no text of others adds a line to the status', () => {
  const forged = 'x\nDeparture  none\u2028Wrong  none';
  const at = 0;
  const blockers = [forged];
  const departure = { cause: 'spot', reason: forged, phase: 'tasks', startedAt: 0, deadline: 0, ending: 'terminate' };
  const status = {
    agent: {
      at,
      join: { state: 'failed', detail: forged, since: 0 },
      watchers: {
        disk: { finding: 'well', at, since: at, reason: forged, facts: { [forged]: forged }, error: forged },
      },
      lastError: { what: forged, error: forged, at },
    },
    departure: { ...departure, entered: {}, blockers, troubles: blockers },
    remarks: [forged],
  } as unknown as Status;
  const plain = JSON.parse(JSON.stringify(status).replaceAll(JSON.stringify(forged).slice(1, -1), 'x')) as Status;
  const linesOf = (text: string) => text.split(/[\n\u2028]/);
  expect(linesOf(renderStatus(status, 0))).toHaveLength(linesOf(renderStatus(plain, 0)).length);
});

test('the status says that a root does not exist, and names it in the first step', async () => {
  const stage = await openStage();
  expect((await stage.run(['status'])).printed).not.toContain('does not exist');
  await rm(stage.root, { recursive: true });
  const { printed } = await stage.run(['status']);
  expect(printed).toContain(
    `ecs-node configure --cluster NAME --root ${stage.root} && ecs-node bootstrap --root ${stage.root}\n`,
  );
  expect(printed).toContain(`Remark: the folder ${stage.root} (--root) does not exist\n`);
});

test('the status names the node, its past and its present, from its files alone', async () => {
  const node = await openNode();
  node.runAgent();
  const already = node.world.calls.list.length;
  const text = await node.status();
  expect(text).toMatch(new RegExp(`^Node +${node.instanceId}, `));
  expect(text).toMatch(/cluster +demo/);
  expect(text).toMatch(/^Bootstrap +done/m);
  expect(text).toMatch(/ecs-config +changed +0\.0 s/);
  // The plain configuration has no registrar.
  expect(text).toMatch(/register +skipped .* registrar none/);
  expect(text).toMatch(/^Agent +joined/m);
  expect(text).toMatch(/disk +well .*\/ 41 % \(inodes 12 %\)/);
  expect(text).toMatch(/spot +unknown .*could not tell: no answer/);
  expect(text).toMatch(/^Departure +none$/m);
  expect(text).toMatch(/^Last error none$/m);
  expect(new Set(node.world.calls.list.slice(already).map(({ area }) => area))).toEqual(new Set(['machine']));
});

test('a held, leaving or failed node names the reason', async () => {
  const node = await openNode();
  const state = JSON.parse(String(node.world.machine.files.get(paths.bootstrap))) as BootstrapState;
  node.put(paths.bootstrap, { ...state, outcome: 'held', reason: 'assign: no', heldUntil: node.clock.now() + 600_000 });
  expect(await node.status()).toMatch(/^Bootstrap +held by the storm guard, tries again in 10 min$/m);
  const failed = { name: 'register', state: 'failed', startedAt: node.clock.now(), error: 'OpsWorks says no' };
  node.put(paths.bootstrap, { ...state, outcome: 'failed', reason: 'register: OpsWorks says no', steps: [failed] });
  expect(await node.status()).toMatch(/^Last error register: OpsWorks says no/m);
  node.put(paths.bootstrap, { ...state, former: [{ registrar: 'opsworks', id: 'r-1' }] });
  expect(await node.status()).toMatch(/^ {2}former +opsworks r-1, not left yet$/m);
  node.departure('tasks', {
    cause: 'disk',
    reason: 'disk full: / 97 %',
    blockers: ['web:7'],
    troubles: ['balancers: refused'],
  });
  const text = await node.status();
  for (const part of [
    'Departure  disk: tasks',
    'reason   disk full: / 97 %',
    'blocked by web:7',
    'trouble: balancers: refused',
  ]) {
    expect(text).toContain(part);
  }
});

test('a state that was copied with an image is named and ignored', async () => {
  const node = await openNode();
  node.world.machine.files.set('/sys/devices/virtual/dmi/id/board_asset_tag', 'i-0fffffffffffffff0\n');
  const text = await node.status();
  expect(text).toMatch(/about i-\w+, another instance/);
  expect(text).not.toMatch(/^Bootstrap +done/m);
});

test('a truncated or unreadable state is a remark, not an error', async () => {
  const node = await openNode();
  node.world.machine.files.set(paths.departure, '{"instanceId":');
  node.world.machine.files.set(paths.agent, new Error('EACCES'));
  const text = await node.status();
  expect(text).toMatch(/departure\.json: does not have the form that ecs-node writes/);
  expect(text).toMatch(/EACCES/);
});

test('"stay" on a node that has left fails at once, without an agent', async () => {
  const node = await openNode();
  node.runAgent();
  node.departure('done');
  await expect(node.ask('stay')).rejects.toThrow(
    'this node has left already (operator: kernel): its instance ends, and no command can undo that',
  );
  expect(await readRequest(node.host)).toBeUndefined();
  // A node that was only drained, or whose departure was undone, can still be asked.
  node.departure('done', { ending: 'remain' });
  await expect(node.ask('stay')).resolves.toMatchObject({ action: 'stay' });
});
