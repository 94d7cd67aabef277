import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { renderTextfile } from '../../../agent/metrics/render-textfile.ts';
import { someDisk } from '../../fakes/machine.ts';

const gigabyte = 2 ** 30;

const sample = {
  instanceId: 'i-0123456789abcdef0',
  cluster: 'demo',
  group: 'a "group" with \\ in its name',
  disks: [
    { ...someDisk('/', 40, 10), filesystem: '/dev/xvda1' },
    { ...someDisk('/data "1"', 80, 20), filesystem: '/dev/xvdb', mountPath: '/data "1"' },
  ],
  memory: { totalBytes: 8 * gigabyte, availableBytes: 6 * gigabyte, swapTotalBytes: 0, swapFreeBytes: 0 },
  failingChores: 2,
  at: Date.UTC(2030, 0, 1),
};

/** Reads the text with the parsers of Prometheus' own Python client. */
const program = `
import json, sys
from importlib import import_module
text = sys.stdin.read()
found = import_module(sys.argv[1]).text_string_to_metric_families(text)
print(json.dumps([[s.name, s.labels, s.value, f.type, s.timestamp] for f in found for s in f.samples]))
`;

test.each(['prometheus_client.openmetrics.parser', 'prometheus_client.parser'])(
  'the text is what %s reads, with every value',
  (parser) => {
    const { status, stdout, stderr } = spawnSync('python3', ['-c', program, parser], {
      input: renderTextfile(sample),
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    const samples = JSON.parse(stdout) as [string, Record<string, string>, number, string, unknown][];
    const node = { cluster: 'demo', group: sample.group, instance_id: sample.instanceId };
    const valueOf = (name: string, more: object = {}) =>
      samples.find((each) => each[0] === name && JSON.stringify(each[1]) === JSON.stringify({ ...node, ...more }))?.[2];
    expect(valueOf('ecs_node_memory_used_bytes')).toBe(2 * gigabyte);
    expect(valueOf('ecs_node_memory_utilization_percent')).toBe(25);
    expect(valueOf('ecs_node_upkeep_failing')).toBe(2);
    expect(valueOf('ecs_node_sample_timestamp_seconds')).toBe(Date.UTC(2030, 0, 1) / 1000);
    const data = { device: '/dev/xvdb', mountpoint: '/data "1"' };
    expect(valueOf('ecs_node_disk_space_utilization_percent', data)).toBeCloseTo(80);
    // Four of each disk, five of memory and swap, the chores and the time.
    expect(samples).toHaveLength(2 * 4 + 5 + 2);
    for (const [, , , type, timestamp] of samples) expect([type, timestamp]).toEqual(['gauge', null]);
  },
);
