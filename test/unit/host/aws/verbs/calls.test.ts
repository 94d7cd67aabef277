import { expect, test } from 'vitest';
import { nowhere } from '../../local-server.ts';
import { callOf, json, openAws, self } from '../aws.ts';
import { patient, arn } from './answers.ts';

test('each service uses its own endpoint variable, else the common one', async () => {
  const { cloud, server } = await openAws(() => json({ InstanceInformationList: [] }), {
    AWS_ENDPOINT_URL: nowhere,
  });
  await expect(cloud.readPing(patient)).rejects.toThrow(/ECONNREFUSED/);
  const { cloud: own } = await openAws(() => json({ InstanceInformationList: [] }), {
    AWS_ENDPOINT_URL: nowhere,
    AWS_ENDPOINT_URL_SSM: server.url,
  });
  expect(await own.readPing(patient)).toBeUndefined();
  expect(server.asked.map(callOf)).toEqual(['DescribeInstanceInformation']);
});

test('every call is signed, for the region of the instance', async () => {
  const { cloud, server } = await openAws(() => json({ InstanceInformationList: [] }));
  await cloud.readPing(patient);
  expect(server.asked[0]?.headers.authorization).toMatch(/Credential=AKIDEXAMPLE\/\d+\/us-east-1\/ssm\/aws4_request/);
});

test('a failure in the body of a good answer is a refusal too', async () => {
  const { cloud, last } = await openAws(() => json({ failures: [{ arn, reason: 'MISSING' }], containerInstances: [] }));
  await expect(cloud.drain('demo', arn, patient)).rejects.toMatchObject({ name: 'Refused', code: 'MISSING' });
  expect(last()).toEqual({ cluster: 'demo', containerInstances: [arn], status: 'DRAINING' });
});

test('one invalid measurement does not cost the others', async () => {
  const { cloud, server } = await openAws(() => ({ body: '' }));
  const metric = { unit: 'Percent', dimensions: { InstanceId: self }, at: Date.UTC(2030, 0, 1) } as const;
  await cloud
    .publish(
      'System/Linux',
      [
        { ...metric, name: 'Bad', value: Number.NaN },
        { ...metric, name: 'Good', value: 1 },
      ],
      patient,
    )
    .catch(() => {});
  expect(server.asked[0]?.body).toContain('Good');
  expect(server.asked[0]?.body).not.toContain('Bad');
  await cloud.publish('System/Linux', [{ ...metric, name: 'Bad', value: Infinity }], patient);
  expect(server.asked.every(({ body }) => body.includes('Good'))).toBe(true);
});

test('an empty set of tags causes no call', async () => {
  const { cloud, calls } = await openAws(() => ({}));
  await cloud.tagSelf({}, patient);
  expect(calls()).toEqual([]);
});

test('the log holds each call and its duration, without a secret', async () => {
  const { cloud, log } = await openAws(() => json({ InstanceInformationList: [] }));
  await cloud.readPing(patient);
  expect(log).toMatchObject([
    { level: 'debug', message: 'called AWS', fields: { call: 'ssm:DescribeInstanceInformation' } },
  ]);
  expect(JSON.stringify(log)).not.toMatch(/secret|AKID|token/);
});
