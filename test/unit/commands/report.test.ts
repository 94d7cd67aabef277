import { expect, test } from 'vitest';
import { journalFields, openReport } from '../../../commands/report.ts';
import { ConfigError, Unavailable, UsageError } from '../../../core/errors.ts';

async function open(isTTY: boolean, ...args: string[]) {
  const lines: string[] = [];
  const report = await openReport({ isTTY, write: (text) => lines.push(text) }, {}, args, 4711);
  return { ...report, lines };
}

const wrong = new ConfigError([
  { path: 'cluster', problem: 'missing', missing: true },
  { path: 'disk', problem: 'must be a section', source: '/etc/x:3' },
]);

test('output is text on a terminal and JSON elsewhere, and the flag takes precedence', async () => {
  for (const [isTTY, args, isJson] of [
    [true, [], false],
    [false, [], true],
    [true, ['--log-format', 'json'], true],
    [false, ['--log-format=text'], false],
  ] as const) {
    const { log, lines } = await open(isTTY, ...args);
    log.info('step done', { ms: 3 });
    expect(lines[0]?.startsWith('{')).toBe(isJson);
    expect(lines[0]?.endsWith('\n')).toBe(true);
  }
});

test('each fault is one line: text on a terminal and in a pipe, JSON on request', async () => {
  for (const isTTY of [true, false]) {
    const text = await open(isTTY);
    expect(text.fail(wrong)).toBe(78);
    expect(text.lines).toEqual(['ecs-node: cluster: missing\n', 'ecs-node: disk: must be a section (from /etc/x:3)\n']);
  }
  const json = await open(false, '--log-format=json');
  expect(json.fail(wrong)).toBe(78);
  expect(json.lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { level: 'error', message: 'wrong configuration', path: 'cluster', problem: 'missing' },
    { path: 'disk', source: '/etc/x:3' },
  ]);
});

test('only a bug shows its stack', async () => {
  const { fail, lines } = await open(true);
  expect([
    fail(new UsageError('no')),
    fail(new Unavailable('later')),
    fail(new TypeError('x is not a function')),
  ]).toEqual([64, 75, 70]);
  expect(lines[1]).toBe('ecs-node: later\n');
  expect(lines[2]).toMatch(/a bug in ecs-node: TypeError: x is not a function\n +at /);
});

test('AWS calls are logged on request only, also by children', async () => {
  const quiet = await open(false);
  quiet.log.debug('called AWS');
  expect(quiet.lines).toEqual([]);
  const loud = await open(false, '--verbose');
  loud.log.debug('called AWS');
  expect(loud.lines).toHaveLength(1);
  expect(loud.logFlags).toEqual(['--log-format=json', '--verbose']);
});

test('a journal entry has a readable message and one native field for each field', () => {
  const fields = {
    cause: 'spot',
    instanceId: 'i-0a',
    deadlineMs: 3,
    'x-y': undefined,
    note: 'a\nMESSAGE=forged',
    list: [1],
  };
  expect(journalFields({ at: 0, level: 'warn', message: 'leaving', fields }, 'agent')).toEqual({
    MESSAGE:
      String.raw`leaving cause=spot instanceId=i-0a deadlineMs=3 note="a\\nMESSAGE=forged" list="[1]"`.replaceAll(
        String.raw`\\`,
        '\\',
      ),
    PRIORITY: '4',
    ECS_NODE_MESSAGE: 'leaving',
    ECS_NODE_LIFE: 'agent',
    ECS_NODE_CAUSE: 'spot',
    ECS_NODE_INSTANCE_ID: 'i-0a',
    ECS_NODE_DEADLINE_MS: '3',
    ECS_NODE_NOTE: String.raw`a\nMESSAGE=forged`,
    ECS_NODE_LIST: '[1]',
  });
});

test('a format that does not exist is complained of in words, as other wrong usage', async () => {
  const { fail, lines } = await open(false, '--log-format', 'xml');
  expect(fail(new UsageError('--log-format must be one of json, text'))).toBe(64);
  expect(lines).toEqual(['ecs-node: --log-format must be one of json, text\n']);
});
