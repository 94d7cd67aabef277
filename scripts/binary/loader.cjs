// What the executable runs first: loads each part of the program, and V8's code cache for it, when it is first needed.
//
// The parts lie in the executable as assets. As one script they would be a megabyte on the heap of an agent that needs an
// eighth of it, and V8 would keep no more than what runs at once. Where a cache does not fit (another processor), V8
// compiles the part as if there were none.
'use strict';

const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

/** For each part where its code lies, and where its cache: offset, length, offset, length. Written by the build. */
const index = INDEX;
const code = getRawAsset('code');
const caches = getRawAsset('caches');

const builtin = require;
const loaded = Object.create(null);

function load(id) {
  const place = index[id];
  if (place === undefined) return builtin(id);
  if (loaded[id] !== undefined) return loaded[id].exports;
  const [at, length, cacheAt, cacheLength] = place;
  const script = new Script(Buffer.from(code, at, length).latin1Slice(), {
    filename: id,
    ...(cacheLength > 0 && { cachedData: Buffer.from(caches, cacheAt, cacheLength) }),
  });
  const module = (loaded[id] = { exports: {} });
  script.runInThisContext()(module.exports, load, module);
  return module.exports;
}

load('./main.js');
