// Zstandard (RFC 8878), to read shards with: browsers cannot unpack it by themselves yet.
//
// fzstd unpacks it. It makes room for whatever the header of a frame declares, so headers are
// checked here first, against what the blocks can hold. Checksums of content are passed over.

import { decompress } from "./vendor/fzstd.js";

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50; // and the fifteen after it
const BLOCK_MAX = 128 * 1024;
const CONTENT_MAX = 2 ** 26; // fzstd reads some matches wrongly that are 96 MiB away or more

export class BadZstd extends Error {}

/** The content of all frames in `source`, both of bytes; what may be above `limit` is refused. */
export function unzstd(source, limit = CONTENT_MAX) {
  const frames = checked(source, limit);
  try {
    return decompress(frames);
  } catch (error) {
    throw new BadZstd(`damaged: ${error.message}`, { cause: error });
  }
}

/** A copy of `source` that makes fzstd take no more room than `limit`, twice. */
function checked(source, limit) {
  const reader = new Reader(source.slice());
  let room = 0;
  while (reader.at < source.length) {
    const magic = reader.number(4);
    if (magic === FRAME) room += passFrame(reader);
    else if ((magic & ~15) >>> 0 === SKIPPABLE) reader.skip(reader.number(4));
    else throw new BadZstd("not Zstandard");
    if (room > limit) throw new BadZstd("more content than is allowed");
  }
  return reader.bytes;
}

/** Go past a frame, behind its magic number; gives how much it may hold. */
function passFrame(reader) {
  const descriptor = reader.number(1);
  if (descriptor & 8) throw new BadZstd("a reserved bit is set");
  const single = (descriptor >> 5) & 1;
  const window = reader.at;
  if (!single) reader.skip(1);
  if (reader.number([0, 1, 2, 4][descriptor & 3]) !== 0) throw new BadZstd("it has a dictionary");
  const width = [single, 2, 4, 8][descriptor >> 6];
  const size = reader.number(width) + (width === 2 ? 256 : 0);
  const most = passBlocks(reader);
  reader.skip(descriptor & 4);
  if (size > most) throw new BadZstd("its header declares more than its blocks can hold");
  if (!single) reader.bytes[window] = Math.min(reader.bytes[window], windowFor(most));
  return width ? size : most;
}

/** Go past the blocks of a frame; gives the most that they can hold. */
function passBlocks(reader) {
  let most = 0;
  for (let last = 0; !last; ) {
    const header = reader.number(3);
    last = header & 1;
    const type = (header >> 1) & 3; // stored, one byte many times, compressed
    const size = header >> 3;
    if (type === 3) throw new BadZstd("a block of a reserved type");
    if (size > BLOCK_MAX) throw new BadZstd("a block is too large");
    reader.skip(type === 1 ? 1 : size);
    most += type === 2 ? BLOCK_MAX : size;
  }
  return most;
}

/** As a header declares it: the smallest window, of a power of two, for so much content. */
function windowFor(size) {
  const bits = 32 - Math.clz32(Math.max(size, 1) - 1);
  return Math.max(bits - 10, 0) << 3;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  skip(count) {
    this.at += count;
    if (this.at > this.bytes.length) throw new BadZstd("cut off");
  }

  /** Little-endian. */
  number(width) {
    this.skip(width);
    let value = 0;
    for (let i = 1; i <= width; i++) value = value * 256 + this.bytes[this.at - i];
    return value;
  }
}
