// Behaviour of the front end's parts that need no browser; run by test_bundle.py with FRONT = the address of the bundle.
import assert from "node:assert/strict";
import { test } from "node:test";

const f = await import(process.env.FRONT);

/** Small seeded generator, so that a failure can be repeated. */
function random(seed) {
  let s = seed >>> 0;
  return () => { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; return s / 2 ** 32; };
}

/** A canvas that refuses coordinates that are not finite and remembers what was drawn. */
function paper() {
  const log = { points: [], texts: [], strokes: 0 };
  const take = (...numbers) => numbers.forEach((v) => { if (typeof v === "number") assert.ok(Number.isFinite(v), `drew ${v}`); });
  const ctx = { font: "", globalAlpha: 1, log };
  for (const name of ["beginPath", "closePath", "save", "restore", "clip", "fill", "setLineDash", "rotate", "translate", "rect", "fillRect",
    "strokeRect", "arc", "setTransform"]) ctx[name] = (...a) => take(...a);
  ctx.stroke = () => { log.strokes++; };
  ctx.moveTo = ctx.lineTo = (x, y) => { take(x, y); log.points.push([x, y]); };
  ctx.fillText = (text, x, y) => { take(x, y); assert.doesNotMatch(text, /NaN|Infinity|undefined|null/); log.texts.push({ text, x, y }); };
  ctx.strokeText = (text, x, y) => take(x, y);
  ctx.measureText = (text) => ({ width: 6.5 * text.length });
  return ctx;
}

const PALETTE = { ink: "rgb(20, 20, 20)", muted: "rgb(90, 90, 90)", grid: "#e9ecef", ground: "rgb(255, 255, 255)", font: "sans-serif" };
const ROLES = Object.fromEntries(["data", "ode", "sde", "truth", "train", "test", "accent", "neutral"].map((r, i) =>
  [r, { color: "#0072b2", dash: i % 2 ? [4, 4] : [], width: 1.5, marker: ["o", "s", "x", "^", "D"][i % 5] }]));
const axis = (o = {}) => ({ label: "x", scale: "linear", low: null, high: null, ...o });
const array = (data, shape = [data.length]) => ({ data: Float32Array.from(data), shape });
const MARKS = [
  { kind: "line", x: "x", y: "y", role: "ode", label: "curve" }, { kind: "points", x: "x", y: "y", role: "data", label: "cloud" },
  { kind: "paths", x: "x", y: "p", role: "sde", label: "paths" }, { kind: "bars", x: "x", y: "y", role: "test", label: "", names: ["a", "b"] },
  { kind: "heatmap", z: "z", x: "x", y: "r", label: "heat", low: null, high: null }, { kind: "arrows", x: "x", y: "y", u: "u", v: "v", role: "neutral", label: "" },
  { kind: "band", x: "x", low: "u", high: "y", role: "sde", label: "band" }, { kind: "rule", value: 0.5, axis: "y", role: "truth", label: "rule" },
  { kind: "rule", value: 0.5, axis: "x", role: "truth", label: "" }, { kind: "line", x: "history.step", y: "history.loss", role: "train", label: "loss" }];
const view = (marks, x = axis(), y = axis(), extra = {}) => ({ columns: 2, roles: ROLES, panels: [{ title: "A title", x, y, marks, alt: "a", ...extra }] });
const draw = (v, frame, o = {}) => { const c = paper(); f.drawView(c, v, frame, { width: 700, palette: PALETTE, steps: 100, memory: {}, ghost: null, ...o }); return c.log; };

test("ticks lie inside, are evenly spaced, and are about as many as asked", () => {
  const next = random(1);
  for (let i = 0; i < 2000; i++) {
    const size = 10 ** (12 * next() - 6), low = (next() - 0.5) * size, high = low + size * (0.01 + next()), want = 2 + Math.floor(8 * next());
    const t = f.niceTicks(low, high, want);
    assert.ok(t.length >= 2 && t.length <= Math.max(want + 1, 6), `${t.length} ticks for ${want}`);
    assert.ok(t.every((v) => v >= low - 1e-6 * size && v <= high + 1e-6 * size));
    const gaps = t.slice(1).map((v, k) => v - t[k]);
    assert.ok(gaps.every((g) => Math.abs(g - gaps[0]) < 1e-6 * size));
  }
  assert.deepEqual(f.niceTicks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(f.niceTicks(NaN, 1), []);
  assert.deepEqual(f.niceTicks(1, 1), []);
});

test("log ticks are powers of ten when there is room for them, and never fewer than two", () => {
  assert.deepEqual(f.logTicks(1e-4, 1, 6), [1e-4, 1e-3, 1e-2, 1e-1, 1]);
  assert.deepEqual(f.logTicks(0.9, 60, 5), [1, 2, 5, 10, 20, 50]);
  const next = random(2);
  for (let i = 0; i < 2000; i++) {
    const low = 10 ** (20 * next() - 10), high = low * 10 ** (0.05 + 12 * next()), t = f.logTicks(low, high, 5);
    assert.ok(t.length >= 2 && t.length <= 12, `${t.length} between ${low} and ${high}`);
    assert.ok(t.every((v) => v >= low * 0.999999 && v <= high * 1.000001));
  }
  assert.deepEqual(f.logTicks(0, 1), []);
  assert.deepEqual(f.logTicks(-1, 1), []);
});

test("a scale maps its ends to its pixels, is monotone, and has no place for what cannot be drawn", () => {
  const lin = f.scaler([2, 6], "linear", 100, 300), log = f.scaler([0.01, 100], "log", 0, 400);
  assert.equal(lin(2), 100); assert.equal(lin(6), 300); assert.equal(lin(4), 200);
  assert.ok(Math.abs(log(1) - 200) < 1e-9 && Math.abs(log(0.01)) < 1e-9);
  for (const bad of [NaN, Infinity, -Infinity]) { assert.ok(Number.isNaN(lin(bad))); assert.ok(Number.isNaN(log(bad))); }
  assert.ok(Number.isNaN(log(0)) && Number.isNaN(log(-3)));
  assert.ok(Number.isFinite(lin(1e38)));
});

test("a fitted range holds the data, keeps what the axis fixes, and does not tremble", () => {
  const r = f.fitRange([-1, 3], axis());
  assert.ok(r[0] < -1 && r[1] > 3);
  assert.deepEqual(f.fitRange([-1, 3], axis({ low: 0, high: 2 })), [0, 2]);
  assert.equal(f.fitRange([0, 3], axis())[0], 0, "no negative room for data that has none");
  const before = [0, 10];
  assert.equal(f.fitRange([1, 8], axis(), before), before);
  assert.notEqual(f.fitRange([1, 12], axis(), before), before);
  assert.notEqual(f.fitRange([1, 2], axis(), before), before);
  for (const [found, a] of [[null, axis()], [[5, 5], axis()], [[0, 0], axis()], [null, axis({ scale: "log" })], [[2, 2], axis({ scale: "log" })],
    [[1, 2], axis({ low: 7 })], [[1, 2], axis({ high: -7 })], [[1, 2], axis({ scale: "log", low: 0 })]]) {
    const [low, high] = f.fitRange(found, a);
    assert.ok(high > low && Number.isFinite(low) && Number.isFinite(high), `${found} ${JSON.stringify(a)} -> ${low}, ${high}`);
    if (a.scale === "log") assert.ok(low > 0);
  }
});

test("extents ignore what is not finite, and what is not positive on a log axis", () => {
  assert.deepEqual(f.extent([[NaN, 3, -2], [Infinity]]), [-2, 3]);
  assert.deepEqual(f.extent([[0, -1, 5, 2]], true), [2, 5]);
  assert.equal(f.extent([[NaN], []]), null);
});

test("nothing that is not finite is ever drawn, whatever the numbers", () => {
  const wild = [NaN, Infinity, -Infinity, 0, -0, 1e38, -1e38, 1e-38, 1, -1, 0.5];
  const next = random(3), pick = () => next() < 0.5 ? wild[Math.floor(wild.length * next())] : 4 * next() - 2;
  for (let i = 0; i < 1500; i++) {
    const n = [0, 1, 2, 7, 4000][Math.floor((i % 50 === 0 ? 5 : 4) * next())], many = (k) => Array.from({ length: k }, pick);
    const frame = { arrays: { x: array(many(n)), y: array(many(n)), p: array(many(3 * n), [3, n]), z: array(many(n * 2), [2, n]), r: array([0, 1]), u: array(many(n)), v: array(many(n)) },
      history: { step: Float32Array.from(many(n)), loss: Float32Array.from(many(n)) } };
    const scale = () => next() < 0.5 ? "linear" : "log", some = MARKS.filter(() => next() < 0.4);
    draw(view(some.length ? some : [MARKS[i % MARKS.length]], axis({ scale: scale() }), axis({ scale: scale() }), { equal: next() < 0.2 }), frame,
      { width: 200 + 800 * next(), ghost: next() < 0.3 ? frame : null });
  }
});

test("a frame without history draws its axes and no curve", () => {
  const log = draw(view([MARKS[9]]), { arrays: {}, history: {} });
  assert.ok(log.texts.some(({ text }) => text === "100"), "the axis shows the whole run");
});

test("a curve is broken where a point is missing", () => {
  const c = paper(), moves = [];
  c.moveTo = (x) => moves.push(x);
  f.trace(c, [0, 1, 2, 3], [0, NaN, 2, 3], (v) => v, (v) => v);
  assert.deepEqual(moves, [0, 2]);
});

test("a long curve keeps its extremes", () => {
  const n = 100000, x = Float32Array.from({ length: n }, (_, i) => i), y = new Float32Array(n);
  y[54321] = 9; y[11111] = -9;
  const c = paper();
  f.trace(c, x, y, (v) => v / 200, (v) => v);
  const heights = c.log.points.map(([, h]) => h);
  assert.ok(heights.includes(9) && heights.includes(-9));
  assert.ok(c.log.points.length < 5000);
});

test("names beside curves do not overlap", () => {
  const next = random(4);
  for (let i = 0; i < 500; i++) {
    const tags = Array.from({ length: 1 + Math.floor(5 * next()) }, () => ({ y: 200 * next() }));
    f.spread(tags, 14, 10, 200);
    for (let k = 1; k < tags.length; k++) assert.ok(tags[k].y - tags[k - 1].y >= 14 - 1e-9);
    assert.ok(tags.every((t) => t.y >= 9.999 - 14 && t.y <= 200.001));
  }
});

test("panels stand side by side on a wide screen and below each other on a narrow one", () => {
  const v = { ...view([MARKS[0]]), panels: [1, 2, 3].map(() => view([MARKS[0]]).panels[0]) };
  const wide = f.layout(v, 800), narrow = f.layout(v, 340);
  assert.equal(wide.boxes[0].y, wide.boxes[1].y);
  assert.ok(narrow.boxes[1].y >= narrow.boxes[0].h && narrow.boxes.every((b) => b.x === 0 && b.w === 340));
  for (const { boxes, height } of [wide, narrow]) assert.ok(boxes.every((b) => b.y + b.h <= height + 1e-9));
});

test("a role's colour stands out on white and on black", () => {
  for (const [ground, ink] of [[[255, 255, 255], [20, 20, 20]], [[22, 25, 29], [232, 234, 237]]]) {
    for (const color of ["#8a8a8a", "#0072b2", "#d98200", "#1a1a1a", "#1f4e79", "#d55e00", "#009e73", "#6b6b6b"]) {
      const a = f.luminance(f.rgb(f.readable(color, ground, ink))) + 0.05, b = f.luminance(ground) + 0.05;
      assert.ok(Math.max(a, b) / Math.min(a, b) >= 2.99, `${color} on ${ground}`);
    }
  }
});

test("numbers and labels read well", () => {
  assert.equal(f.tickText(0.001), "0.001"); assert.equal(f.tickText(1e-5), "10⁻⁵"); assert.equal(f.tickText(2.5e7), "2.5·10⁷");
  assert.equal(f.tickText(-3), "−3"); assert.equal(f.numberText(0.0123456), "0.0123"); assert.equal(f.numberText(NaN), "not finite");
  assert.equal(f.numberText(true), "on"); assert.equal(f.numberText(512), "512");
  assert.equal(f.plainText("noise $\\sigma$"), "noise σ"); assert.equal(f.plainText("$x_t^2$"), "xₜ²"); assert.equal(f.plainText("cost in $"), "cost in $");
});

test("a slider's positions give back the value they came from", () => {
  const next = random(5);
  for (let i = 0; i < 500; i++) {
    const log = next() < 0.5, low = log ? 10 ** (-6 * next()) : 10 * next() - 5, high = log ? low * 10 ** (0.5 + 5 * next()) : low + 0.01 + 100 * next();
    const p = f.positions({ low, high, scale: log ? "log" : "linear", integer: false });
    for (let k = 0; k <= p.n; k += 7) assert.ok(Math.abs(p.of(p.at(k)) - k) <= 1, `${k} of ${p.n} -> ${p.of(p.at(k))}`);
    assert.ok(p.n >= 40 && p.n <= 500);
  }
});

test("the address restores what it was made from and nothing that is not allowed", () => {
  const spec = { name: "Toy", knobs: [{ name: "lr", kind: "range", low: 0, high: 1, default: 0.5 }, { name: "n", kind: "range", low: 1, high: 9, default: 3, integer: true },
    { name: "model", kind: "choice", choices: ["a", "b & c"], default: "a" }, { name: "on", kind: "toggle", choices: [false, true], default: true }] };
  globalThis.location = { href: "file:///book/page.html#old", hash: "" };
  const link = f.address(spec, { lr: 0.25, n: 7, model: "b & c", on: false }, 12);
  assert.ok(link.startsWith("file:///book/page.html#ndl=Toy"));
  const values = { lr: 0.5, n: 3, model: "a", on: true };
  assert.deepEqual(f.restore(spec, values, 0, `#${link.split("#")[1]}`), { seed: 12 });
  assert.deepEqual(values, { lr: 0.25, n: 7, model: "b & c", on: false });
  const kept = { ...values };
  for (const hash of ["#ndl=Toy&lr=7", "#ndl=Toy&lr=%22x%22", "#ndl=Toy&n=2.5", "#ndl=Toy&model=%22z%22", "#ndl=Toy&seed=-1", "#ndl=Other&lr=0.1", "#ndl=Toy&lr={", ""]) {
    assert.deepEqual(f.restore(spec, values, 5, hash), { seed: 5 });
    assert.deepEqual(values, kept, hash);
  }
});

test("the Python line and the table say what is shown", () => {
  const spec = { name: "Toy", knobs: [], controls: [] };
  assert.equal(f.pythonCall(spec, { lr: 0.1, model: "a", on: true }, 3), 'explore(Toy, lr=0.1, model="a", on=True, seed=3)');
  const text = f.tableText(spec, { knobs: { lr: 0.5 }, seed: 1, step: 2, history: { loss: Float32Array.of(0.5) }, arrays: { p: array([1, 2, 3, 4], [2, 2]) } });
  assert.deepEqual(text.trim().split("\n").slice(2), ["name,i,j,k,value", "history.loss,0,,,0.5", "p,0,0,,1", "p,0,1,,2", "p,1,0,,3", "p,1,1,,4"]);
});

test("the kernel engine drops what belongs to an older run, joins the history, and acknowledges every fourth frame", () => {
  const sent = [], heard = [], listeners = {};
  const model = { send: (m) => sent.push(m), on: (name, fn) => { listeners[name] = fn; }, off: () => { delete listeners["msg:custom"]; } };
  const engine = f.kernelEngine(model), receive = (m, b) => listeners["msg:custom"](m, b);
  engine.onframe = (frame) => heard.push(frame);
  engine.start({ gen: 1, knobs: { lr: 1 }, seed: 0, paused: false });
  const view = sent.at(-1).view, buffer = (...v) => new DataView(Float32Array.from(v).buffer);
  const frame = (o) => ({ t: "frame", view, gen: 1, run: 1, n: 1, step: 0, steps: 9, seed: 0, knobs: {}, status: { kind: "running", sentence: "" },
    history: { names: ["loss"], from: 0 }, arrays: [{ name: "y", shape: [2] }], ...o });
  receive(frame({ view: "someone else" }), [buffer(), buffer(0, 0)]);
  assert.equal(heard.length, 0, "not ours, and we are waiting for ours");
  receive(frame({}), [buffer(1, 2), buffer(3, 4)]);
  receive(frame({ n: 2, history: { names: ["loss"], from: 2 } }), [buffer(5), buffer(6, 7)]);
  assert.deepEqual([...heard.at(-1).history.loss], [1, 2, 5]);
  assert.deepEqual([...heard.at(-1).arrays.y.data], [6, 7]);
  assert.equal(engine.sentence(), "live: trained now by the kernel");
  receive(frame({ n: 2, engine: "native", history: { names: [], from: 0 } }), [buffer(6, 7)]);
  assert.equal(engine.sentence(), "live: trained now by the kernel, compiled");
  receive(frame({ n: 2, engine: "eager", history: { names: [], from: 0 } }), [buffer(6, 7)]);
  assert.equal(engine.sentence(), "live: trained now by the kernel");
  heard.length = 2;
  for (let n = 1; n <= 9; n++) engine.ack(n);
  assert.deepEqual(sent.filter((m) => m.t === "ack").map((m) => m.n), [4, 8]);
  engine.start({ gen: 2, knobs: {}, seed: 0 });
  receive(frame({ gen: 1, run: 1, n: 3 }), [buffer(), buffer(0, 0)]);
  assert.equal(heard.length, 2, "a frame of the cancelled run");
  receive(frame({ gen: 2, run: 2, history: { names: [], from: 0 } }), [buffer(8, 9)]);
  assert.deepEqual(heard.at(-1).history, {}, "a new run begins with an empty history");
  receive(frame({ view: "python", gen: 0, run: 3, history: { names: ["loss"], from: 4 } }), [buffer(1), buffer(8, 9)]);
  assert.equal(heard.at(-1).gen, null, "python's own runs are shown");
  assert.equal(sent.at(-1).t, "sync", "and what we missed of them is asked for");
  engine.stop();
  assert.equal(listeners["msg:custom"], undefined);
});

test("the picture made when the cell ran is read from the model, and there may be none", () => {
  assert.equal(f.firstFrame({ get: () => ({}) }), null);
  const bytes = new DataView(Float32Array.from([1, 2, 3, 4, 5]).buffer), part = (from, to) => new DataView(bytes.buffer, 4 * from, 4 * (to - from));
  const first = f.firstFrame({ get: () => ({ step: 7, steps: 9, seed: 1, knobs: { lr: 2 }, status: { kind: "stopped", sentence: "" },
    history: { names: ["loss"], from: 0 }, arrays: [{ name: "y", shape: [2] }], buffers: [part(0, 3), part(3, 5)] }) });
  assert.deepEqual([first.gen, first.step, first.n], ["first", 7, null]);
  assert.deepEqual([...first.history.loss], [1, 2, 3]);
  assert.deepEqual([...first.arrays.y.data], [4, 5]);
});

test("a kernel that was restarted is said to be gone", () => {
  const said = [];
  const engine = f.kernelEngine({ send: () => { throw new Error("Cannot send"); }, on: () => {}, off: () => {} });
  engine.onfail = (o) => said.push(o);
  engine.start({ gen: 5, knobs: {}, seed: 0 });
  assert.equal(said.length, 1);
  assert.equal(said[0].gen, 5);
  assert.match(said[0].sentence, /run this cell again/);
});
