import { globSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fleetPermissions, sweepPermissions } from '../../../iam/fleet-permissions.ts';
import { ecsAgentPermissions, systemsManagerPermissions } from '../../../iam/agent-permissions.ts';
import { permissions } from '../../../iam/permissions.ts';
import { fleetPolicy } from '../../../iam/fleet-policy.ts';

const room = 'host/aws/fleet';
/** Files of other folders that its files call. */
const beside = [
  'host/aws/ecs/list-container-instances.ts',
  'host/aws/opsworks/fleet-records.ts',
  'host/aws/opsworks/opsworks-stack.ts',
];

test('the policy of a sweep has every action that its folder calls, and no other', () => {
  // The file for services has its own table.
  const own = readdirSync(room).filter((name) => name !== 'fleet-services.ts');
  const files = [...own.map((name) => `${room}/${name}`), ...beside];
  const text = files.map((name) => readFileSync(name, 'utf8')).join('\n');
  const called = new Set([...text.matchAll(/'((?!tag:)[a-z0-9-]+:[A-Z][A-Za-z]+)'/g)].map(([, action]) => action!));
  const listed = sweepPermissions.map(({ action }) => action);
  expect(new Set(listed).size).toBe(listed.length);
  expect(listed.toSorted()).toEqual([...called].toSorted());
});

test('a command that only looks may change nothing', () => {
  const place = { partition: 'aws', region: 'eu-west-1', account: '123456789012' };
  const subject = { cluster: 'prod', service: '*', apply: false };
  for (const permissions of [fleetPermissions, sweepPermissions]) {
    const actions = fleetPolicy(permissions, subject, place).Statement.flatMap(({ Action }) => Action);
    expect(actions.filter((action) => !/:(Describe|List|Get|Filter)/.test(action))).toEqual([]);
  }
});

test("a node's role can write no note of a sweep", () => {
  const ofNodes = [permissions, ecsAgentPermissions, systemsManagerPermissions].flat().map(({ action }) => action);
  expect(ofNodes.filter((action) => /^autoscaling:.*Tags$/.test(action))).toEqual([]);
  const writers = sweepPermissions.filter(({ reach }) => reach === 'note-tags').map(({ action }) => action);
  expect(writers).toEqual(['autoscaling:CreateOrUpdateTags', 'autoscaling:DeleteTags']);
});

test('only the two commands about nodes open the folder that acts on other nodes', () => {
  const files = globSync('{main,lambda}.ts', { cwd: '.' }).concat(
    globSync('{commands,bootstrap,agent,upkeep,fleet,core,host}/**/*.ts', { cwd: '.' }),
  );
  const openers = files.filter((file) => /from '.*aws\/fleet\/open\.ts'/.test(readFileSync(file, 'utf8')));
  expect(openers.toSorted()).toEqual(['commands/fleet/fleet.ts', 'commands/fleet/sweep.ts']);
  const deed = /\.(drain|terminateInGroup|deregisterRecord|untagMachine|deregisterContainerInstance)\(/;
  const doers = files.filter((file) => file.startsWith('fleet/') && deed.test(readFileSync(file, 'utf8')));
  expect(doers).toEqual(['fleet/sweep/deeds.ts']);
});
