/**
 * The metrics of a node as text for node_exporter's textfile collector: Prometheus' text format,
 * which is OpenMetrics as well. Without times, which the collector refuses. Pure.
 */

import type { Metric } from '../../core/host.ts';
import { diskMetrics, gigabyte, megabyte, memoryMetrics, type Sample } from './sample.ts';

interface Family {
  name: string;
  help: string;
  lines: string[];
}

/** Prometheus counts in base units. */
const units: Readonly<Record<Metric['unit'], { suffix: string; factor: number }>> = {
  Percent: { suffix: '_percent', factor: 1 },
  Gigabytes: { suffix: '_bytes', factor: gigabyte },
  Megabytes: { suffix: '_bytes', factor: megabyte },
  Seconds: { suffix: '_seconds', factor: 1 },
  Count: { suffix: '', factor: 1 },
  None: { suffix: '', factor: 1 },
};

export function renderTextfile(sample: Sample): string {
  const { instanceId, cluster, group, disks, memory, failingChores, at } = sample;
  const node = { cluster, ...(group !== undefined && { group }), instance_id: instanceId };
  const families = [
    ...Object.entries(diskMetrics).map(([metric, { unit, of }]) =>
      familyOf(
        metric,
        unit,
        disks.map((use) => [{ ...node, device: use.filesystem, mountpoint: use.mountPath }, of(use)]),
      ),
    ),
    ...Object.entries(memoryMetrics).map(([metric, { unit, of }]) => familyOf(metric, unit, [[node, of(memory)]])),
    ...(failingChores === undefined ? [] : [familyOf('UpkeepFailing', 'Count', [[node, failingChores]])]),
    // The collector shows a file for ever. With this time, an alert can see that the agent is gone.
    { ...familyOf('SampleTimestamp', 'Seconds', [[node, at / 1000]]), help: 'Unix time of this file' },
  ];
  return `${families.flatMap(renderFamily).join('\n')}\n# EOF\n`;
}

function familyOf(metric: string, unit: Metric['unit'], values: [Record<string, string>, number][]): Family {
  const { suffix, factor } = units[unit];
  const name = `ecs_node${metric.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}${suffix}`;
  const finite = values.filter(([, value]) => Number.isFinite(value));
  const lines = finite.map(([labels, value]) => `${name}{${renderLabels(labels)}} ${value * factor}`);
  return { name, help: `The metric ${metric} of CloudWatch`, lines };
}

function renderFamily({ name, help, lines }: Family): string[] {
  return lines.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines];
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
    )
    .join(',');
}
