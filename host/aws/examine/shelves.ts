/** The permissions to pull the configuration, tried on a document that does not exist. */

import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { GetParametersByPathCommand, GetParametersCommand, SSMClient } from '@aws-sdk/client-ssm';
import { parseSource } from '../../../core/configuration-source.ts';
import { openS3Client } from '../bucket.ts';
import type { Session } from '../session.ts';
import { nobody, type OpenProbes } from './subject.ts';

export const openShelfProbes: OpenProbes = (session, { source: text = '' }) => {
  const source = parseSource(text);
  if (source?.kind === 'ssm') return parameterProbes(session, source.path);
  return source?.kind === 's3' ? objectProbes(session, source.bucket, source.prefix) : {};
};

function parameterProbes({ ask, settings }: Session, path: string): ReturnType<OpenProbes> {
  const client = new SSMClient(settings('SSM'));
  const Names = [`${path}/${nobody.hex}`];
  return {
    'ssm:GetParametersByPath': (signal) =>
      ask('ssm:GetParametersByPath', path, signal, (options) =>
        client.send(new GetParametersByPathCommand({ Path: path, MaxResults: 1 }), options),
      ),
    'ssm:GetParameters': (signal) =>
      ask('ssm:GetParameters', Names[0]!, signal, (options) =>
        client.send(new GetParametersCommand({ Names, WithDecryption: true }), options),
      ),
  };
}

function objectProbes(session: Session, Bucket: string, prefix: string): ReturnType<OpenProbes> {
  const client = openS3Client(session, Bucket);
  const Key = `${prefix}${nobody.hex}`;
  return {
    's3:ListBucket': (signal) =>
      session.ask('s3:ListBucket', Bucket, signal, (options) =>
        client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix, MaxKeys: 1 }), options),
      ),
    's3:GetObject': (signal) =>
      session.ask('s3:GetObject', `${Bucket}/${Key}`, signal, (options) =>
        client.send(new GetObjectCommand({ Bucket, Key }), options),
      ),
  };
}
