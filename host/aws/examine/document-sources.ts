/** The permissions to pull the configuration, tried on a document that does not exist. */

import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { GetParametersByPathCommand, GetParametersCommand, SSMClient } from '@aws-sdk/client-ssm';
import { parseSource } from '../../../config/remote/document-location.ts';
import { openS3Client } from '../documents/bucket.ts';
import type { Session } from '../session/session.ts';
import { absent, type OpenProbes } from './subject.ts';

export const openDocumentSourceProbes: OpenProbes = (session, { source: text = '' }) => {
  const source = parseSource(text);
  if (source?.kind === 'ssm') return parameterProbes(session, source.path);
  return source?.kind === 's3' ? objectProbes(session, source.bucket, source.prefix) : {};
};

function parameterProbes({ callAws, settings }: Session, path: string): ReturnType<OpenProbes> {
  const client = new SSMClient(settings('SSM'));
  const Names = [`${path}/${absent.hex}`];
  return {
    'ssm:GetParametersByPath': (signal) =>
      callAws('ssm:GetParametersByPath', path, signal, (options) =>
        client.send(new GetParametersByPathCommand({ Path: path, MaxResults: 1 }), options),
      ),
    'ssm:GetParameters': (signal) =>
      callAws('ssm:GetParameters', Names[0]!, signal, (options) =>
        client.send(new GetParametersCommand({ Names, WithDecryption: true }), options),
      ),
  };
}

function objectProbes(session: Session, Bucket: string, prefix: string): ReturnType<OpenProbes> {
  const client = openS3Client(session, Bucket);
  const Key = `${prefix}${absent.hex}`;
  return {
    's3:ListBucket': (signal) =>
      session.callAws('s3:ListBucket', Bucket, signal, (options) =>
        client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix, MaxKeys: 1 }), options),
      ),
    's3:GetObject': (signal) =>
      session.callAws('s3:GetObject', `${Bucket}/${Key}`, signal, (options) =>
        client.send(new GetObjectCommand({ Bucket, Key }), options),
      ),
  };
}
