/** Documents as objects in S3: each `*.yaml` directly below one prefix is a document. */

import type { Readable } from 'node:stream';
import { GetObjectCommand, ListObjectsV2Command, S3Client, type _Object } from '@aws-sdk/client-s3';
import type { ConfigurationSource } from '../../../config/remote/document-location.ts';
import { Refused, Unavailable } from '../../../core/errors.ts';
import type { RemoteDocument } from '../../../core/host.ts';
import type { DocumentSource } from './document-source.ts';
import type { Session } from '../session/session.ts';
import { pagesOf } from '../pages.ts';
import { maxBytes, maxDocuments, maxTotalBytes, tooLarge, tooMany, tooMuch } from './document-limits.ts';

const none = new Uint8Array();

type BucketLocation = Omit<Extract<ConfigurationSource, { kind: 's3' }>, 'kind'>;

export function openS3Client({ identity, settings }: Session, bucket: string): S3Client {
  const shared = settings('S3');
  return new S3Client({
    ...shared,
    // A custom endpoint has no host name for each bucket. AWS's certificate covers no bucket name
    // with dots.
    forcePathStyle: 'endpoint' in shared || bucket.includes('.'),
    followRegionRedirects: true,
    // Every option is set here. Otherwise the SDK would read root's ~/.aws/config for it.
    useArnRegion: false,
    disableS3ExpressSessionAuth: true,
    sigv4aSigningRegionSet: [identity.region],
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

export function openBucket(session: Session, { bucket, prefix }: BucketLocation): DocumentSource {
  const client = openS3Client(session, bucket);
  const arn = `arn:${session.identity.partition}:s3:::${bucket}`;
  const reader: BucketReader = {
    client,
    callAws: session.callAws,
    bucket,
    prefix,
    arn,
    source: `s3://${bucket}/${prefix}`,
  };
  return {
    destroy: () => client.destroy(),
    async read(known, signal) {
      const documents: RemoteDocument[] = [];
      for (const { Key = '', ETag = '' } of await listDocuments(reader, signal)) {
        const name = Key.slice(prefix.length);
        const document = known[name] === ETag ? { name, version: ETag } : await fetchDocument(reader, Key, signal);
        if (document !== undefined) documents.push(document);
      }
      return documents;
    },
  };
}

interface BucketReader extends BucketLocation {
  client: S3Client;
  callAws: Session['callAws'];
  arn: string;
  /** For people. */
  source: string;
}

/** Refuses too many or too large documents before any of them is fetched. */
async function listDocuments(reader: BucketReader, signal: AbortSignal): Promise<_Object[]> {
  const { client, callAws, bucket: Bucket, prefix: Prefix, arn, source } = reader;
  const pages = pagesOf(async (token) => {
    const input = { Bucket, Prefix, Delimiter: '/', ...(token && { ContinuationToken: token }) };
    const page = await callAws('s3:ListBucket', arn, signal, (options) =>
      client.send(new ListObjectsV2Command(input), options),
    );
    const { Contents = [], CommonPrefixes = [], KeyCount, IsTruncated, NextContinuationToken: next } = page;
    const isCut = IsTruncated === true && !next;
    if (KeyCount === undefined || Contents.length + CommonPrefixes.length < KeyCount || isCut)
      throw new Unavailable(`${source}: the list is not whole`);
    return { items: Contents, next };
  });
  const found: _Object[] = [];
  for await (const objects of pages) {
    found.push(...objects.filter(({ Key = '' }) => isDocument(Key.slice(Prefix.length))));
    if (found.length > maxDocuments) throw tooMany(source);
  }
  const large = found.find(({ Size = 0 }) => Size > maxBytes);
  if (large !== undefined) throw tooLarge(source, large.Key?.slice(Prefix.length) ?? '');
  if (found.reduce((sum, { Size = 0 }) => sum + Size, 0) > maxTotalBytes) throw tooMuch(source);
  return found;
}

/** Undefined when the object was deleted after the list. */
async function fetchDocument(
  reader: BucketReader,
  key: string,
  signal: AbortSignal,
): Promise<RemoteDocument | undefined> {
  const { client, callAws, bucket, prefix, arn, source } = reader;
  const name = key.slice(prefix.length);
  try {
    const { version, length, bytes } = await callAws('s3:GetObject', `${arn}/${key}`, signal, async (options) => {
      const input = { Bucket: bucket, Key: key };
      const { ETag, ContentLength, Body } = await client.send(new GetObjectCommand(input), options);
      // The object may have grown since the list. An unread body would keep the connection.
      const isRead = Body !== undefined && ContentLength !== undefined && ContentLength <= maxBytes;
      if (!isRead) (Body as Readable | undefined)?.destroy();
      return { version: ETag, length: ContentLength, bytes: isRead ? await Body.transformToByteArray() : none };
    });
    if (length !== undefined && length > maxBytes) throw tooLarge(source, name);
    // S3 always sends the length and the version. A known version is not read again.
    if (bytes.length !== length || version === undefined)
      throw new Unavailable(`${source}${name}: the answer was cut off`);
    return { name, version, text: decode(source, name, bytes) };
  } catch (error) {
    if (error instanceof Refused && error.code === 'NoSuchKey') return undefined;
    throw error;
  }
}

/**
 * Other files beside the documents are not documents, and neither is the object that the console
 * makes for a folder.
 */
function isDocument(name: string): boolean {
  return name.endsWith('.yaml') && !name.startsWith('.');
}

function decode(source: string, name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Refused(`${source}${name} is not UTF-8 text`, { cause, code: 'NotText' });
  }
}
