import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it, vi } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { openBucket } from '../../../../host/aws/documents/bucket.ts';
import { openParameters } from '../../../../host/aws/documents/parameters.ts';
import type { Session } from '../../../../host/aws/session/session.ts';

const { signal } = new AbortController();

/** A session whose calls get these answers, whatever the client would send. */
function sessionThatAnswers(answers: Readonly<Record<string, object>>): Session {
  return {
    identity: { partition: 'aws', region: 'eu-west-1', accountId: '123456789012' },
    settings: () => ({ region: 'eu-west-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }),
    callAws: async (call: string) => answers[call],
  } as unknown as Session;
}

const secret = { Name: '/ecs/web/a', Type: 'SecureString', Version: 1 };

describe('documents in Systems Manager', () => {
  const read = (answers: Readonly<Record<string, object>>) =>
    openParameters(sessionThatAnswers(answers), '/ecs/web').read({}, signal);

  it('are not taken for deleted when an answer has no list', async () => {
    await expect(read({ 'ssm:GetParametersByPath': {} })).rejects.toThrow(Unavailable);
    await expect(read({ 'ssm:GetParametersByPath': { Parameters: [] } })).resolves.toEqual([]);
  });

  it('are deleted only when the second call says so', async () => {
    const listed = { 'ssm:GetParametersByPath': { Parameters: [secret] } };
    await expect(read({ ...listed, 'ssm:GetParameters': {} })).rejects.toThrow(Unavailable);
    await expect(read({ ...listed, 'ssm:GetParameters': { Parameters: [] } })).rejects.toThrow(
      'does not name /ecs/web/a',
    );
    const gone = { Parameters: [], InvalidParameters: [secret.Name] };
    await expect(read({ ...listed, 'ssm:GetParameters': gone })).resolves.toEqual([]);
  });

  it('are not read from an answer without a decrypted value', async () => {
    const halves = {
      'ssm:GetParametersByPath': { Parameters: [secret] },
      'ssm:GetParameters': { Parameters: [secret] },
    };
    await expect(read(halves)).rejects.toThrow('half an answer about /ecs/web/a');
  });

  // An empty text under the true version would stay: later answers about that version are not read.
  it.each(['Name', 'Type', 'Version', 'Value'])('are not read from an answer without their %s', async (field) => {
    const whole = { Name: '/ecs/web/a', Type: 'String', Version: 2, Value: 'disk: {checks: 4}\n' };
    const { [field as 'Name']: _missing, ...half } = whole;
    const listed = (parameter: object) => ({ 'ssm:GetParametersByPath': { Parameters: [parameter] } });
    await expect(read(listed(half))).rejects.toThrow(Unavailable);
    await expect(read(listed(whole))).resolves.toEqual([{ name: 'a', version: '2@', text: whole.Value }]);
  });
});

/** One object, and what S3 answers when it is fetched. */
function bucketWith(object: { ETag?: string; ContentLength?: number; body?: string }): Session {
  const { body, ...fields } = object;
  const bytes = new TextEncoder().encode(body);
  const Body = body === undefined ? undefined : { transformToByteArray: async () => bytes, destroy() {} };
  const listed = { Key: 'web/a.yaml', ETag: '"1"', Size: 18 };
  const session = sessionThatAnswers({ 's3:ListBucket': { KeyCount: 1, Contents: [listed] } });
  const callAws: typeof session.callAws = async (call, arn, callSignal, send) => {
    if (call === 's3:ListBucket') return session.callAws(call, arn, callSignal, send);
    const sent = vi.spyOn(S3Client.prototype, 'send').mockResolvedValue({ ...fields, Body } as never);
    try {
      return await send({ abortSignal: callSignal });
    } finally {
      sent.mockRestore();
    }
  };
  return { ...session, callAws };
}

describe('documents in S3', () => {
  const read = (answer: object) =>
    openBucket(sessionThatAnswers({ 's3:ListBucket': answer }), { bucket: 'b', prefix: 'web/' }).read({}, signal);

  it('are not taken for deleted when a list is not whole', async () => {
    await expect(read({})).rejects.toThrow(Unavailable);
    await expect(read({ KeyCount: 1 })).rejects.toThrow('the list is not whole');
    await expect(read({ KeyCount: 0, IsTruncated: true })).rejects.toThrow('the list is not whole');
    await expect(read({ KeyCount: 0 })).resolves.toEqual([]);
    await expect(read({ KeyCount: 1, CommonPrefixes: [{ Prefix: 'web/old/' }] })).resolves.toEqual([]);
  });

  it.each([
    ['length', { ETag: '"1"' }],
    ['length, with a body', { ETag: '"1"', body: 'disk: {checks: 4}\n' }],
    ['version', { ContentLength: 18, body: 'disk: {checks: 4}\n' }],
    ['body', { ETag: '"1"', ContentLength: 18 }],
    ['last bytes', { ETag: '"1"', ContentLength: 18, body: 'disk: {check' }],
  ])('are not read from an answer without its %s', async (_what, object) => {
    const fetched = openBucket(bucketWith(object), { bucket: 'b', prefix: 'web/' }).read({}, signal);
    await expect(fetched).rejects.toThrow(Unavailable);
  });

  it('may be empty', async () => {
    const empty = bucketWith({ ETag: '"1"', ContentLength: 0, body: '' });
    const documents = await openBucket(empty, { bucket: 'b', prefix: 'web/' }).read({}, signal);
    expect(documents).toEqual([{ name: 'a.yaml', version: '"1"', text: '' }]);
  });
});
