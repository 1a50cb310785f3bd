// The page engine: the experiment's own torch step, lowered when the book was built, runs here, in a worker of this page.
//
//   spec.page = { programs: [{knobs: {name: value}, source, manifest, plan, draws, data, view}], blobs: [packed] }
//
// One program per combination of fixed knobs; `source` and the values of `data` are indices into blobs, and are unpacked
// when first used. `view` is there where it is not the spec's.

const near = (a, b, knob) => {
  if (a === b) return 0;
  if (typeof a !== "number" || typeof b !== "number" || knob?.kind !== "range") return 1;
  const f = knob.scale === "log" ? Math.log : (v) => v, span = f(knob.high) - f(knob.low) || 1;
  return Math.abs(f(a) - f(b)) / span;
};

/** The entry of `programs` whose knobs are nearest: a slider between two programs goes to the closer one. */
export function nearest(programs, knobs, specs) {
  const known = Object.fromEntries(specs.map((k) => [k.name, k]));
  let best = 0, least = Infinity;
  programs.forEach((program, i) => {
    const far = Object.entries(program.knobs).reduce((sum, [name, value]) => sum + near(knobs[name], value, known[name]), 0);
    if (far < least - 1e-12) { least = far; best = i; }
  });
  return best;
}

/** A worker that runs `source` (a classic script); throws where the browser has none. */
function blobWorker(source) {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try { return new Worker(url); } finally { setTimeout(() => URL.revokeObjectURL(url), 10000); }
}

const NO_WORKER = "without a worker, so scrolling may stutter";

/** workerSource: an expression whose value is worker_main.js's exports (see bundle.py). */
export function pageEngine(spec, workerSource) {
  const { programs } = spec.page, liveNames = spec.knobs.filter((k) => k.live).map((k) => k.name);
  const loaded = new Set(), pick = (object, names) => Object.fromEntries(names.map((n) => [n, Number(object[n])]));
  const missing = [];
  let worker = null, send = null, gen = 0, knobs = null, base = null;

  if (typeof Worker === "undefined") missing.push(NO_WORKER);
  if (typeof WebAssembly === "undefined") missing.push("without WebAssembly, so slower");

  function unpackedProgram({ source, manifest, plan, draws, data }) {
    const values = ({ kind, values: at }) => {
      const bytes = unpack(spec.page.blobs[at]);
      return kind === "f4" ? new Float32Array(bytes.buffer) : kind === "i4" ? new Int32Array(bytes.buffer) : bytes;
    };
    return { source: unpackText(spec.page.blobs[source]), manifest, plan, draws, data: data.map((d) => ({ name: d.name, values: values(d) })) };
  }

  function receive(message) {
    if (message.t === "fail") { engine.onfail?.(message); return; }
    if (message.frame.gen === gen) engine.onframe?.({ ...message.frame, knobs: { ...knobs }, view: base.view });
  }

  function inPage() {
    // No worker here: the same driver, fed by the page, in shorter slices.
    if (!missing.includes(NO_WORKER)) missing.push(NO_WORKER);
    engine.onadopt?.({ knobs: {} });               // nothing moved, but what is said of the engine has changed
    // eslint-disable-next-line no-eval
    const { serve, load } = (0, eval)(workerSource);
    const feed = serve({ post: receive, load, slice: 8, later: (f) => setTimeout(f, 0) });
    return (message) => setTimeout(() => feed(message), 0);
  }

  function open() {
    try {
      worker = blobWorker(`const driver = ${workerSource}; driver.listen(self, driver.load);`);
      worker.onmessage = (event) => receive(event.data);
      worker.onerror = (event) => {
        event.preventDefault?.();
        engine.onfail?.({ gen, fatal: false, sentence: `the worker of this page stopped: ${event.message || "out of memory, perhaps"}` });
      };
      send = (message) => worker.postMessage(message);
    } catch { worker = null; send = inPage(); }
    document.addEventListener("visibilitychange", visibility);
  }

  const visibility = () => send({ t: "hidden", hidden: document.visibilityState === "hidden" });

  const engine = {
    name: "page", onframe: null, onfail: null, onadopt: null,
    sentence: () => ["live: trained now in this page", ...missing].join(", "),
    snap(wanted) { return { ...wanted, ...programs[nearest(programs, wanted, spec.knobs)].knobs }; },
    start({ gen: number, knobs: wanted, seed, paused }) {
      const key = nearest(programs, wanted, spec.knobs);
      gen = number;
      base = programs[key];
      knobs = { ...wanted, ...base.knobs };
      if (!send) open();
      try {
        if (!loaded.has(key)) {
          send({ t: "program", key, program: unpackedProgram(programs[key]) });
          loaded.add(key);
        }
      } catch (error) {
        engine.onfail?.({ gen, fatal: true, sentence: `this browser could not unpack the program: ${error.message}` });
        return;
      }
      send({ t: "start", gen, key, seed, paused: Boolean(paused), live: pick(knobs, liveNames) });
    },
    set({ live }) {
      knobs = { ...knobs, ...live };
      send?.({ t: "set", gen, live: pick(live, Object.keys(live)) });
    },
    pause() { send?.({ t: "pause" }); },
    resume() { send?.({ t: "resume" }); },
    stepOnce() { send?.({ t: "step" }); },
    ack(n) { send?.({ t: "ack", n }); },
    stop() {
      document.removeEventListener("visibilitychange", visibility);
      send?.({ t: "stop" });
      worker?.terminate();
      worker = send = null;
      loaded.clear();
    },
  };
  return engine;
}
