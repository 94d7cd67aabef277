import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect } from 'vitest';
import { parseContainerdRoot, readConfiguredRoot } from '../../agent/docker-root.ts';
import { readSetting } from '../../agent/ecs-settings.ts';
import { parseKeepList } from '../../agent/kept-images.ts';
import { removableImages } from '../../agent/images.ts';
import { readDeparture } from '../../agent/departure/departure.ts';
import { openMemories } from '../../agent/watching/memories.ts';
import { readRequest } from '../../agent/request.ts';
import { openStatusBook, readStatus as readAgentStatus } from '../../agent/status.ts';
import { roster } from '../../agent/watching/roster.ts';
import { bootstrap, readBootstrapState } from '../../bootstrap/bootstrap.ts';
import { parseEntries, renderEcsConfig } from '../../bootstrap/ecs-config-text.ts';
import { renderStatus } from '../../commands/status/render-status.ts';
import { findConfiguration, partType } from '../../config/sources/user-data.ts';
import { readStatus } from '../../commands/status/status-report.ts';
import { parseConfig } from '../../config/config.ts';
import { faultOfValue } from '../../config/ecs-value.ts';
import { ConfigError, Refused, StepError, Unavailable } from '../../core/errors.ts';
import { paths } from '../../core/state/state.ts';
import { parseLine, parseMemory } from '../../host/disk.ts';
import { openFakeHost } from '../fakes/host.ts';
import { bytes, nastyText, spoiltJson } from './hostile.ts';
import { holds, orSaysNo } from './property.ts';

// ---------------------------------------------------------------- user data

const mimePieces = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'Content-Type: multipart/mixed; boundary="b"\n',
        '--b\n',
        '--b--\n',
        '\n',
        '\r\n',
        'MIME-Version: 1.0\n',
      ),
      fc.constantFrom(
        `Content-Type: ${partType}\n`,
        'Content-Type: text/plain; charset="x\n',
        'Content-Type: multipart/x\n',
      ),
      fc.constantFrom(
        'Content-Transfer-Encoding: base64\n',
        'Content-Transfer-Encoding: quoted-printable\n',
        ' folded\n',
        '=3D=\n',
      ),
      fc.constantFrom(
        '#ecs-node\ncluster: a\n',
        '#cloud-config\n',
        '#!/bin/sh\n',
        'IyBlY3Mtbm9kZQ==\n',
        'H4sIAAAAAAAA\n',
        '\u001f\u008b',
      ),
      nastyText,
    ),
    { maxLength: 30 },
  )
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

const plainUserData = fc.oneof(
  mimePieces,
  bytes.map((each) => Buffer.from(each)),
);

const userData = fc.oneof(
  { weight: 3, arbitrary: plainUserData },
  { weight: 1, arbitrary: plainUserData.map((each) => gzipSync(each)) },
  { weight: 1, arbitrary: plainUserData.map((each) => Buffer.from(each.toString('base64'))) },
  { weight: 1, arbitrary: plainUserData.map((each) => Buffer.from(gzipSync(each).toString('base64'))) },
  {
    weight: 1,
    arbitrary: fc.tuple(plainUserData, fc.nat()).map(([each, cut]) => gzipSync(each).subarray(0, cut % 60)),
  },
);

holds(
  'whatever the user data is, it holds texts of a bounded size or ends in a ConfigError',
  userData,
  async (given) => {
    const found = await orSaysNo(() => findConfiguration(given), ConfigError);
    const texts = found?.texts.map(({ text }) => text) ?? [];
    expect(texts.join('').length).toBeLessThanOrEqual(2_000_000);
  },
);

/**
 * As much as the metadata service's client lets through (host/metadata/imds.ts), 16 times of what
 * EC2 takes.
 */
const zipped = (size: number) => gzipSync(Buffer.alloc(size, '#ecs-node\n'), { level: 9 });

holds(
  'a bomb in the user data, or many in its parts, is refused before it fills the memory',
  fc.tuple(fc.integer({ min: 1_048_577, max: 20_000_000 }), fc.integer({ min: 1, max: 40 })),
  ([size, count]) => {
    const bomb = zipped(size);
    expect(() => findConfiguration(bomb)).toThrow(ConfigError);
    const part = `--b\nContent-Type: ${partType}\nContent-Transfer-Encoding: base64\n\n${zipped(1_000_000).toString('base64')}\n`;
    const message = Buffer.from(`Content-Type: multipart/mixed; boundary="b"\n\n${part.repeat(count)}--b--\n`);
    // A megabyte is what all of them may become together.
    if (count > 1) expect(() => findConfiguration(message)).toThrow(ConfigError);
    else expect(findConfiguration(message).texts).toHaveLength(1);
  },
  { runs: 10 },
);

// ---------------------------------------------------------------- ecs.config

const ecsLine = fc.oneof(
  fc.constantFrom(
    'ECS_CLUSTER=old',
    'ECS_A="open',
    "ECS_B='x",
    'ECS_C=a\\',
    '# comment',
    ';x',
    ' = ',
    'no equals',
    'X = y ',
    '=',
    '"',
  ),
  fc.constantFrom('# ecs-node keeps these up to date from /etc/ecs-node/config.yaml: ECS_CLUSTER ECS_OLD', 'ECS_OLD=1'),
  nastyText,
);
const eol = fc.constantFrom('\n', '\r\n', '\r', '\n\n', '');
const ecsText = fc.array(fc.tuple(ecsLine, eol), { maxLength: 12 }).map((lines) => lines.flat().join(''));
const ecsSettings = fc.dictionary(
  fc.constantFrom('ECS_CLUSTER', 'ECS_A', 'ECS_RESERVED_MEMORY'),
  nastyText.filter((value) => faultOfValue(value) === undefined),
  { noNullPrototype: true },
);

holds(
  'whatever ecs.config says, our lines are in it once and what others wrote stays',
  fc.tuple(ecsText, ecsSettings),
  ([before, set]) => {
    const after = renderEcsConfig(before, set);
    expect(renderEcsConfig(after, set)).toBe(after);
    const isOurs = (raw: string) => raw.startsWith('# ecs-node keeps');
    const ours = new Set([...Object.keys(set), 'ECS_CLUSTER', 'ECS_OLD', 'ECS_A', 'ECS_RESERVED_MEMORY']);
    const others = (text: string) =>
      parseEntries(text)
        .filter(({ raw, key }) => !isOurs(raw) && (key === undefined || !ours.has(key)))
        .map(({ raw }) => raw)
        .join('')
        .replaceAll(/[\r\n]/g, '');
    expect(others(after)).toBe(others(before));
  },
);

holds(
  'however long a line of ecs.config is, it is read',
  fc
    .constantFrom(' ', 'a ', '\t', '"', '\\', "'", '# ', 'A=', 'A=" ', '\r')
    .map((piece) => `x${piece.repeat(500_000 / piece.length)}y`),
  (line) => {
    expect(renderEcsConfig(line, {})).toBe(line);
  },
  { runs: 20 },
);

// ---------------------------------------------------------------- what others print

const df = fc.oneof(
  fc
    .array(fc.constantFrom('Filesystem', ' ', '1', '-', '/', '%', '\n', '/dev/xvda1', '100', '\t', '-1', '99%'), {
      maxLength: 30,
    })
    .map((words) => words.join('')),
  fc.constantFrom(' ', '1 ', 'a', '1 1 1 1% /', '\n').map((piece) => `Filesystem\n${piece.repeat(20_000)}`),
  nastyText,
);

const isPlainError = (error: unknown) => {
  expect((error as Error).constructor).toBe(Error);
  expect((error as Error).message.length).toBeLessThan(3_000);
};

holds('whatever df prints, it names a file system or is told to make no sense', df, (printed) => {
  try {
    expect(parseLine(printed.split('\n').at(-1) ?? '').filesystem).toBeTypeOf('string');
  } catch (error) {
    isPlainError(error);
  }
});

holds('whatever the kernel says of its memory, it is four numbers or makes no sense', nastyText, (text) => {
  try {
    const memory = parseMemory(`MemTotal: 5 kB\nMemAvailable: 4 kB\nSwapTotal: 0 kB\nSwapFree: ${text} kB\n${text}`);
    expect(Object.values(memory).every(Number.isFinite)).toBe(true);
  } catch (error) {
    isPlainError(error);
  }
});

holds(
  "whatever Docker's configuration says, its data root is a path that can be looked at",
  spoiltJson({ 'data-root': '/x', debug: true }),
  async (text) => {
    const { host } = openFakeHost();
    await host.machine.writeText(paths.dockerConfig, text);
    const root = await readConfiguredRoot(host);
    expect(root).toMatch(/^\/[^\0]*$/);
    expect(root.length).toBeLessThan(4096);
  },
);

holds("whatever containerd's configuration says, its root is a path or the usual one", nastyText, (text) => {
  for (const toml of [text, `root = "${text}"`, `root='/x${text}`]) {
    expect(parseContainerdRoot(toml) ?? '/').toMatch(/^\/[^\0]*$/);
  }
});

holds('whatever a list of kept images says, looking for its images ends', nastyText, (text) => {
  const patterns = [...parseKeepList('/a.list', text).map(({ name }) => name), text, `*${text}*`];
  const image = { id: 'sha256:1', names: [`app:${text.slice(0, 100)}`], digests: [], createdAt: 0 };
  expect(removableImages([image], [], { patterns, agentRepositories: [] }).length).toBeLessThanOrEqual(1);
  expect(typeof (readSetting(text, 'A') ?? '')).toBe('string');
});

// ---------------------------------------------------------------- our own files

const { instanceId } = openFakeHost().host.identity;
const config = parseConfig({ cluster: 'demo', name: '', terminationProtection: 'keep' });

const bootstrapState = spoiltJson({
  instanceId,
  bootId: 'boot',
  startedAt: 1,
  attempts: 1,
  outcome: 'running',
  steps: [{ name: 'preflight', state: 'failed', startedAt: 1, ms: 5, error: 'x' }],
  hostname: 'web-1',
  registered: { registrar: 'none' },
  reason: 'x',
  heldUntil: 5,
});
const departureState = spoiltJson({
  instanceId,
  cause: 'disk',
  reason: 'full',
  startedAt: 1,
  deadline: 2,
  ending: 'terminate',
  phase: 'drain',
  entered: { announce: 1, drain: 2 },
  blockers: ['task'],
  troubles: [],
  undoneAt: 3,
});
const request = spoiltJson({ instanceId, id: 'x', action: 'stay', reason: 'r', terminate: false, at: 5 });
const agentStatus = spoiltJson({
  instanceId,
  bootId: 'b',
  at: 5,
  join: { state: 'joined', detail: 'd', since: 1 },
  watchers: {
    disk: { finding: 'well', at: 1, since: 1, facts: { disks: [{ mountPath: '/', usedPercent: 5 }, null] } },
  },
  memories: {
    disk: {
      streak: { kind: 'well', checks: 1, ms: 5 },
      checks: 1,
      attempts: 0,
      begun: false,
      handled: [],
      settled: true,
    },
  },
  lastError: { what: 'w', error: 'e', at: 5 },
});

holds(
  'whatever stands in the files of the node itself, its status can be told',
  fc.tuple(bootstrapState, departureState, request, agentStatus),
  async ([boot, departure, asked, agent]) => {
    const { machine } = openFakeHost().host;
    await machine.writeText(paths.bootstrap, boot);
    await machine.writeText(paths.departure, departure);
    await machine.writeText(paths.request, asked);
    await machine.writeText(paths.agent, agent);
    const text = renderStatus(await readStatus(machine), 1_000_000);
    expect(text).toContain('\n');
    expect(text).not.toContain('[object Object]');
  },
);

holds('whatever the last bootstrap left behind, the next one runs', bootstrapState, async (text) => {
  const { host, clock } = openFakeHost();
  await host.machine.writeText(paths.bootstrap, text);
  const running = bootstrap(host, config, new AbortController().signal).catch((error: unknown) => {
    if (error instanceof StepError && (error.cause instanceof Unavailable || error.cause instanceof Refused)) return;
    throw error;
  });
  await clock.run(900_000);
  await running;
  expect((await readBootstrapState(host))?.instanceId).toBe(instanceId);
});

holds(
  'whatever the last agent left behind, the next one remembers it or nothing, and wants to leave for no reason of its own making',
  fc.tuple(agentStatus, departureState, request),
  async ([agent, departure, asked]) => {
    const { host } = openFakeHost();
    await host.machine.writeText(paths.agent, agent);
    await host.machine.writeText(paths.departure, departure);
    await host.machine.writeText(paths.request, asked);
    const status = await readAgentStatus(host);
    if (status !== undefined)
      openMemories(
        roster(config, host.identity, () => 'return'),
        openStatusBook(host, status),
      ).wanted();
    const left = await readDeparture(host, new AbortController().signal);
    if (left === 'unread') throw new Error('the file is there');
    if (left !== undefined) expect(['terminate', 'await', 'remain']).toContain(left.ending);
    const wish = await readRequest(host);
    if (wish !== undefined) expect(['leave', 'stay']).toContain(wish.action);
  },
);
