// Zstandard (RFC 8878), to read shards with: browsers cannot unpack it by themselves yet.
//
// Frames without a dictionary, which is what conda's files are. A checksum at the end is passed
// over: names of shards are digests already, and a file that is cut off or damaged shows anyway.

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50; // and the fifteen after it
const BLOCK_MAX = 128 * 1024;
const SOURCE_MAX = 2 ** 28 - 1; // positions in bits stay whole numbers of 32 bits

export class BadZstd extends Error {}

/** The content of all frames in `source`, both of bytes; more than `limit` of it is refused. */
export function unzstd(source, limit = 2 ** 29) {
  if (source.length > SOURCE_MAX) throw new BadZstd("too large");
  const output = new Output(limit);
  for (let at = 0; at < source.length; ) {
    const magic = littleEndian(source, at, 4);
    if (magic === FRAME) {
      at = new Frame(source, at + 4, output).read();
    } else if ((magic & ~15) >>> 0 === SKIPPABLE) {
      at += 8 + littleEndian(source, at + 4, 4);
    } else {
      throw new BadZstd("not Zstandard");
    }
  }
  return output.bytes.subarray(0, output.length);
}

/** Bytes that grow. */
class Output {
  constructor(limit) {
    this.limit = limit;
    this.bytes = new Uint8Array(0);
    this.length = 0;
  }

  /** Have room for `more` bytes. */
  reserve(more) {
    const needed = this.length + more;
    if (needed > this.limit) throw new BadZstd("more content than is allowed");
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.min(this.limit, Math.max(needed, 2 * this.bytes.length)));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  append(bytes) {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Append what stands `offset` bytes back; the copy may run into itself. */
  repeat(offset, count) {
    this.reserve(count);
    const { bytes } = this;
    let to = this.length;
    if (offset >= count) {
      bytes.copyWithin(to, to - offset, to - offset + count);
    } else {
      for (const end = to + count; to < end; to++) bytes[to] = bytes[to - offset];
    }
    this.length += count;
  }
}

/** One frame: a header, and blocks of which each may use tables of those before it. */
class Frame {
  constructor(source, at, output) {
    this.source = source;
    this.at = at;
    this.output = output;
    this.start = output.length;
    this.huffman = null;
    this.tables = { literals: null, offsets: null, matches: null };
    this.offsets = [1, 4, 8];
  }

  /** Append the content; gives the position behind the frame. */
  read() {
    const checksum = this.readHeader();
    for (let last = false; !last; ) {
      const header = this.number(3);
      last = (header & 1) === 1;
      this.readBlock((header >> 1) & 3, header >> 3);
    }
    this.take(checksum);
    return this.at;
  }

  /** Gives the number of bytes of the checksum. */
  readHeader() {
    const descriptor = this.number(1);
    if (descriptor & 8) throw new BadZstd("a reserved bit is set");
    const single = (descriptor >> 5) & 1;
    if (!single) this.take(1); // the window: all content is kept anyway
    if (this.number([0, 1, 2, 4][descriptor & 3]) !== 0) throw new BadZstd("it has a dictionary");
    const width = [single, 2, 4, 8][descriptor >> 6];
    const size = this.number(width) + (width === 2 ? 256 : 0);
    // A wrong one may promise anything, so room is made for what a frame can be expected to hold.
    if (width) this.output.reserve(Math.min(size, 256 * this.source.length));
    return descriptor & 4;
  }

  readBlock(type, size) {
    if (size > BLOCK_MAX) throw new BadZstd("a block is too large");
    if (type === 0) {
      this.output.append(this.take(size));
    } else if (type === 1) {
      this.output.append(new Uint8Array(size).fill(this.number(1)));
    } else if (type === 2) {
      const end = this.at + size;
      if (end > this.source.length) throw new BadZstd("cut off");
      const literals = this.readLiterals();
      this.readSequences(literals, end);
      this.at = end;
    } else {
      throw new BadZstd("a block of a reserved type");
    }
  }

  readLiterals() {
    const first = this.source[this.at];
    const type = first & 3;
    const format = (first >> 2) & 3;
    if (type < 2) {
      // Stored, or one byte many times.
      const width = [1, 2, 1, 3][format];
      const size = this.number(width) >> (format & 1 ? 4 : 3);
      if (type === 0) return this.take(size);
      if (size > BLOCK_MAX) throw new BadZstd("too many literals");
      return new Uint8Array(size).fill(this.number(1));
    }
    const bits = [10, 10, 14, 18][format];
    const header = this.number([3, 3, 4, 5][format]);
    const size = Math.floor(header / 16) % 2 ** bits;
    const end = this.at + Math.floor(header / 2 ** (4 + bits));
    if (size > BLOCK_MAX || end > this.source.length) throw new BadZstd("too many literals");
    if (type === 2) this.huffman = this.readHuffman();
    if (!this.huffman) throw new BadZstd("there is no Huffman table");
    const literals = new Uint8Array(size);
    // One stream, or four, of which the last takes the rest.
    const ends = [];
    let streamEnd = this.at + 6;
    while (format > 0 && ends.length < 3) ends.push((streamEnd += this.number(2)));
    ends.push(end);
    const each = format > 0 ? (size + 3) >> 2 : size;
    ends.forEach((until, i) => {
      const part = literals.subarray(i * each, i === ends.length - 1 ? size : (i + 1) * each);
      const bits = new BackwardBits(this.source, this.at, until);
      this.huffman.decode(bits, part);
      this.at = until;
    });
    return literals;
  }

  readHuffman() {
    const header = this.number(1);
    if (header < 128) {
      const end = this.at + header;
      const table = this.readTable(6);
      const weights = fseWeights(table, new BackwardBits(this.source, this.at, end));
      this.at = end;
      return new Huffman(weights);
    }
    const count = header - 127;
    const nibbles = Array.from(this.take((count + 1) >> 1)).flatMap((b) => [b >> 4, b & 15]);
    return new Huffman(nibbles.slice(0, count));
  }

  readSequences(literals, end) {
    let count = this.number(1);
    if (count === 255) count = this.number(2) + 0x7f00;
    else if (count > 127) count = ((count - 128) << 8) + this.number(1);
    if (count === 0) {
      this.output.append(literals);
      return;
    }
    const modes = this.number(1);
    if (modes & 3) throw new BadZstd("a reserved bit is set");
    const literalLengths = this.chooseTable("literals", modes >> 6);
    const offsets = this.chooseTable("offsets", (modes >> 4) & 3);
    const matchLengths = this.chooseTable("matches", (modes >> 2) & 3);
    const bits = new BackwardBits(this.source, this.at, end);
    let literalState = bits.read(literalLengths.log);
    let offsetState = bits.read(offsets.log);
    let matchState = bits.read(matchLengths.log);
    let used = 0;
    for (let i = 0; i < count; i++) {
      const offsetCode = offsets.symbols[offsetState];
      const offsetValue = 2 ** offsetCode + bits.read(offsetCode);
      const matchCode = matchLengths.symbols[matchState];
      const matchLength = MATCH_BASES[matchCode] + bits.read(MATCH_BITS[matchCode]);
      const literalCode = literalLengths.symbols[literalState];
      const literalLength = LITERAL_BASES[literalCode] + bits.read(LITERAL_BITS[literalCode]);
      if (i < count - 1) {
        literalState = literalLengths.next(literalState, bits);
        matchState = matchLengths.next(matchState, bits);
        offsetState = offsets.next(offsetState, bits);
      }
      if (used + literalLength > literals.length) throw new BadZstd("too few literals");
      this.output.append(literals.subarray(used, used + literalLength));
      used += literalLength;
      const offset = this.offsetOf(offsetValue, literalLength);
      if (!(offset > 0 && offset <= this.output.length - this.start)) {
        throw new BadZstd("a match begins before the content");
      }
      this.output.repeat(offset, matchLength);
    }
    if (bits.at !== bits.start) throw new BadZstd("sequences are damaged");
    this.output.append(literals.subarray(used));
  }

  /** The distance that a sequence means: one to three name a recent one. */
  offsetOf(value, literalLength) {
    const recent = this.offsets;
    if (value > 3) {
      this.offsets = [value - 3, recent[0], recent[1]];
      return value - 3;
    }
    const place = value - 1 + (literalLength === 0 ? 1 : 0);
    const offset = place === 3 ? recent[0] - 1 : recent[place];
    if (place === 1) this.offsets = [offset, recent[0], recent[2]];
    if (place > 1) this.offsets = [offset, recent[0], recent[1]];
    return offset;
  }

  /** The table of one part of the sequences, by its mode. */
  chooseTable(part, mode) {
    const { logMax, symbols, log, counts } = PARTS[part];
    if (mode === 0) this.tables[part] = new Table(counts, log);
    if (mode === 1) this.tables[part] = Table.ofOne(this.number(1));
    if (mode === 2) this.tables[part] = this.readTable(logMax);
    const table = this.tables[part];
    if (!table) throw new BadZstd("there is no table to use again");
    if (table.largest >= symbols) throw new BadZstd("a code that does not exist");
    return table;
  }

  /** Read how probable the symbols of a table are, packed as tightly as what is left allows. */
  readTable(logMax) {
    let at = this.at * 8;
    const read = (count) => {
      at += count;
      if (at > this.source.length * 8) throw new BadZstd("cut off");
      return bitsAt(this.source, at - count, count);
    };
    const log = read(4) + 5;
    if (log > logMax) throw new BadZstd("a table is too large");
    const counts = [];
    for (let left = 2 ** log; left > 0; ) {
      const width = highestBit(left + 1) + 1;
      const low = 2 ** (width - 1) - 1;
      const short = 2 ** width - 2 - left; // values below it take a bit less
      let value = read(width);
      if ((value & low) < short) {
        value &= low;
        at -= 1;
      } else if (value > low) {
        value -= short;
      }
      counts.push(value - 1);
      left -= Math.abs(value - 1);
      if (value !== 1) continue;
      for (let zeros = 3; zeros === 3; ) {
        zeros = read(2);
        for (let i = 0; i < zeros; i++) counts.push(0);
      }
      if (counts.length > 256) throw new BadZstd("a table is damaged");
    }
    this.at = (at + 7) >> 3;
    return new Table(counts, log);
  }

  take(count) {
    this.at += count;
    if (this.at > this.source.length) throw new BadZstd("cut off");
    return this.source.subarray(this.at - count, this.at);
  }

  number(width) {
    this.take(width);
    return littleEndian(this.source, this.at - width, width);
  }
}

/** A table of finite state entropy: states with their symbols, and how to get to the next. */
class Table {
  /** `counts`: how many of the 2 ** `log` states each symbol has; -1 for one at the end. */
  constructor(counts, log) {
    const size = 2 ** log;
    this.log = log;
    this.symbols = new Uint8Array(size);
    this.widths = new Uint8Array(size);
    this.bases = new Uint16Array(size);
    this.largest = counts.length - 1;
    if (sum(counts.map(Math.abs)) !== size) throw new BadZstd("a table is damaged");
    let high = size;
    counts.forEach((count, symbol) => {
      if (count === -1) this.symbols[--high] = symbol;
    });
    let place = 0;
    counts.forEach((count, symbol) => {
      for (let i = 0; i < count; i++) {
        this.symbols[place] = symbol;
        do {
          place = (place + (size >> 1) + (size >> 3) + 3) & (size - 1);
        } while (place >= high);
      }
    });
    const following = counts.map(Math.abs);
    for (let state = 0; state < size; state++) {
      const next = following[this.symbols[state]]++;
      this.widths[state] = log - highestBit(next);
      this.bases[state] = (next << this.widths[state]) - size;
    }
  }

  /** One symbol, which costs no bits. */
  static ofOne(symbol) {
    const counts = new Array(symbol + 1).fill(0);
    counts[symbol] = 1;
    return new Table(counts, 0);
  }

  next(state, bits) {
    return this.bases[state] + bits.read(this.widths[state]);
  }
}

/** The weights of a Huffman table, from two states in turns, until the bits run out. */
function fseWeights(table, bits) {
  const weights = [];
  const states = [bits.read(table.log), bits.read(table.log)];
  for (let turn = 0; weights.length < 255; turn ^= 1) {
    weights.push(table.symbols[states[turn]]);
    const width = table.widths[states[turn]];
    if (bits.at - width < bits.start) {
      weights.push(table.symbols[states[turn ^ 1]]);
      return weights;
    }
    states[turn] = table.next(states[turn], bits);
  }
  throw new BadZstd("a Huffman table is damaged");
}

class Huffman {
  /** `weights` of the symbols; the last one's is what is left. */
  constructor(weights) {
    const used = sum(weights.map((weight) => (weight ? 2 ** (weight - 1) : 0)));
    this.log = used ? highestBit(used) + 1 : 0;
    const left = 2 ** this.log - used;
    if (!used || this.log > 11 || left !== 2 ** highestBit(left)) {
      throw new BadZstd("a Huffman table is damaged");
    }
    const all = [...weights, highestBit(left) + 1];
    this.symbols = new Uint8Array(2 ** this.log);
    this.widths = new Uint8Array(2 ** this.log);
    let place = 0;
    for (let weight = 1; weight <= this.log; weight++) {
      all.forEach((one, symbol) => {
        if (one !== weight) return;
        const end = place + 2 ** (weight - 1);
        this.symbols.fill(symbol, place, end);
        this.widths.fill(this.log + 1 - weight, place, end);
        place = end;
      });
    }
  }

  /** Fill `target` from a stream that must hold exactly so much. */
  decode(bits, target) {
    for (let i = 0; i < target.length; i++) {
      const place = bits.peek(this.log);
      target[i] = this.symbols[place];
      bits.at -= this.widths[place];
    }
    if (bits.at !== bits.start) throw new BadZstd("literals are damaged");
  }
}

/** Bits that are read from the end of some bytes to their beginning. */
class BackwardBits {
  constructor(source, start, end) {
    if (!(start < end) || !source[end - 1]) throw new BadZstd("a stream of bits is damaged");
    this.source = source;
    this.start = start * 8;
    this.at = (end - 1) * 8 + highestBit(source[end - 1]); // its highest bit only marks the end
  }

  read(count) {
    if (count > 24) return this.read(count - 16) * 2 ** 16 + this.read(16);
    this.at -= count;
    if (this.at < this.start) throw new BadZstd("a stream of bits is cut off");
    return bitsAt(this.source, this.at, count);
  }

  /** The next bits without taking them, with zeros for those before the beginning. */
  peek(count) {
    const from = this.at - count;
    if (from >= this.start) return bitsAt(this.source, from, count);
    const there = Math.max(0, this.at - this.start);
    return bitsAt(this.source, this.start, there) << (count - there);
  }
}

/** At most 24 bits from a position in bits. */
function bitsAt(source, position, count) {
  const at = position >> 3;
  const word = source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
  return (word >>> (position & 7)) & ((1 << count) - 1);
}

function littleEndian(source, at, width) {
  if (at + width > source.length) throw new BadZstd("cut off");
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + source[at + i];
  return value;
}

function highestBit(value) {
  return 31 - Math.clz32(value);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

// What the codes of lengths stand for: a base, and so many bits to add to it. Behind that, the
// tables that need not be sent.
const none = (count) => new Array(count).fill(0);
const UP = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const LITERAL_BITS = [...none(16), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, ...UP];
const MATCH_BITS = [...none(32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, ...UP];
const LITERAL_BASES = bases(0, LITERAL_BITS);
const MATCH_BASES = bases(3, MATCH_BITS);

/** Each code begins where the one before it ends. */
function bases(first, bits) {
  return bits.map((_, code) => first + sum(bits.slice(0, code).map((width) => 2 ** width)));
}

const ones = (count, value = 1) => new Array(count).fill(value);
const PARTS = {
  literals: {
    logMax: 9,
    symbols: 36,
    log: 6,
    counts: [4, 3, ...ones(11, 2), 1, 1, 1, ...ones(9, 2), 3, 2, ...ones(5), ...ones(4, -1)],
  },
  offsets: {
    logMax: 8,
    symbols: 32,
    log: 5,
    counts: [...ones(6), 2, 2, 2, ...ones(15), ...ones(5, -1)],
  },
  matches: {
    logMax: 9,
    symbols: 53,
    log: 6,
    counts: [1, 4, 3, ...ones(6, 2), ...ones(37), ...ones(7, -1)],
  },
};
