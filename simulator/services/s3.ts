/** S3's API for listing and reading objects: REST, path style, XML. */

import { Refusal } from '../refusal.ts';
import type { Answer } from '../wire/answer.ts';
import { renderXml } from '../wire/query.ts';
import { need, text, whole } from '../wire/shapes.ts';
import type { StoredObject, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { takePage } from './pages.ts';
import { operation, type Service } from './service.ts';

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

const badToken = () => new Refusal('InvalidArgument', 'The continuation token provided is incorrect');

function findBucket(world: World, name: string): Map<string, StoredObject> {
  const bucket = world.buckets.get(name);
  if (!bucket) throw new Refusal('NoSuchBucket', 'The specified bucket does not exist', 404);
  return bucket;
}

const operations = {
  ListObjectsV2: operation(
    {
      Bucket: need(text({ min: 3, max: 63 })),
      'list-type': need(text({ pattern: /^2$/ })),
      prefix: text(),
      delimiter: text(),
      'continuation-token': text(),
      'max-keys': whole({ min: 0, max: 1000 }),
    },
    (input, { world }): Answer => {
      const {
        Bucket,
        prefix = '',
        delimiter,
        'continuation-token': token,
        'max-keys': size = world.settings.s3.pageKeys,
      } = input;
      const below = [...findBucket(world, Bucket).values()]
        .filter(({ key }) => key.startsWith(prefix))
        .toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
      const inFolder = ({ key }: StoredObject) =>
        delimiter !== undefined && delimiter !== '' && key.slice(prefix.length).includes(delimiter);
      const { page, next } = takePage(
        below.filter((object) => !inFolder(object)),
        size,
        token,
        badToken,
      );
      const folders = below.filter(inFolder).map(({ key }) => {
        const end = key.indexOf(delimiter!, prefix.length) + delimiter!.length;
        return key.slice(0, end);
      });
      const fields = renderXml(
        {
          Name: Bucket,
          Prefix: prefix,
          KeyCount: page.length,
          MaxKeys: size,
          IsTruncated: next !== undefined,
          NextContinuationToken: next,
        },
        'item',
      );
      const contents = page.map(renderListed).join('');
      const prefixes = [...new Set(folders)]
        .map((folder) => `<CommonPrefixes>${renderXml({ Prefix: folder }, 'item')}</CommonPrefixes>`)
        .join('');
      return xml(200, `<ListBucketResult xmlns="${namespace}">${fields}${contents}${prefixes}</ListBucketResult>`);
    },
    ({ Bucket, prefix = '' }) => [
      { action: 's3:ListBucket', resource: `arn:aws:s3:::${Bucket}`, context: { 's3:prefix': prefix } },
    ],
  ),
  GetObject: operation(
    { Bucket: need(text({ min: 3, max: 63 })), Key: need(text({ min: 1, max: 1024 })), 'if-none-match': text() },
    ({ Bucket, Key, 'if-none-match': known }, { world }): Answer => {
      const object = findBucket(world, Bucket).get(Key);
      if (!object) throw new Refusal('NoSuchKey', 'The specified key does not exist.', 404);
      const { bytes, etag, modifiedAt } = object;
      const headers = { etag, 'last-modified': new Date(modifiedAt).toUTCString(), 'accept-ranges': 'bytes' };
      if (known === etag) return { status: 304, headers, body: '' };
      return { status: 200, headers: { ...headers, 'content-type': 'binary/octet-stream' }, body: bytes };
    },
    ({ Bucket, Key }) => [{ resource: `arn:aws:s3:::${Bucket}/${Key}` }],
  ),
};

function renderListed({ key, bytes, etag, modifiedAt }: StoredObject): string {
  const LastModified = new Date(modifiedAt);
  return `<Contents>${renderXml({ Key: key, LastModified, ETag: etag, Size: bytes.length, StorageClass: 'STANDARD' }, 'item')}</Contents>`;
}

function xml(status: number, body: string): Answer {
  return {
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}`,
  };
}

export const s3: Service = {
  id: 's3',
  signingName: 's3',
  iam: 's3',
  protocol: 's3',
  version: '2006-03-01',
  namespace,
  complain: validationComplaints('InvalidArgument'),
  throttle: throttled('SlowDown', 503),
  deny: denied('AccessDenied', 403),
  operations,
};

/**
 * Derives the operation and its input from method, path, query and headers. Returns undefined for
 * an operation that the simulator lacks.
 */
export function parseS3(
  method: string,
  target: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): { operation: string; input: Record<string, unknown> } | undefined {
  if (method !== 'GET') return undefined;
  const [path = '', query = ''] = target.split('?');
  const [, bucket = '', ...rest] = path.split('/').map(decodeURIComponent);
  const key = rest.join('/');
  const parameters = Object.fromEntries(new URLSearchParams(query));
  if (key === '') return { operation: 'ListObjectsV2', input: { Bucket: bucket, ...parameters } };
  return { operation: 'GetObject', input: { Bucket: bucket, Key: key, 'if-none-match': headers['if-none-match'] } };
}
