/** Checks Signature Version 4 fully, so that a client that signs wrongly fails here too. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export interface SignedRequest {
  method: string;
  /** Path and query as received. */
  target: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Uint8Array;
}

export interface Authorization {
  accessKeyId: string;
  date: string;
  region: string;
  service: string;
  signedHeaders: string[];
  signature: string;
  /** `20260101T000000Z` */
  at: string;
  token: string | undefined;
}

/**
 * Returns undefined if the request is unsigned, and null if its header is not a Signature Version
 * 4.
 */
export function parseAuthorization(headers: SignedRequest['headers']): Authorization | null | undefined {
  const value = one(headers['authorization']);
  if (value === undefined) return undefined;
  const found =
    /^AWS4-HMAC-SHA256\s+Credential=([^/,]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      value,
    );
  const at = one(headers['x-amz-date']);
  if (!found || at === undefined || !/^\d{8}T\d{6}Z$/.test(at)) return null;
  const [, accessKeyId = '', date = '', region = '', service = '', signed = '', signature = ''] = found;
  const token = one(headers['x-amz-security-token']);
  return { accessKeyId, date, region, service, signedHeaders: signed.split(';'), signature, at, token };
}

export function isSignatureRight(request: SignedRequest, authorization: Authorization, secret: string): boolean {
  const { date, region, service, at, signature } = authorization;
  const scope = `${date}/${region}/${service}/aws4_request`;
  const canonical = canonicalRequest(request, authorization);
  const toSign = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n');
  const expected = createHmac('sha256', signingKey(secret, date, region, service))
    .update(toSign)
    .digest();
  return timingSafeEqual(expected, Buffer.from(signature, 'hex'));
}

/** The signature must cover these headers; otherwise a proxy could change the request. */
export function isCovered({ signedHeaders }: Authorization, headers: SignedRequest['headers']): boolean {
  const must = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))];
  return must.every((name) => signedHeaders.includes(name));
}

/** Returns how far a request's date lies behind the server's. */
export function skewMs({ at }: Authorization, now: number): number {
  const iso = at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  return now - Date.parse(iso);
}

function canonicalRequest(
  { method, target, headers, body }: SignedRequest,
  { signedHeaders, service }: Authorization,
): string {
  const [path = '/', query = ''] = target.split('?');
  const isS3 = service === 's3';
  const lines = signedHeaders.map((name) => `${name}:${(one(headers[name]) ?? '').trim().replace(/\s+/g, ' ')}\n`);
  const hash = one(headers['x-amz-content-sha256']) ?? sha256(body);
  return [method, isS3 ? path : encodePath(path), sortQuery(query), lines.join(''), signedHeaders.join(';'), hash].join(
    '\n',
  );
}

/** Every service but S3 encodes the encoded path a second time. */
function encodePath(path: string): string {
  return path
    .split('/')
    .map((part) =>
      encodeURIComponent(part).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join('/');
}

function sortQuery(query: string): string {
  if (query === '') return '';
  return query
    .split('&')
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .toSorted()
    .join('&');
}

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

const keys = new Map<string, Buffer>();

/** Cached: the key stays the same for a whole day, and a process sees few secrets. */
function signingKey(secret: string, date: string, region: string, service: string): Buffer {
  const name = [secret, date, region, service].join(' ');
  const known = keys.get(name);
  if (known) return known;
  const chain = [date, region, service, 'aws4_request'];
  const key = chain.reduce<string | Buffer>(
    (last, part) => createHmac('sha256', last).update(part).digest(),
    `AWS4${secret}`,
  );
  if (keys.size > 20_000) keys.clear();
  keys.set(name, key as Buffer);
  return key as Buffer;
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
