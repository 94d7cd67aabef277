import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { someIdentity } from '../fakes/metadata.ts';
import { stageEvents, startMoto, type Moto } from '../contracts/stages/moto.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };

let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
}, 60_000);
afterAll(() => moto.close());

const environment = () => ({
  AWS_ENDPOINT_URL: moto.url,
  AWS_REGION: someIdentity.region,
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
});

/** One verb, as the agent asks it of its child. */
async function call(verb: string, args: unknown[]): Promise<unknown> {
  const child = spawn(inject('binary'), ['cloud', JSON.stringify(someIdentity)], { env: environment() });
  const said: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => said.push(part));
  child.stdin.end(`${JSON.stringify({ id: 1, verb, args })}\n`);
  await new Promise((resolve) => child.on('close', resolve));
  return JSON.parse(Buffer.concat(said).toString());
}

async function history(...words: string[]): Promise<string> {
  const args = ['fleet', '--cluster', 'demo', '--history', ...words];
  const { stdout } = await promisify(execFile)(inject('binary'), args, { env: environment() });
  return stdout;
}

const eventOf = (instanceId: string, cause: string) => {
  const detail = { version: 1, id: `${instanceId}-1`, at: new Date().toISOString(), cluster: 'demo', instanceId };
  return { type: 'left', at: Date.now(), detail: { ...detail, cause, reason: 'because', phases: [], seconds: 3 } };
};

test('an event of the binary reaches the log group by a rule, and the binary prints it as history', async () => {
  await stageEvents({ region: someIdentity.region, endpoint: moto.url, credentials });
  const first = eventOf('i-0123456789abcdef0', 'disk');
  const other = eventOf('i-0fedcba9876543210', 'spot');
  const elsewhere = { ...first, detail: { ...first.detail, cluster: 'other' } };
  for (const event of [first, first, other, elsewhere])
    expect(await call('putEvent', ['default', event])).toEqual({ id: 1 });

  const all = JSON.parse(await history('--json')) as { type: string; detail: object }[];
  // The one that was sent twice is there once, and the other cluster's not at all.
  expect(all.map(({ type, detail }) => ({ type, detail }))).toEqual([
    { type: 'left', detail: first.detail },
    { type: 'left', detail: other.detail },
  ]);
  expect(await history('i-0fedcba9876543210')).toMatch(
    /i-0fedcba9876543210 left at .* after 3 s\n +cause: spot: because/,
  );
  expect(await history('i-00000000')).toContain(
    'No events of i-00000000 within 90 days in /ecs-node/demo/events. Nodes send them only with events.bus.',
  );
});

test('a missing log group is reported with the remedy', async () => {
  const none = execFile(inject('binary'), ['fleet', '--cluster', 'none', '--history'], { env: environment() });
  const said: string[] = [];
  none.stderr?.on('data', (text: string) => said.push(text));
  const code = await new Promise((resolve) => none.on('close', resolve));
  expect(code).toBe(77);
  expect(said.join('')).toContain('there is no log group /ecs-node/none/events');
});
