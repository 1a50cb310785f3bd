// Base64 and raw DEFLATE (RFC 1951), synchronously and in every browser: programs and stored runs lie packed in the page.

const BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const FAR = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577];
const FAR_EXTRA = FAR.map((_, i) => Math.max(0, (i >> 1) - 1));
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

export function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A canonical Huffman code from its code lengths: how many codes of each length, and the symbols in order. */
function huffman(lengths) {
  const count = new Uint16Array(16), symbols = new Uint16Array(lengths.length), at = new Uint16Array(16);
  for (const n of lengths) count[n]++;
  count[0] = 0;
  for (let n = 1; n < 15; n++) at[n + 1] = at[n] + count[n];
  lengths.forEach((n, symbol) => { if (n) symbols[at[n]++] = symbol; });
  return { count, symbols };
}

/** Unpack raw deflate data; `size` is the length of the result in bytes. */
export function inflate(packed, size) {
  const out = new Uint8Array(size);
  let at = 0, bit = 0, put = 0;
  const bits = (n) => {
    let value = 0;
    for (let i = 0; i < n; i++) {
      if (at >= packed.length) throw new Error("the packed data end too early");
      value |= ((packed[at] >> bit) & 1) << i;
      if (++bit === 8) { bit = 0; at++; }
    }
    return value;
  };
  const symbol = ({ count, symbols }) => {
    for (let n = 1, code = 0, first = 0, index = 0; n < 16; n++) {
      code |= bits(1);
      if (code - count[n] < first) return symbols[index + code - first];
      index += count[n];
      first = (first + count[n]) << 1;
      code <<= 1;
    }
    throw new Error("the packed data are damaged");
  };
  const fixed = [huffman(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
    huffman(new Array(30).fill(5))];
  const dynamic = () => {
    const literals = bits(5) + 257, distances = bits(5) + 1, codes = bits(4) + 4, short = new Array(19).fill(0), lengths = [];
    for (let i = 0; i < codes; i++) short[ORDER[i]] = bits(3);
    const tree = huffman(short);
    while (lengths.length < literals + distances) {
      const s = symbol(tree);
      if (s < 16) lengths.push(s);
      else {
        const value = s === 16 ? lengths[lengths.length - 1] : 0;
        for (let n = s === 16 ? 3 + bits(2) : s === 17 ? 3 + bits(3) : 11 + bits(7); n > 0; n--) lengths.push(value);
      }
    }
    return [huffman(lengths.slice(0, literals)), huffman(lengths.slice(literals))];
  };
  for (let last = 0; !last;) {
    last = bits(1);
    const type = bits(2);
    if (type === 0) {
      if (bit) { bit = 0; at++; }
      const n = packed[at] | (packed[at + 1] << 8);
      out.set(packed.subarray(at + 4, at + 4 + n), put);
      put += n;
      at += 4 + n;
      continue;
    }
    const [literal, distance] = type === 1 ? fixed : dynamic();
    for (let s = symbol(literal); s !== 256; s = symbol(literal)) {
      if (s < 256) { out[put++] = s; continue; }
      const n = BASE[s - 257] + bits(EXTRA[s - 257]), d = symbol(distance), back = FAR[d] + bits(FAR_EXTRA[d]);
      for (let i = 0; i < n; i++, put++) out[put] = out[put - back];
    }
  }
  if (put !== size) throw new Error(`the packed data gave ${put} bytes, not ${size}`);
  return out;
}

/** {size, data: base64 of raw deflate} -> bytes. */
export const unpack = ({ size, data }) => inflate(bytesOf(data), size);
export const unpackText = (packed) => new TextDecoder().decode(unpack(packed));
