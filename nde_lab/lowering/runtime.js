// What every lowered module carries: memory, the choice of engine, and programs with named inputs and outputs.
// `spec`: {pages, programs: {name: {inputs, outputs}}, constants: [[offset, base64]], wasm: base64}, where inputs and
// outputs are lists of [name, offset, size, dtype]. `plain(F, I, M)` makes the same programs in plain JavaScript.
function (options) {
  "use strict";
  options = options || {};
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const erf = (x) => {                       // series near 0, continued fraction further out
    const a = Math.abs(x);
    if (!(a < 6)) return Number.isNaN(x) ? x : Math.sign(x);
    if (a < 2.5) {
      let term = x, sum = x;
      for (let n = 1; n < 60; n++) { term *= -x * x / n; sum += term / (2 * n + 1); }
      return 2 / Math.sqrt(Math.PI) * sum;
    }
    let f = 0;
    for (let n = 60; n > 0; n--) f = n / 2 / (a + f);
    return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
  };
  const round = (x) => { const r = Math.round(x); return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r; };
  const M = {erf, round};
  for (const n of ["pow", "atan2", "tan", "atan", "asin", "acos", "sinh", "cosh", "asinh", "acosh", "atanh"])
    M[n] = Math[n];

  let run = null, engine = "plain", buffer = null;
  if (options.wasm !== false && typeof WebAssembly === "object") {
    const code = bytes(spec.wasm);
    if (WebAssembly.validate(code)) {        // false where fixed-width SIMD is missing
      const memory = new WebAssembly.Memory({initial: spec.pages});
      run = new WebAssembly.Instance(new WebAssembly.Module(code), {m: {m: memory}}).exports;
      buffer = memory.buffer;
      engine = "wasm";
    }
  }
  if (run === null) {
    buffer = new ArrayBuffer(65536 * spec.pages);
    run = plain(new Float32Array(buffer), new Int32Array(buffer), M);
  }
  for (const [offset, text] of spec.constants) new Uint8Array(buffer, 4 * offset).set(bytes(text));

  const programs = {};
  for (const name of Object.keys(spec.programs)) {
    const {inputs, outputs} = spec.programs[name];
    const view = ([, offset, size, dtype]) =>
      dtype === "float32" ? new Float32Array(buffer, 4 * offset, size) : new Int32Array(buffer, 4 * offset, size);
    const places = {}, kinds = {}, results = {}, flags = [];
    for (const item of inputs) { places[item[0]] = view(item); kinds[item[0]] = item[3]; }
    for (const item of outputs) {
      results[item[0]] = view(item);
      if (item[3] === "bool") {
        flags.push([results[item[0]], results[item[0]] = new Uint8Array(item[2])]);
      }
    }
    programs[name] = (given) => {
      for (const key in given) {
        const place = places[key], value = given[key];
        if (place === undefined) throw new Error(`${name} has no input "${key}"`);
        const size = typeof value === "number" || typeof value === "boolean" ? 1 : value.length;
        if (size !== place.length) throw new Error(`${name}: input "${key}" has ${place.length} entries, got ${size}`);
        if (kinds[key] === "bool") for (let i = 0; i < size; i++) place[i] = -Boolean(value.length ? value[i] : value);
        else if (typeof value === "number") place[0] = value;
        else place.set(value);
      }
      run[name]();
      for (const [from, to] of flags) for (let i = 0; i < to.length; i++) to[i] = from[i] ? 1 : 0;
      return results;
    };
  }
  return {engine, programs};
}
