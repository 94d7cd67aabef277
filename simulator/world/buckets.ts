/** S3's buckets and their objects. */

import { createHash } from 'node:crypto';
import type { StoredObject, World } from './state.ts';

export function createBucket(world: World, name: string): void {
  if (!world.buckets.has(name)) world.buckets.set(name, new Map());
}

/** Creates the bucket if it does not exist. */
export function putObject(world: World, bucket: string, key: string, text: string): StoredObject {
  createBucket(world, bucket);
  const bytes = Buffer.from(text);
  const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
  const object = { key, bytes, etag, modifiedAt: world.clock.now() };
  world.buckets.get(bucket)!.set(key, object);
  return object;
}
