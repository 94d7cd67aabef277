import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { openHandler, readArgs } from '../../../commands/fleet/lambda.ts';
import type { Command, Run } from '../../../cli/command.ts';
import { fleetCommandNamed } from '../../../commands/fleet/table-fleet.ts';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';

const flags: Command['flags'] = [
  { name: 'cluster', value: 'NAME', required: true, help: 'ECS cluster' },
  { name: 'group', value: 'NAME', repeated: true, form: { pattern: /^[a-z]+$/, words: 'lower case' }, help: '' },
  { name: 'mode', value: 'MODE', choices: ['slow', 'fast'], help: '' },
  { name: 'max-drop', value: 'N', whole: { min: 1, max: 9 }, help: '' },
  { name: 'apply', help: '' },
  { name: 'json', help: '' },
  { name: 'region', value: 'REGION', help: '' },
];
const commandOf = (run: Run): Command => ({
  name: 'tidy',
  summary: '',
  flags,
  examples: [],
  load: async () => run,
});
const command = commandOf(async () => 0);

function faultsOf(environment: Record<string, string>): string[] {
  try {
    readArgs(command, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ path, problem }) => `${path} ${problem}`);
  }
  return [];
}

test('variables become flags: values, lists, switches; empty and foreign variables are ignored', () => {
  const environment = {
    PATH: '/bin',
    AWS_REGION: 'eu-west-1',
    ECS_NODE_CLUSTER: 'prod',
    ECS_NODE_GROUP: 'a,b',
    ECS_NODE_MODE: '',
    ECS_NODE_MAX_DROP: '3',
    ECS_NODE_APPLY: 'false',
    ECS_NODE_VERBOSE: 'true',
  };
  expect(readArgs(command, environment)).toEqual({
    flags: { json: true, cluster: 'prod', group: ['a', 'b'], 'max-drop': '3', apply: false },
    operands: [],
  });
});

test('a switch that is false is off for the command', () => {
  const { flags: given } = readArgs(command, { ECS_NODE_CLUSTER: 'prod', ECS_NODE_APPLY: 'false' });
  expect(given['apply'] === true).toBe(false);
});

test('every fault is reported at once, with its variable and the allowed values', () => {
  const wrong = { ECS_NODE_GROUP: 'a,B', ECS_NODE_MODE: 'fats', ECS_NODE_MAX_DROP: '0', ECS_NODE_APPLY: '1' };
  expect(faultsOf({ ...wrong, ECS_NODE_CLUSTERS: 'x', ECS_NODE_REGION: 'eu-west-1' })).toEqual([
    'ECS_NODE_GROUP must be lower case; found "B"',
    'ECS_NODE_MODE must be one of slow, fast; found "fats"; did you mean fast?',
    'ECS_NODE_MAX_DROP must be a whole number from 1 to 9; found "0"',
    'ECS_NODE_APPLY must be true or false; found "1"',
    'ECS_NODE_CLUSTERS unknown; did you mean ECS_NODE_CLUSTER?',
    'ECS_NODE_REGION unknown; known are ECS_NODE_CLUSTER, ECS_NODE_GROUP, ECS_NODE_MODE, ECS_NODE_MAX_DROP, ECS_NODE_APPLY',
    'ECS_NODE_CLUSTER missing; it is required (ECS cluster)',
  ]);
});

test.each(['sweep', 'service-size'])('%s has flags for JSON and for acting, on which a function relies', (name) => {
  const names = fleetCommandNamed(name).flags.map((flag) => flag.name);
  expect(names).toEqual(expect.arrayContaining(['json', 'apply', 'cluster']));
});

test('service-size takes a list of services with commas', () => {
  const environment = { ECS_NODE_CLUSTER: 'prod', ECS_NODE_SERVICE: 'web,api' };
  expect(readArgs(fleetCommandNamed('service-size'), environment).flags).toMatchObject({ service: ['web', 'api'] });
});

async function invoke(
  run: Run | Command,
  environment: Record<string, string> = { ECS_NODE_CLUSTER: 'prod' },
  remainingMs = 60_000,
) {
  let written = '';
  const output = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  const handler = openHandler(typeof run === 'function' ? commandOf(run) : run, {
    environment,
    output,
    version: '1.2.3',
  });
  const invocation = { awsRequestId: 'r-1', getRemainingTimeInMillis: () => remainingMs };
  const answer = handler({ id: 'e-1' }, invocation);
  const ended = await answer.catch((error: unknown) => error);
  const lines = written.split('\n').filter((line) => line !== '');
  return { ended, log: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('the output of a command is the answer, and stands in the log, because a schedule ignores answers', async () => {
  const { ended, log } = await invoke(async (context) => {
    context.print('{"a":');
    context.print('1}\n');
    return 1;
  });
  expect(ended).toEqual({ a: 1 });
  expect(log).toMatchObject([
    { message: 'invoked', command: 'tidy', version: '1.2.3', requestId: 'r-1', event: 'e-1' },
    { message: 'reported', code: 1, report: { a: 1 } },
  ]);
});

test.each([
  ['refused', async () => Promise.reject(new Refused('no')), Refused],
  ['half done', async (caller: { print(text: string): void }) => (caller.print('{}'), 75), Unavailable],
  ['no report', async () => 0, SyntaxError],
] as const)('%s, the invocation fails, and the log says so', async (_title, run, kind) => {
  const { ended, log } = await invoke(run);
  expect(ended).toBeInstanceOf(kind);
  expect(log.at(-1)).toMatchObject({ level: 'error' });
});

test('a command that would outlast the function ends in time to report it', async () => {
  let aborted = false;
  const { ended } = await invoke(
    async (_caller, _words, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          reject(signal.reason as Error);
        });
      }),
    undefined,
    1_010,
  );
  expect(ended).toBeInstanceOf(Unavailable);
  expect(aborted).toBe(true);
});

test.each([
  ['sweep', {}],
  ['service-size', { ECS_NODE_SERVICE: 'web' }],
])('%s sends nothing to an endpoint without TLS, and names its variable', async (name, more) => {
  const keys = { AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
  const environment = { ECS_NODE_CLUSTER: 'prod', AWS_ENDPOINT_URL_ECS: 'http://192.0.2.1', ...keys, ...more };
  const { ended } = await invoke(fleetCommandNamed(name), environment, 5_000);
  expect(ended).toBeInstanceOf(ConfigError);
  expect(String(ended)).toContain('AWS_ENDPOINT_URL_ECS: must be an https URL');
});

test('a wrong environment runs no command', async () => {
  let ran = false;
  const { ended, log } = await invoke(
    async () => {
      ran = true;
      return 0;
    },
    { ECS_NODE_CLUSTR: 'prod' },
  );
  expect(ended).toBeInstanceOf(ConfigError);
  expect(ran).toBe(false);
  expect(log.slice(1)).toMatchObject([
    { level: 'error', message: 'wrong configuration', path: 'ECS_NODE_CLUSTR' },
    { level: 'error', message: 'wrong configuration', path: 'ECS_NODE_CLUSTER' },
  ]);
});
