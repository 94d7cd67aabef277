/** The commands of docs/your-own-group.md have the values of cloudformation/cluster.yaml. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { factsOfTemplate } from './group-facts.ts';

const page = readFileSync('docs/your-own-group.md', 'utf8');
const facts = factsOfTemplate();

/** The flags of a command in the page, by name; its lines end with a backslash. */
function flagsOf(command: string): Record<string, string>[] {
  const joined = page.replaceAll('\\\n', ' ').split('\n');
  return joined
    .filter((line) => line.trim().startsWith(command))
    .map((line) =>
      Object.fromEntries([...line.matchAll(/--([a-z-]+) (\S+)/g)].map(([, name, value]) => [name, value])),
    );
}

test('the hooks have the names, transitions, time-outs and results of the template', () => {
  const hooks = flagsOf('aws autoscaling put-lifecycle-hook').map((flags) => ({
    name: flags['lifecycle-hook-name'],
    transition: flags['lifecycle-transition'],
    seconds: flags['heartbeat-timeout'],
    result: flags['default-result'],
  }));
  expect(hooks).toEqual(facts.hooks);
});

test('the metadata options are those of the template', () => {
  const [, json] = /```json\n(\{ "MetadataOptions".*\})\n```/.exec(page)!;
  const { MetadataOptions } = JSON.parse(json!) as { MetadataOptions: Record<string, unknown> };
  const { HttpEndpoint: _isOnAnyway, ...wanted } = facts.metadata;
  expect(Object.fromEntries(Object.entries(MetadataOptions).map(([key, value]) => [key, String(value)]))).toEqual(
    wanted,
  );
});

test('the maintenance policy is that of the template', () => {
  const [flags] = flagsOf('aws autoscaling update-auto-scaling-group');
  const pairs = flags!['instance-maintenance-policy']!.split(',').map((pair) => pair.split('='));
  expect(Object.fromEntries(pairs)).toEqual(facts.maintenance);
});
