import { expect, test } from 'vitest';
import { effectiveArgs, firstEffectiveWords } from '../../../commands/agent.ts';
import type { Config } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { openMetadataService, openStage } from './stage.ts';

const config = 'etc/ecs-node/config.yaml';

async function openNode() {
  const stage = await openStage();
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: await openMetadataService() };
  return { ...stage, read: async (words: readonly string[]) => stage.run(words, { environment }) };
}

test('a restarted agent continues with its last good configuration, passwords and numbers unchanged', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\necs: {settings: {ECS_A: 012, ECS_ENGINE_AUTH_DATA: canary}}\n');
  const good = await node.read(firstEffectiveWords);
  expect(good.end).toBe(0);
  await node.write(config, 'cluster: prod\ndisk: {fullPercent: lots}\n');
  const again = await node.read(firstEffectiveWords);
  expect(again.end).toBe(0);
  const refused = expect.stringContaining('disk.fullPercent') as string;
  expect(JSON.parse(again.printed)).toEqual({ ...(JSON.parse(good.printed) as object), refused });
  expect(again.logged.map(({ level, message }) => `${level}: ${message}`)).toContain(
    'error: configuration not valid: the agent goes on with the last good one',
  );
  expect(JSON.stringify(again.logged)).toContain('disk.fullPercent');
});

// The default hook came back: the node completed a hook that its operator had switched off.
test('a restarted agent leaves a hook alone that its last good configuration switches off', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\nautoScaling: {launchHook: ""}\n');
  const good = await node.read(firstEffectiveWords);
  await node.write(config, 'cluster: [\n');
  const again = await node.read(firstEffectiveWords);
  const hooksOf = ({ printed }: typeof good) => (JSON.parse(printed) as { config: Config }).config.autoScaling;
  expect(hooksOf(again)).toEqual(hooksOf(good));
  expect(hooksOf(again).launchHook).toBeUndefined();
});

test('a reload of a damaged configuration is refused, so that the operator notices', async () => {
  const node = await openNode();
  await node.write(config, 'cluster: prod\n');
  expect((await node.read(firstEffectiveWords)).end).toBe(0);
  await node.write(config, 'cluster: [\n');
  expect((await node.read(effectiveArgs)).end).toBeInstanceOf(ConfigError);
});

test.each(['', '{"config":{"cluster":5}}', '{"config":', '[]'])(
  'a node without a last good configuration (%j) reports the faults of the present one',
  async (kept) => {
    const node = await openNode();
    await node.write(config, 'cluster: "no such name"\n');
    if (kept !== '') await node.write('run/ecs-node/last-good.json', kept);
    const { end } = await node.read(firstEffectiveWords);
    expect(end).toBeInstanceOf(ConfigError);
    expect(String(end)).toContain('cluster: must be a cluster name');
  },
);
