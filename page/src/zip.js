// Several files as one ZIP, uncompressed: PNGs are compressed already (APPNOTE.TXT of PKWARE, sections 4.3 and 4.4).

const UTF8 = 0x800; // the flag by which names are UTF-8

const CRCS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

function crc32(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = CRCS[(rest ^ byte) & 0xff] ^ (rest >>> 8);
  return ~rest >>> 0;
}

/** Numbers of two and four bytes, little-endian: [value, bytes] each. */
function packed(...fields) {
  const found = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) found.setUint16(at, value, true);
    else found.setUint32(at, value, true);
    at += size;
  }
  return found;
}

/** @param files [{ name, bytes }], of distinct names */
export function zipOf(files) {
  const now = new Date();
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const date = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name, bytes } of files) {
    const called = new TextEncoder().encode(name);
    const about = [
      [20, 2], [UTF8, 2], [0, 2], [time, 2], [date, 2], [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4],
      [called.length, 2], [0, 2],
    ];
    parts.push(packed([0x04034b50, 4], ...about), called, bytes);
    directory.push(packed([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), called);
    at += 30 + called.length + bytes.length;
  }
  const size = directory.reduce((sum, each) => sum + each.byteLength, 0);
  const count = files.length;
  const end = packed([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [at, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
