import { expect, test } from 'vitest';
import { json, openAws, self, wire } from '../aws.ts';
import { patient } from './answers.ts';

test('a stack is found by id with one record, by name among all, and never as one of two', async () => {
  const id = 'abababab-1111-4111-8111-111111111111';
  const stacks = [
    { StackId: id, Name: 'web', Region: 'us-east-1' },
    { StackId: 'b', Name: 'twin', Region: 'us-east-1' },
    { StackId: 'c', Name: 'twin', Region: 'us-east-1' },
  ];
  const { cloud, last } = await openAws(() => json({ Stacks: stacks }));
  expect(await cloud.readStack(id, patient)).toEqual({ id, name: 'web', region: 'us-east-1' });
  expect(last()).toEqual({ StackIds: [id] });
  expect(await cloud.readStack(id.toUpperCase(), patient)).toMatchObject({ id });
  expect(last()).toEqual({ StackIds: [id] });
  expect(await cloud.readStack('web', patient)).toMatchObject({ id });
  expect(last()).toEqual({});
  expect(await cloud.readStack('nothing', patient)).toBeUndefined();
  await expect(cloud.readStack('twin', patient)).rejects.toThrow(/2 stacks are called "twin".*b, c/);
});

test('an id that OpsWorks does not know counts as absent', async () => {
  const { cloud } = await openAws(() => wire.json('ResourceNotFoundException', 'Unable to find it'));
  const id = '11111111-1111-4111-8111-111111111111';
  expect(await cloud.readStack(id, patient)).toBeUndefined();
  expect(await cloud.readLayer(id, id, patient)).toBeUndefined();
  expect(await cloud.readRegistration(id, patient)).toBeUndefined();
  await expect(cloud.deregister(id, patient)).rejects.toMatchObject({ code: 'ResourceNotFoundException' });
});

test('a list of OpsWorks without the record that was asked for is no answer', async () => {
  const { cloud } = await openAws(() => json({ Instances: [] }));
  await expect(cloud.readRegistration('r', patient)).rejects.toThrow('the answer lacks the record r');
});

test('the OpsWorks record of another instance never counts as ours', async () => {
  const record = { InstanceId: 'r', Hostname: 'web-1', Status: 'online', LayerIds: ['l'] };
  const { cloud, last } = await openAws(() =>
    json({ Instances: [{ ...record, Ec2InstanceId: 'i-00000000000000bad' }] }),
  );
  expect(await cloud.readRegistration('r', patient)).toBeUndefined();
  expect(last()).toEqual({ InstanceIds: ['r'] });
  expect(await cloud.findRegistration('s', patient)).toBeUndefined();
  const { cloud: ours } = await openAws(() => json({ Instances: [{ ...record, Ec2InstanceId: self }] }));
  expect(await ours.readRegistration('r', patient)).toEqual({
    id: 'r',
    hostname: 'web-1',
    status: 'online',
    layerIds: ['l'],
  });
});

test('the newest of several OpsWorks records of this instance counts, and the others are named', async () => {
  const record = (InstanceId: string, CreatedAt?: string) => ({ InstanceId, Ec2InstanceId: self, CreatedAt });
  const instances = [
    record('lost', '2030-01-01T00:00:00+00:00'),
    record('new', '2030-01-01T00:05:00+00:00'),
    record('undated'),
    { ...record('foreign', '2030-01-02T00:00:00+00:00'), Ec2InstanceId: 'i-00000000000000bad' },
  ];
  const { cloud } = await openAws(() => json({ Instances: instances }));
  expect(await cloud.findRegistration('s', patient)).toMatchObject({ id: 'new', older: ['lost', 'undated'] });
});
