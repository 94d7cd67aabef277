import { expect, test } from 'vitest';
import { callOf, openAws, query, self, wire } from '../aws.ts';
import { patient } from './answers.ts';

const health = (...targets: [id: string, port: number, state: string][]) =>
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

test('an absent target counts as deregistered', async () => {
  const { cloud, calls } = await openAws(() => health());
  await cloud.deregisterTarget('group', patient);
  expect(await cloud.isTargetDraining('group', patient)).toBe(false);
  expect(calls()).toEqual(['DescribeTargetHealth', 'DescribeTargetHealth']);
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
