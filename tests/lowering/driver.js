// Reads requests as JSON lines, answers with JSON lines.
"use strict";
const made = new Map();
let next = 0;
const KINDS = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};
const unpack = ([dtype, text]) => {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  return new KINDS[dtype](bytes.buffer);
};
const pack = (a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength).toString("base64");
const handlers = {
  load({source, wasm}) {
    const module = (0, eval)(source)({wasm});
    made.set(next, module);
    return {handle: next++, engine: module.engine};
  },
  run({handle, program, inputs}) {
    const given = Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, unpack(v)]));
    const out = made.get(handle).programs[program](given);
    return {outputs: Object.fromEntries(Object.entries(out).map(([k, v]) => [k, pack(v)]))};
  },
  drop({handle}) { made.delete(handle); return {}; },
  eval({code}) { return {value: (0, eval)(code)}; },
};
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  let answer;
  try { const request = JSON.parse(line); answer = handlers[request.do](request); }
  catch (error) { answer = {error: String(error.stack || error)}; }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
