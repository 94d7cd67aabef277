import { describe, expect, it } from 'vitest';
import { Refused, exitCode } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { opsworksConfig, setStage } from '../stage.ts';

describe('a host name with the name of the group', () => {
  const config = opsworksConfig({ hostname: '{cluster}-{group}-{shortId}' });

  it.each([true, false])('asks again after an empty answer; the role may read tags: %s', async (mayRead) => {
    for (let wrong = 1; wrong <= 3; wrong++) {
      const { host, world, boot } = setStage(config);
      world.joinGroup('web');
      if (!mayRead) world.calls.fails('readOwnTags', new Refused('no', { code: 'UnauthorizedOperation' }), 3);
      let count = 0;
      const readMembership: Host['cloud']['readMembership'] = async (...args) =>
        ++count === wrong ? undefined : host.cloud.readMembership(...args);
      await boot({ ...host, cloud: { ...host.cloud, readMembership } });
      expect(world.opsworks.records[0]?.hostname, `answer ${wrong}`).toMatch(/^demo-web-/);
    }
  });

  it('waits while Auto Scaling denies the group that the tag of the instance names', async () => {
    const { world, fail } = setStage(config);
    world.instance.tags['aws:autoscaling:groupName'] = 'web';
    expect(exitCode(await fail())).toBe(75);
    expect(world.opsworks.records).toEqual([]);
  });
});
