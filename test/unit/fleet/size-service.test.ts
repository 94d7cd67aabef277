import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openLog, type Entry } from '../../../core/log.ts';
import { sizeService, sizeServices, type SizeReport, type SizeRequest } from '../../../fleet/size-service.ts';
import { openFakeClock } from '../../fakes/clock.ts';
import { fakeServices, steadyService, type FakeServices } from '../../fakes/fleet-services.ts';

const order: SizeRequest = { cluster: 'prod', service: 'web', spare: 1, min: 1, apply: true };

function run(services: FakeServices, more: Partial<SizeRequest> = {}) {
  const log: Entry[] = [];
  const clock = openFakeClock();
  const tools = { services, clock, log: openLog((entry) => void log.push(entry), clock.now) };
  const report = clock.finish(sizeService({ ...order, ...more }, tools, new AbortController().signal));
  return { report, log };
}
const deeds = ({ calls }: FakeServices) => calls.filter((call) => call.startsWith('set'));

test('reads the service last, then sets its desired count, once', async () => {
  const services = fakeServices(5, 2);
  expect(await run(services).report).toMatchObject({ action: 'resized', desired: 2, wanted: 4 });
  expect(services.calls).toEqual(['countInstances', 'readScalingTarget', 'readService', 'setDesiredCount 4']);
});

test('changes nothing without --apply, and reports the intended count', async () => {
  const services = fakeServices(5, 2);
  expect(await run(services, { apply: false }).report).toMatchObject({ action: 'would-resize', desired: 2, wanted: 4 });
  expect(deeds(services)).toEqual([]);
});

test('a second run has nothing to do', async () => {
  const services = fakeServices(5, 2);
  await run(services).report;
  expect(await run(services).report).toMatchObject({ action: 'kept', desired: 4, wanted: 4 });
  expect(deeds(services)).toEqual(['setDesiredCount 4']);
});

test('two runs at once set the same count', async () => {
  const services = fakeServices(5, 2);
  const reports = await Promise.all([run(services).report, run(services).report]);
  expect(reports.map(({ wanted }) => wanted)).toEqual([4, 4]);
  expect(new Set(deeds(services))).toEqual(new Set(['setDesiredCount 4']));
});

test('retries from the start when throttled', async () => {
  const services = fakeServices(5, 2);
  services.before = (call) => {
    if (call === 'readService' && services.calls.length === 3) services.troubles = 1;
  };
  const { report, log } = run(services);
  expect(await report).toMatchObject({ action: 'resized', wanted: 4 });
  expect(services.calls.filter((call) => call === 'countInstances')).toHaveLength(2);
  expect(log.map(({ message }) => message)).toContain('asking AWS again');
});

test('repairs a lost answer by the next try, which finds nothing to do', async () => {
  const services = fakeServices(5, 2);
  const set = services.setDesiredCount;
  services.setDesiredCount = async (...args) => {
    await set(...args);
    throw new Unavailable('socket hang up');
  };
  expect(await run(services).report).toMatchObject({ action: 'kept', desired: 4 });
  expect(deeds(services)).toEqual(['setDesiredCount 4']);
});

test('fails as Unavailable when AWS does not answer in time, and changes nothing', async () => {
  const services = fakeServices(5, 2);
  services.troubles = Infinity;
  await expect(run(services).report).rejects.toThrow(Unavailable);
  expect(deeds(services)).toEqual([]);
});

test('notices a deployment that begins between two reads', async () => {
  const services = fakeServices(5, 2);
  services.before = (call) => {
    if (call === 'readService') {
      services.service = steadyService(2, { deployments: [{ status: 'PRIMARY', rollout: 'IN_PROGRESS' }] });
    }
  };
  expect(await run(services).report).toMatchObject({ action: 'waited', wanted: 2 });
  expect(deeds(services)).toEqual([]);
});

test.each([
  ['sized by Application Auto Scaling', (services: FakeServices) => void (services.target = { min: 1, max: 3 })],
  ['a DAEMON', (services: FakeServices) => void (services.service = steadyService(5, { scheduling: 'DAEMON' }))],
  ['gone', (services: FakeServices) => void (services.service = undefined)],
])('refuses a service that is %s, and names it', async (_title, change) => {
  const services = fakeServices(9, 2);
  change(services);
  await expect(run(services).report).rejects.toThrow(Refused);
  await expect(run(services).report).rejects.toThrow(/^service web of cluster prod: /);
  expect(deeds(services)).toEqual([]);
});

test('sizes the other services when one fails', async () => {
  const services = fakeServices(5, 2);
  const clock = openFakeClock();
  const tools = { services, clock, log: openLog(() => {}, clock.now) };
  const reports: SizeReport[] = [];
  const orders = ['wbe', 'web', 'apii'].map((service) => ({ ...order, service }));
  const all = sizeServices(orders, tools, (report) => reports.push(report), new AbortController().signal);
  await expect(clock.finish(all)).rejects.toMatchObject({
    name: 'Refused',
    message: expect.stringMatching(/service wbe .*; service apii /),
  });
  expect(reports).toMatchObject([{ service: 'web', action: 'resized', wanted: 4 }]);
});

test('the error of one service is that of the run', async () => {
  const services = fakeServices(5, 2);
  services.troubles = 1_000;
  const clock = openFakeClock();
  const tools = { services, clock, log: openLog(() => {}, clock.now) };
  const all = sizeServices([order], tools, () => {}, new AbortController().signal);
  await expect(clock.finish(all)).rejects.toBeInstanceOf(Unavailable);
});
