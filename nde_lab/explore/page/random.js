// The browser's twin of nde_lab.random: the same numbers from (seed, stream, step, name, index). See there for the layout.
// Integers and uniforms agree bit for bit; normals to the last place or two (log, sin and cos of two makers).

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** zlib's CRC-32 of a text in UTF-8. */
export function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The upper 32 bits of a product of two unsigned 32-bit integers. */
function high(a, b) {
  const al = a & 0xffff, ah = a >>> 16, bl = b & 0xffff, bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16), other = al * bh + (middle & 0xffff);
  return (ah * bh + Math.floor(middle / 65536) + (other >>> 16)) | 0;
}

/** Philox4x32-10: fill `words` with blocks 0, 1, ... of counter (block, step, name, stream) under the key of `seed`. */
export function philox(words, step, name, stream, seed) {
  const low = seed >>> 0, up = Math.floor(seed / 4294967296);
  for (let block = 0; 4 * block < words.length; block++) {
    let c0 = block, c1 = step, c2 = name, c3 = stream, k0 = low, k1 = up;
    for (let round = 0; round < 10; round++) {
      const h0 = high(0xd2511f53, c0), l0 = Math.imul(0xd2511f53, c0), h1 = high(0xcd9e8d57, c2), l1 = Math.imul(0xcd9e8d57, c2);
      c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
      k0 = (k0 + 0x9e3779b9) | 0; k1 = (k1 + 0xbb67ae85) | 0;
    }
    words[4 * block] = c0; words[4 * block + 1] = c1; words[4 * block + 2] = c2; words[4 * block + 3] = c3;
  }
}

const TRANSFORM = {
  uniform(words, size, { low, high: top }) {
    const out = new Float32Array(size);
    for (let i = 0; i < size; i++) out[i] = low + (top - low) * ((words[i] >>> 8) / 16777216);
    return out;
  },
  index(words, size, { high: count }) {
    const out = new Int32Array(size);
    for (let i = 0; i < size; i++) out[i] = Math.floor(words[i] * count / 4294967296);     // exact: count <= 2^20
    return out;
  },
  permutation(words, size) {
    return Int32Array.from({ length: size }, (_, i) => i).sort((a, b) => words[a] - words[b] || a - b);
  },
  normal(words, size, { loc, scale }) {
    const out = new Float32Array(size);
    for (let i = 0; i < size; i += 2) {
      const r = Math.sqrt(-2 * Math.log((words[i] + 0.5) / 4294967296)), a = 2 * Math.PI * (words[i + 1] / 4294967296);
      out[i] = loc + scale * (r * Math.cos(a));
      if (i + 1 < size) out[i + 1] = loc + scale * (r * Math.sin(a));
    }
    return out;
  },
};

/** declared: {name: {kind, shape, ...}}. Returns a function of the step: {name: typed array}. */
export function sampler(declared, seed, stream) {
  const key = crc32(stream), items = Object.entries(declared).map(([name, d]) => {
    const size = d.shape.reduce((n, m) => n * m, 1);
    return { name, d, size, key: crc32(name), words: new Uint32Array(4 * Math.ceil((size + 1) / 4)) };
  });
  return (step) => {
    const out = {};
    for (const { name, d, size, key: own, words } of items) {
      philox(words, step, own, key, seed);
      out[name] = TRANSFORM[d.kind](words, size, d);
    }
    return out;
  };
}
