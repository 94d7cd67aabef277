/**
 * The commands of docs/your-own-group.md have the values of cloudformation/cluster.yaml, and the
 * examples' comments have its numbers.
 */

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
      Object.fromEntries([...line.matchAll(/--([a-z-]+) ("[^"]*"\S*|\S+)/g)].map(([, name, value]) => [name, value])),
    );
}

/** `A=1,B=2` */
function pairsOf(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').map((pair) => pair.split('=')));
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
  const [flags] = flagsOf('aws ec2 create-launch-template-version');
  const [, options] = /MetadataOptions=\{([^}]+)\}/.exec(flags!['launch-template-data']!)!;
  const { HttpEndpoint: _isOnAnyway, ...wanted } = facts.metadata;
  expect(pairsOf(options!)).toEqual(wanted);
});

test('the maintenance policy is that of the template', () => {
  const policies = flagsOf('aws autoscaling update-auto-scaling-group').flatMap((flags) => {
    return flags['instance-maintenance-policy'] ?? [];
  });
  expect(policies.map(pairsOf)).toEqual([facts.maintenance]);
});

test('the instance refresh has the preferences of the template, none of them from the maintenance policy', () => {
  const [flags] = flagsOf('aws autoscaling start-instance-refresh');
  expect(pairsOf(flags!['preferences']!)).toEqual(facts.refresh);
});

test.each(['terraform/main.tf', 'terraform/events.tf', 'cdk/ecs-nodes-stack.ts', 'cdk/events-and-alarms.ts'])(
  'the numbered comments of examples/%s are headings of the page',
  (file) => {
    const headings = [...page.matchAll(/^## (\d\. .+)$/gm)].map(([, heading]) => heading!);
    const comments = readFileSync(`examples/${file}`, 'utf8').matchAll(
      /^ *(?:#|\/\/|\*|\/\*\*) (\d\. .+?)(?: \*\/)?$/gm,
    );
    const numbered = [...comments].flatMap(([, text]) => text!.split(/, and (?=\d\. )/));
    expect(numbered).not.toEqual([]);
    const unknown = numbered.filter(
      (text) => !headings.some((each) => [each, `${each}.`].includes(text.slice(0, each.length + 1))),
    );
    expect(unknown).toEqual([]);
  },
);
