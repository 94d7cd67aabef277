import { expect, test } from 'vitest';
import { json, openAws, wire } from './aws.ts';

const patient = new AbortController().signal;
const event = { type: 'left', at: Date.UTC(2030, 0, 1), detail: { version: 1, cause: 'disk' } };

test('one event is one entry of one PutEvents call, with its own time', async () => {
  const { cloud, calls, last } = await openAws(() => json({ FailedEntryCount: 0, Entries: [{ EventId: 'e-1' }] }));
  await cloud.putEvent('team', event, patient);
  expect(calls()).toEqual(['PutEvents']);
  expect(last()).toEqual({
    Entries: [
      {
        EventBusName: 'team',
        Source: 'ecs-node',
        DetailType: 'left',
        Time: Date.UTC(2030, 0, 1) / 1000,
        Detail: '{"version":1,"cause":"disk"}',
      },
    ],
  });
});

// EventBridge answers 200 with FailedEntryCount 1 where it has not taken the entry.
test.each([
  ['ThrottlingException', 'Unavailable'],
  ['InternalFailure', 'Unavailable'],
  ['AccessDeniedException', 'Refused'],
  ['NotAuthorizedForSourceException', 'Refused'],
  ['MalformedDetail', 'Refused'],
])('an entry that failed with %s inside a good answer is %s', async (ErrorCode, name) => {
  const { cloud } = await openAws(() =>
    json({ FailedEntryCount: 1, Entries: [{ ErrorCode, ErrorMessage: 'not taken' }] }),
  );
  await expect(cloud.putEvent('team', event, patient)).rejects.toMatchObject({ name });
});

test.each([
  ['no entries', {}],
  ['an entry without an id', { FailedEntryCount: 0, Entries: [{}] }],
])('an answer with %s does not say that the event was taken', async (_, answer) => {
  const { cloud } = await openAws(() => json(answer));
  await expect(cloud.putEvent('team', event, patient)).rejects.toMatchObject({ name: 'Unavailable' });
});

test('a missing permission names the action and the bus', async () => {
  const { cloud } = await openAws(() => wire.json('AccessDeniedException', 'no', 400));
  await expect(cloud.putEvent('team', event, patient)).rejects.toMatchObject({
    name: 'Refused',
    message: expect.stringContaining('events:PutEvents on event bus team is not allowed'),
  });
});
