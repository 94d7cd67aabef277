// The script that the executable runs first. It loads each part of the program, and V8's code cache
// for the part, when the program first needs it.
//
// The parts are assets of the executable. One script with all of them would put a megabyte on the
// heap of an agent that needs an eighth of it, and V8 would cache only the functions that run at
// once. If a cache does not fit (another processor), V8 compiles the part as if there were no
// cache.
'use strict';

const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

/**
 * The position of each part's code and cache: offset, length, offset, length. The build writes it.
 */
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
