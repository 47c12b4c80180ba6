// MessagePack, as shards are written in it: no extensions.

const text = new TextDecoder("utf-8", { fatal: true });

export class BadMessagePack extends Error {}

/** The value that `bytes` hold. Maps become objects without a prototype, binary becomes bytes. */
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const take = (count) => {
    at += count;
    if (at > bytes.length) throw new BadMessagePack("cut off");
    return at - count;
  };
  const string = (count) => text.decode(bytes.subarray(take(count), at));
  const binary = (count) => bytes.subarray(take(count), at);
  const list = (count) => {
    const values = [];
    for (let i = 0; i < count; i++) values.push(value());
    return values;
  };
  const map = (count) => {
    const values = Object.create(null);
    for (let i = 0; i < count; i++) {
      const key = value();
      values[key] = value();
    }
    return values;
  };
  const unsigned = [
    () => view.getUint8(take(1)),
    () => view.getUint16(take(2)),
    () => view.getUint32(take(4)),
    () => Number(view.getBigUint64(take(8))),
  ];
  const signed = [
    () => view.getInt8(take(1)),
    () => view.getInt16(take(2)),
    () => view.getInt32(take(4)),
    () => Number(view.getBigInt64(take(8))),
  ];

  const value = () => {
    const type = unsigned[0]();
    if (type < 0x80) return type;
    if (type < 0x90) return map(type & 15);
    if (type < 0xa0) return list(type & 15);
    if (type < 0xc0) return string(type & 31);
    if (type >= 0xe0) return type - 0x100;
    if (type >= 0xc4 && type <= 0xc6) return binary(unsigned[type - 0xc4]());
    if (type >= 0xcc && type <= 0xcf) return unsigned[type - 0xcc]();
    if (type >= 0xd0 && type <= 0xd3) return signed[type - 0xd0]();
    if (type >= 0xd9 && type <= 0xdb) return string(unsigned[type - 0xd9]());
    if (type === 0xdc || type === 0xdd) return list(unsigned[type - 0xdb]());
    if (type === 0xde || type === 0xdf) return map(unsigned[type - 0xdd]());
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return view.getFloat32(take(4));
      case 0xcb:
        return view.getFloat64(take(8));
      default:
        throw new BadMessagePack(`a value of type ${type}`);
    }
  };

  return value();
}
