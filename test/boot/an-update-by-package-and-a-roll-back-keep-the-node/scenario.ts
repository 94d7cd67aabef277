import assert from 'node:assert/strict';
import type { Scenario } from '../rig/contract.ts';
import { packages, releaseUrl } from '../rig/release.ts';
import { liveThroughUpdate } from '../rig/update.ts';

/**
 * Amazon Linux has rpm's database and what ecs-node requires; Debian's rpm knows nothing of its
 * own packages.
 */
const install = `set -eu
curl -fsS -o /root/ecs-node.rpm "$1"
rpm --nodeps --oldpackage -U /root/ecs-node.rpm
rm /root/ecs-node.rpm`;

export const scenario: Scenario = {
  aws: { opsworks: true },
  async live(world) {
    const by = async (file: string) => {
      const { code, stderr } = await world.machine.run('/bin/sh', '-c', install, 'sh', `${releaseUrl}/${file}`);
      assert.equal(code, 0, stderr);
    };
    await liveThroughUpdate(world, (_, which) => by(packages[which]));
    // Nothing of ecs-node survives the package's removal, nor does anything then keep ecs from
    // starting.
    const { machine } = world;
    await machine.run('/usr/bin/rpm', '-e', '--nodeps', 'ecs-node');
    const left = await machine.run(
      '/usr/bin/find',
      '/etc/systemd',
      '/usr/lib/systemd',
      '-name',
      '*ecs-node*',
      '!',
      '-type',
      'd',
    );
    assert.equal(left.stdout, '');
    assert.equal((await machine.readUnit('ecs.service'))['DropInPaths'] ?? '', '');
  },
};
