import { describe, expect, it } from 'vitest';
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
});

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
});
