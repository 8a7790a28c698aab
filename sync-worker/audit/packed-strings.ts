/**
 * An array of strings in MessagePack, as Redis' own packer writes it (cmsgpack in Lua): spec.md of msgpack/msgpack, formats
 * `fixarray`, `array 16`, `array 32`; `fixstr`, `str 8`, `str 16`, `str 32`. Nothing else comes.
 */

/** Slices of these bytes. Throws RangeError where they are something else. */
export function unpackStrings(packed: Buffer): Buffer[] {
  const [count, first] = arrayHead(packed);
  const strings: Buffer[] = [];
  let at = first;
  for (let index = 0; index < count; index += 1) {
    const head = packed[at] as number;
    let length: number;
    if (head >= 0xa0 && head <= 0xbf) {
      length = head & 0x1f;
      at += 1;
    } else if (head === 0xd9) {
      length = packed.readUInt8(at + 1);
      at += 2;
    } else if (head === 0xda) {
      length = packed.readUInt16BE(at + 1);
      at += 3;
    } else if (head === 0xdb) {
      length = packed.readUInt32BE(at + 1);
      at += 5;
    } else {
      throw new RangeError(`no string in MessagePack: ${head}`);
    }
    if (at + length > packed.length) throw new RangeError('a string in MessagePack is cut off');
    strings.push(packed.subarray(at, at + length));
    at += length;
  }
  return strings;
}

function arrayHead(packed: Buffer): [count: number, first: number] {
  const head = packed[0] as number;
  if (head >= 0x90 && head <= 0x9f) return [head & 0x0f, 1];
  if (head === 0xdc) return [packed.readUInt16BE(1), 3];
  if (head === 0xdd) return [packed.readUInt32BE(1), 5];
  throw new RangeError(`no array in MessagePack: ${head}`);
}
