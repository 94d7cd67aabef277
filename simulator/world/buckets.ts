/** S3's buckets, as far as somebody reads from them. */

import { createHash } from 'node:crypto';
import type { StoredObject, World } from './state.ts';

export function createBucket(world: World, name: string): void {
  if (!world.buckets.has(name)) world.buckets.set(name, new Map());
}

/** Makes the bucket where there is none. */
export function putObject(world: World, bucket: string, key: string, text: string): StoredObject {
  createBucket(world, bucket);
  const bytes = Buffer.from(text);
  const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
  const object = { key, bytes, etag, modifiedAt: world.clock.now() };
  world.buckets.get(bucket)!.set(key, object);
  return object;
}
