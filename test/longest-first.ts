// The order of the test files: the longest ones first, so that none of them runs alone at the end.
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * By time, as the last lines of a run name them. Vitest itself orders by the last run, which a
 * fresh clone does not have.
 */
const longest = [
  'test/boot/boot.nspawn.test.ts',
  'test/scenarios/second-source.test.ts',
  'test/acceptance/acceptance.test.ts',
  'test/unit/faults/table.test.ts',
  'test/acceptance/faulty-node.test.ts',
  'test/scenarios/causes.test.ts',
  'test/scenarios/departure-phases.test.ts',
  'test/cloudformation/cluster.cfn.test.ts',
  'test/scenarios/hostile/middlebox.test.ts',
  'test/docker/full-disk.docker.test.ts',
  'test/docker/hung.docker.test.ts',
  'test/packer/build.image.test.ts',
  'test/scenarios/network.netns.test.ts',
  'test/scenarios/joining.test.ts',
  'test/scenarios/fleet/sweep-answers.test.ts',
  'test/scenarios/install.overlay.test.ts',
  'test/pages/account.cfn.test.ts',
  'test/examples/cdk.cdk.test.ts',
  'test/scenarios/command-line.test.ts',
  'test/pages/checkout.checkout.test.ts',
  'test/cloudformation/fleet.cfn.test.ts',
  'test/simulation/simulation.test.ts',
  'test/scenarios/secrets.test.ts',
  'test/scenarios/bootstrap.test.ts',
  'test/scenarios/upkeep.test.ts',
  'test/hanging/hung-disk.fuse.test.ts',
  'test/unit/agent/joining/register-anew.test.ts',
  'test/scenarios/life.test.ts',
  'test/scenarios/events.test.ts',
  'test/build/release.rpmbuild.test.ts',
  'test/build/lambda.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    for (const file of longest) if (!existsSync(file)) console.log(`test/longest-first.ts: ${file} is gone`);
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.indexOf(relative(process.cwd(), moduleId));
      return at === -1 ? longest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
