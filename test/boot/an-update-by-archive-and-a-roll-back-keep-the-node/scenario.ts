import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { Scenario } from '../rig/contract.ts';
import { releaseUrl } from '../rig/release.ts';
import { liveThroughUpdate } from '../rig/update.ts';

const install = `set -eu
rm -rf /root/release
mkdir /root/release
curl -fsS "$1" | tar -xJ -C /root/release
sh /root/release/install-files.sh
rm -rf /root/release`;

export const scenario: Scenario = {
  aws: { opsworks: true },
  async live(world) {
    const archive = (await readdir(world.release)).find((name) => name.endsWith('.tar.xz'))!;
    await liveThroughUpdate(world, async ({ machine }) => {
      const { code, stderr } = await machine.run('/bin/sh', '-c', install, 'sh', `${releaseUrl}/${archive}`);
      assert.equal(code, 0, stderr);
    });
  },
};
