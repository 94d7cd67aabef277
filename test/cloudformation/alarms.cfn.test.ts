/** The alarms of the cluster's template watch what nodes publish, and the dashboard shows each. */

import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { departureMetrics } from '../../agent/departure/report-departure.ts';
import { countUnfinishedHook } from '../../agent/joining/count-unfinished-hook.ts';
import { metricsOf } from '../../agent/metrics/sample.ts';
import { hold } from '../../bootstrap/hold.ts';
import { parseConfig, type Config } from '../../config/config.ts';
import type { Metric } from '../../core/host.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { openFakeHost } from '../fakes/host.ts';
import { resolveOne } from './rig/resolve.ts';

type Alarm = Partial<Watched> & { AlarmName: string; Metrics?: { MetricStat?: { Metric: Watched } }[] };

let alarms: Alarm[];
let dashboard: string;
beforeAll(async () => {
  const resources = await resolveOne({});
  const all = Object.values(resources);
  alarms = all.filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm').map(({ Properties }) => Properties as never);
  dashboard = String(resources['Dashboard']!.Properties['DashboardBody']);
}, 60_000);

test('the dashboard shows each alarm', () => {
  const { widgets } = JSON.parse(dashboard) as { widgets: { type: string; properties: { alarms: string[] } }[] };
  const shown = widgets.find(({ type }) => type === 'alarm')!.properties.alarms.map((arn) => arn.split(':alarm:')[1]);
  // The cluster's name is its logical id here.
  const named = alarms.map(({ AlarmName }) => AlarmName.replace('prod', 'Cluster'));
  expect(new Set(shown)).toEqual(new Set(named));
});

test('each alarm names the heading of the runbook that is about it', () => {
  const headings = [...readFileSync('docs/runbook.md', 'utf8').matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
  const templates = ['cluster', 'service-size', 'sweep'].map((name) =>
    readFileSync(`cloudformation/${name}.yaml`, 'utf8'),
  );
  const found = templates.flatMap((text) => [
    ...text.matchAll(/^ +AlarmName: !Sub (.+)\n +AlarmDescription: .*\(docs\/runbook\.md, "(.+)"\)$/gm),
  ]);
  expect(found).toHaveLength(templates.join('').split('AWS::CloudWatch::Alarm').length - 1);
  for (const [, name, heading] of found) {
    expect(headings).toContain(heading);
    expect(name!.replace(/\$\{\w+\}/, 'CLUSTER').replace(/ \$\{.*$/, '')).toBe(heading);
  }
});

test('alarms look at metrics that nodes publish, with the dimensions that they publish them with', async () => {
  const config = parseConfig({ cluster: 'Cluster' });
  const died = { instanceId: 'i-1', startedAt: 0, entered: {} } as unknown as DepartureState;
  const disk = {
    path: '/',
    filesystem: '/dev/xvda1',
    mountPath: '/',
    totalBytes: 2,
    usedBytes: 1,
    freeBytes: 1,
    totalInodes: 2,
    freeInodes: 1,
  };
  const memory = { totalBytes: 2, availableBytes: 1, swapTotalBytes: 2, swapFreeBytes: 1 };
  const published = [
    ...departureMetrics(config, { ...died, cause: 'bootstrap-failed' }, 0),
    ...departureMetrics(config, { ...died, cause: 'join-failed' }, 0),
    ...(await publishedDirectly(config)),
    ...metricsOf({
      instanceId: 'i-1',
      cluster: 'Cluster',
      group: 'NodeGroup',
      disks: [disk],
      memory,
      failingChores: 1,
      at: 0,
    }),
  ].map(({ name, dimensions }) => ({ name, dimensions }));
  const watched = alarms.flatMap((alarm) => {
    const { Metrics = [{ MetricStat: { Metric: alarm as Watched } }] } = alarm;
    return Metrics.flatMap(({ MetricStat }) => (MetricStat ? [MetricStat.Metric] : []));
  });
  expect(watched).toHaveLength(7);
  for (const { Namespace, MetricName, Dimensions } of watched) {
    expect(Namespace).toBe(config.metrics.namespace);
    const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
    expect(published).toContainEqual({ name: MetricName, dimensions });
  }
});

interface Watched {
  Namespace: string;
  MetricName: string;
  Dimensions: { Name: string; Value: string }[];
}

/** The metrics that a node publishes by themselves when they are due. */
async function publishedDirectly(config: Config): Promise<Metric[]> {
  const { host, world, clock } = openFakeHost();
  world.joinGroup('NodeGroup');
  const { signal } = new AbortController();
  await clock.finish(countUnfinishedHook(host, config, {}, signal));
  const storm = { kind: 'hold', waitMs: 0, reason: '', failures: 3, group: 'NodeGroup' } as const;
  await clock.finish(hold(host, config, storm, signal));
  return world.published.flatMap(({ metrics }) => metrics);
}
