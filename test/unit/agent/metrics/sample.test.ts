import { expect, test } from 'vitest';
import { gigabyte, megabyte, metricsOf } from '../../../../agent/metrics/sample.ts';

// Names, units and values of the monitoring scripts that AWS published: its alarms keep working.
test('each metric has the value and the unit of the old monitoring scripts', () => {
  const use = { path: '/', filesystem: '/dev/xvda1', mountPath: '/', device: 1 };
  const bytes = { totalBytes: 100 * gigabyte, usedBytes: 40 * gigabyte, freeBytes: 60 * gigabyte };
  const metrics = metricsOf({
    instanceId: 'i-0123456789abcdef0',
    cluster: 'demo',
    group: undefined,
    disks: [{ ...use, ...bytes, totalInodes: 1000, freeInodes: 750 }],
    memory: {
      totalBytes: 1000 * megabyte,
      availableBytes: 750 * megabyte,
      swapTotalBytes: 200 * megabyte,
      swapFreeBytes: 150 * megabyte,
    },
    at: 0,
  });
  const own = metrics.filter(({ dimensions }) => 'InstanceId' in dimensions);
  expect(Object.fromEntries(own.map(({ name, value, unit }) => [name, `${Math.round(value)} ${unit}`]))).toEqual({
    DiskSpaceUtilization: '40 Percent',
    DiskSpaceUsed: '40 Gigabytes',
    DiskSpaceAvailable: '60 Gigabytes',
    DiskInodesUtilization: '25 Percent',
    MemoryUtilization: '25 Percent',
    MemoryUsed: '250 Megabytes',
    MemoryAvailable: '750 Megabytes',
    SwapUtilization: '25 Percent',
    SwapUsed: '50 Megabytes',
  });
});
