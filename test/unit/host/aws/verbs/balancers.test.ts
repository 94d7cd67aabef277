import { expect, test } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { callOf, openAws, query, self, wire } from '../aws.ts';
import { patient } from './answers.ts';

const health = (...targets: (readonly [id: string, port: number, state: string])[]) =>
  query(
    'DescribeTargetHealth',
    `<TargetHealthDescriptions>${targets
      .map(
        ([id, port, state]) =>
          `<member><Target><Id>${id}</Id><Port>${port}</Port></Target><TargetHealth><State>${state}</State></TargetHealth></member>`,
      )
      .join('')}</TargetHealthDescriptions>`,
  );

test('a target is deregistered under every port of its own, and no other target with it', async () => {
  const { cloud, calls, last } = await openAws((asked) =>
    callOf(asked) === 'DescribeTargetHealth'
      ? health([self, 8080, 'healthy'], [self, 9090, 'draining'], ['i-00000000000000bad', 8080, 'healthy'])
      : query('DeregisterTargets', ''),
  );
  await cloud.deregisterTarget('group', patient);
  expect(calls()).toEqual(['DescribeTargetHealth', 'DeregisterTargets']);
  expect(last()).toMatchObject({ 'Targets.member.1.Id': self, 'Targets.member.1.Port': '8080' });
  expect(last()).not.toHaveProperty('Targets.member.2.Id');
  expect(await cloud.isTargetDraining('group', patient)).toBe(true);
});

// The tasks of a node stopped while its load balancer sent requests: one list had not named it.
test('a target that one list lacks is deregistered all the same', async () => {
  const { cloud, calls, last } = await openAws((asked) =>
    callOf(asked) === 'DescribeTargetHealth'
      ? health(['i-00000000000000bad', 8080, 'healthy'])
      : query('DeregisterTargets', ''),
  );
  await cloud.deregisterTarget('group', patient);
  expect(calls()).toEqual(['DescribeTargetHealth', 'DeregisterTargets']);
  expect(last()).toMatchObject({ 'Targets.member.1.Id': self });
  expect(last()).not.toHaveProperty('Targets.member.1.Port');
  expect(await cloud.isTargetDraining('group', patient)).toBe(false);
});

test.each([
  ['its only target, on a port of its own', [], [9090]],
  ['one of its two targets', [8080], [8080, 9090]],
])('a target is deregistered by the second list where the first one lacks %s', async (_, first, ports) => {
  const inService = new Set(ports);
  let lists = 0;
  const { cloud } = await openAws((asked) => {
    if (callOf(asked) === 'DescribeTargetHealth') {
      const shown = ++lists === 1 ? first : ports;
      return health(...shown.map((port) => [self, port, inService.has(port) ? 'healthy' : 'draining'] as const));
    }
    const body = new URLSearchParams(String(asked.body));
    // Without a port, AWS takes the group's own.
    for (const n of [1, 2]) inService.delete(Number(body.get(`Targets.member.${n}.Port`) ?? 80));
    return query('DeregisterTargets', '');
  });
  await cloud.deregisterTarget('group', patient);
  expect([...inService]).toEqual([9090]);
  await cloud.deregisterTarget('group', patient);
  expect([...inService]).toEqual([]);
});

test('an instance that cannot be a target of the group counts as deregistered', async () => {
  const answer = (list: ReturnType<typeof health>) =>
    openAws((asked) => (callOf(asked) === 'DescribeTargetHealth' ? list : wire.query('InvalidTarget', 'no')));
  const { cloud } = await answer(health(['10.0.0.1', 8080, 'healthy']));
  await expect(cloud.deregisterTarget('group', patient)).resolves.toBeUndefined();
  const { cloud: member } = await answer(health([self, 8080, 'healthy']));
  await expect(member.deregisterTarget('group', patient)).rejects.toBeInstanceOf(Refused);
});

test('a target that drains is not deregistered again', async () => {
  const { cloud, calls } = await openAws(() => health([self, 8080, 'draining']));
  await cloud.deregisterTarget('group', patient);
  expect(calls()).toEqual(['DescribeTargetHealth']);
});

test('an answer of a load balancer without its list says nothing about the target', async () => {
  const { cloud } = await openAws((asked) => query(callOf(asked), ''));
  await expect(cloud.deregisterTarget('group', patient)).rejects.toBeInstanceOf(Unavailable);
  await expect(cloud.isTargetDraining('group', patient)).rejects.toBeInstanceOf(Unavailable);
  await expect(cloud.isLoadBalancerDraining('old', patient)).rejects.toBeInstanceOf(Unavailable);
});

test('a classic load balancer that does not know this instance counts as left', async () => {
  const { cloud } = await openAws(() => wire.query('InvalidInstance', 'Could not find EC2 instance'));
  await cloud.deregisterFromLoadBalancer('old', patient);
  expect(await cloud.isLoadBalancerDraining('old', patient)).toBe(false);
});

test('a classic load balancer reports in words that connections still drain', async () => {
  const { cloud } = await openAws(() =>
    query(
      'DescribeInstanceHealth',
      `<InstanceStates><member><InstanceId>${self}</InstanceId><State>InService</State><Description>Instance deregistration currently in progress.</Description></member></InstanceStates>`,
    ),
  );
  expect(await cloud.isLoadBalancerDraining('old', patient)).toBe(true);
});
