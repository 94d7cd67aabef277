import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { openLog } from '../../../../core/log.ts';
import { openChildCloud } from '../../../../host/aws/child/child-cloud.ts';
import { waitFor } from '../../../../simulator/wait-for.ts';

const patient = new AbortController().signal;

/** `ask(cluster)` calls a verb of which the child does what the cluster's name says. */
function node(environment: Record<string, string> = {}, args: string[] = [childFile]) {
  const cloud = openChildCloud(
    process.execPath,
    args,
    environment,
    openLog(() => {}, Date.now),
  );
  onTestFinished(() => cloud.close());
  const callAws = (cluster: string, signal: AbortSignal = patient): Promise<unknown> =>
    cloud.readContainerInstance(cluster, undefined, signal);
  const pid = async () => ((await callAws('environment')) as { pid: number }).pid;
  return { cloud, ask: callAws, pid };
}

const childFile = fileURLToPath(new URL('./child-cloud-child.ts', import.meta.url));

test('arguments and answers arrive unchanged, also undefined ones', async () => {
  const { ask: callAws } = node();
  expect(await callAws('echo')).toEqual({ args: ['echo', null], missing: [false, true] });
  expect(await callAws('nothing')).toBeUndefined();
});

test('one child answers many calls at once, each with its own answer', async () => {
  const { ask: callAws, pid, cloud } = node();
  const pids = await Promise.all([pid(), pid(), pid()]);
  expect(new Set(pids).size).toBe(1);
  const answers = await Promise.all(['a', 'b'].map((arn) => cloud.drain('echo', arn, patient) as Promise<unknown>));
  expect(answers).toMatchObject([{ args: ['echo', 'a'] }, { args: ['echo', 'b'] }]);
  expect(await callAws('nothing')).toBeUndefined();
});

test('a refusal, an outage and a bug keep their kind and code through the child', async () => {
  const { ask: callAws } = node();
  await expect(callAws('unavailable')).rejects.toThrow(Unavailable);
  await expect(callAws('unavailable')).rejects.toThrow('ecs:X: throttled');
  const refusal = await callAws('refused').catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refused);
  expect(refusal).toMatchObject({ message: 'ecs:X is not allowed', code: 'AccessDenied' });
  const bug = await callAws('bug').catch((error: unknown) => error);
  expect(bug).not.toBeInstanceOf(Unavailable);
  expect((bug as Error).message).toMatch(/TypeError: x is undefined\n +at .*child-cloud-child/);
});

test('one aborted call ends neither the others nor the child', async () => {
  const { ask: callAws, pid } = node();
  const before = await pid();
  const [one, other] = [new AbortController(), new AbortController()];
  const waiting = [callAws('waits', one.signal), callAws('waits', other.signal)] as const;
  const reason = new Error('the node stops');
  one.abort(reason);
  await expect(waiting[0]).rejects.toBe(reason);
  expect(await pid()).toBe(before);
  other.abort(reason);
  await expect(waiting[1]).rejects.toBe(reason);
  expect(await pid()).toBe(before);
});

test('calls of a dead child are Unavailable, and a new child takes the next ones', async () => {
  const { ask: callAws, pid } = node();
  const before = await pid();
  const others = [callAws('waits'), callAws('dies')];
  for (const call of others) await expect(call).rejects.toThrow(/ended \(SIGKILL\)/);
  for (const call of others) await expect(call).rejects.toThrow(Unavailable);
  expect(await pid()).not.toBe(before);
});

test('a child that hangs is killed when its caller gives up', async () => {
  const { ask: callAws, pid } = node();
  const before = await pid();
  const controller = new AbortController();
  const hanging = callAws('hangs', controller.signal);
  controller.abort(new Error('too late'));
  await expect(hanging).rejects.toThrow('too late');
  await waitFor('the child has ended', () => !isRunning(before));
  expect(await pid()).not.toBe(before);
});

test('a child that writes nonsense is replaced', async () => {
  const { ask: callAws, pid } = node();
  const before = await pid();
  await expect(callAws('rubbish')).rejects.toThrow('makes no sense');
  expect(await pid()).not.toBe(before);
});

test('a child that cannot start may start later', async () => {
  const { ask: callAws } = node({}, ['/no/such/program.ts']);
  await expect(callAws('echo')).rejects.toThrow(Unavailable);
  const nowhere = openChildCloud(
    '/no/such/binary',
    [],
    {},
    openLog(() => {}, Date.now),
  );
  await expect(nowhere.readPing(patient)).rejects.toThrow(/cannot run: .*ENOENT/);
  await expect(nowhere.readPing(patient)).rejects.toThrow(Unavailable);
});

test('the child gets only the environment variables that AWS needs', async () => {
  const { ask: callAws } = node({
    AWS_ENDPOINT_URL: 'https://aws',
    SSL_CERT_FILE: '/ca',
    HOME: '/root',
    SECRET: 'canary',
    NODE_OPTIONS: '',
  });
  const { pid: _, ...environment } = (await callAws('environment')) as Record<string, unknown>;
  expect(environment).toEqual({
    AWS_ENDPOINT_URL: 'https://aws',
    SSL_CERT_FILE: '/ca',
    AWS_EC2_METADATA_V1_DISABLED: 'true',
  });
});

test('an idle child ends, and the next call has a new one', async () => {
  const { pid } = node();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const before = await pid();
  vi.advanceTimersByTime(9_000);
  expect(await pid()).toBe(before);
  vi.advanceTimersByTime(10_001);
  vi.useRealTimers();
  await waitFor('the child has ended', () => !isRunning(before));
  expect(await pid()).not.toBe(before);
});

test('an idle child does not keep its process alive', async () => {
  // Its idle time takes hours here, so nothing else ends the process.
  const program = `
    import { openChildCloud } from './host/aws/child/child-cloud.ts';
    import { openLog } from './core/log.ts';
    const { setTimeout } = globalThis;
    globalThis.setTimeout = (act, ms) => setTimeout(act, ms * 1_000);
    const cloud = openChildCloud(process.execPath, [${JSON.stringify(childFile)}], {}, openLog(() => {}, Date.now));
    await cloud.readContainerInstance('echo', undefined, new AbortController().signal);`;
  const args = ['--input-type=module-typescript', '-e', program];
  await expect(promisify(execFile)(process.execPath, args, { timeout: 60_000 })).resolves.toMatchObject({ stdout: '' });
});

test('the resident side loads nothing of the AWS SDK', async () => {
  const { metafile } = await esbuild.build({
    stdin: {
      contents: `export * from './host/aws/child/child-cloud.ts'; export * from './host/metadata/imds.ts';`,
      resolveDir: process.cwd(),
    },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
  });
  const inputs = Object.keys(metafile.inputs);
  expect(inputs).toContain('host/aws/child/child-cloud.ts');
  const packages = inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  expect([...new Set(packages)]).toEqual(['http-parser-js']);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
